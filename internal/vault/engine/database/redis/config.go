package redis

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

const connectTimeout = 10 * time.Second

// Type returns Redis and Valkey as a kind of database.
func Type() driver.Type {
	return driver.Type{
		Names: []string{"redis-database-plugin", "valkey-database-plugin"},
		Fields: []engine.Field{
			{Name: "host", Help: "The host, where connection_url is not given."},
			{Name: "port", Type: engine.Int, Help: "The port.", Default: "6379"},
			{Name: "tls", Type: engine.Bool, Help: "Speak TLS."},
			{Name: "insecure_tls", Type: engine.Bool, Help: "Take any certificate of the server."},
			{Name: "ca_cert", Help: "PEM of the authorities that sign the server's certificate."},
			{Name: "persistence_mode", Help: "How the server keeps its users: rewrite (CONFIG REWRITE) or aclfile (ACL SAVE).", Default: "it does not"},
		},
		Username:    `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 63 | replace " " "_" }}`,
		MaxUsername: 128,
		Open:        open,
		Where:       where,
	}
}

func where(c driver.Config) (driver.Where, error) {
	d := c.Details.Decode()
	o, err := address(c.URL, d.String("host", ""), d.String("port", "6379"))
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		return driver.Where{}, err
	}
	if c.Username != "" {
		o.Username = c.Username
	}
	if o.Username == "" {
		o.Username = "default"
	}
	return driver.Where{Server: o.Addr, Username: o.Username}, nil
}

func open(c driver.Config) (driver.Database, error) {
	d := c.Details.Decode()
	host, port := d.String("host", ""), d.String("port", "6379")
	encrypted, insecure, ca := d.Bool("tls", false), d.Bool("insecure_tls", false), d.String("ca_cert", "")
	mode := strings.ToLower(d.String("persistence_mode", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	if mode != "" && mode != "rewrite" && mode != "aclfile" {
		return nil, errs.New(errs.Invalid, `persistence_mode must be "rewrite" or "aclfile"`)
	}
	o, err := address(c.URL, host, port)
	if err != nil {
		return nil, err
	}
	if c.Username != "" {
		o.Username = c.Username
	}
	if !c.Password.Empty() {
		o.Password = c.Password.RevealString()
	}
	if encrypted || insecure || ca != "" {
		if o.TLSConfig, err = secure(o, ca, insecure); err != nil {
			return nil, err
		}
	}
	o.PoolSize, o.MaxActiveConns, o.MaxIdleConns = c.Pool.MaxOpen, c.Pool.MaxOpen, c.Pool.MaxIdle
	o.ConnMaxIdleTime, o.ConnMaxLifetime = driver.IdleTime, c.Pool.MaxLifetime
	o.DialTimeout, o.PoolTimeout = connectTimeout, connectTimeout
	o.ContextTimeoutEnabled, o.MaxRetries, o.DisableIdentity = true, -1, true
	o.DialerRetries = 1
	return &database{client: redis.NewClient(o), mode: mode, password: o.Password}, nil
}

// address reads where the server is. User name and password in the URL are
// taken where the connection has none of its own.
func address(url, host, port string) (*redis.Options, error) {
	if host != "" {
		return &redis.Options{Addr: net.JoinHostPort(host, port)}, nil
	}
	if url == "" {
		return nil, errs.New(errs.Invalid, "host or connection_url is needed")
	}
	const mark = "strongkeep0mark"
	o, err := redis.ParseURL(strings.NewReplacer("{{username}}", mark, "{{password}}", mark, "{{ username }}", mark, "{{ password }}", mark).Replace(url))
	if err != nil {
		return nil, errs.New(errs.Invalid, `connection_url is not of the form "redis://{{username}}:{{password}}@host:6379"`)
	}
	if o.Username == mark {
		o.Username = ""
	}
	if o.Password == mark {
		o.Password = ""
	}
	return o, nil
}

func secure(o *redis.Options, ca string, insecure bool) (*tls.Config, error) {
	c := o.TLSConfig
	if c == nil {
		host, _, err := net.SplitHostPort(o.Addr)
		if err != nil {
			return nil, errs.New(errs.Invalid, "host and port do not make an address")
		}
		c = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	c.InsecureSkipVerify = insecure
	if ca != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errs.New(errs.Invalid, "ca_cert holds no certificate in PEM")
		}
	}
	return c, nil
}
