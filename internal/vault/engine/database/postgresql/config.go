package postgresql

import (
	"crypto/tls"
	"crypto/x509"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// connectTimeout bounds one attempt to connect, whoever waits for it.
const connectTimeout = 10 * time.Second

// Type returns PostgreSQL as a kind of database.
func Type() driver.Type {
	return driver.Type{
		Names: []string{"postgresql-database-plugin"},
		Fields: []engine.Field{
			{Name: "password_authentication", Help: "password, or scram-sha-256: passwords are hashed here, and the server's log never holds one.", Default: "password"},
			{Name: "terminate_sessions", Type: engine.Bool, Help: "End the sessions of a user whose lease ends.", Default: "true"},
			{Name: "disable_escaping", Type: engine.Bool, Help: "Put user name and password into connection_url as they are."},
			{Name: "tls_ca", Help: "PEM of the authorities that sign the server's certificate."},
			{Name: "tls_certificate", Help: "PEM of the client's certificate."},
			{Name: "private_key", Secret: true, Help: "PEM of the client certificate's key."},
		},
		Username:    `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}`,
		MaxUsername: 63,
		Open:        open,
		Where:       where,
	}
}

func where(c driver.Config) (driver.Where, error) {
	d := c.Details.Decode()
	raw := d.Bool("disable_escaping", false)
	if err := d.Err(); err != nil {
		return driver.Where{}, err
	}
	conf, err := parse(c, raw)
	if err != nil {
		return driver.Where{}, err
	}
	cc := conf.ConnConfig
	servers := []string{net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port)))}
	for _, f := range cc.Fallbacks { // with and without TLS each
		if s := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
	}
	return driver.Where{Server: strings.Join(servers, ","), Username: cc.User}, nil
}

func open(c driver.Config) (driver.Database, error) {
	d := c.Details.Decode()
	auth := d.String("password_authentication", "password")
	db := &database{
		scram:     auth == "scram-sha-256",
		terminate: d.Bool("terminate_sessions", true),
		password:  c.Password,
	}
	raw := d.Bool("disable_escaping", false)
	ca, cert, key := d.String("tls_ca", ""), d.String("tls_certificate", ""), d.String("private_key", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if auth != "password" && auth != "scram-sha-256" {
		return nil, errs.New(errs.Invalid, `password_authentication must be "password" or "scram-sha-256"`)
	}
	conf, err := parse(c, raw)
	if err != nil {
		return nil, err
	}
	if err := secure(conf.ConnConfig, ca, cert, key); err != nil {
		return nil, err
	}
	conf.ConnConfig.ConnectTimeout = connectTimeout
	conf.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared: each statement is run once, and holds a password
	conf.MaxConns = int32(min(c.Pool.MaxOpen, math.MaxInt32))
	conf.MinConns, conf.MinIdleConns = 0, 0
	conf.MaxConnIdleTime = driver.IdleTime
	conf.MaxConnLifetime = c.Pool.MaxLifetime
	if conf.MaxConnLifetime == 0 {
		conf.MaxConnLifetime = math.MaxInt64
	}
	conf.PingTimeout = connectTimeout
	db.conf = conf
	db.login = conf.ConnConfig.Password
	return db, db.start()
}

// Marks that stand for user name and password while the URL is parsed, so that
// nothing in them can change what the URL says, and no error can quote them.
const (
	userMark     = "strongkeep0username0mark"
	passwordMark = "strongkeep0password0mark"
)

// parse reads a URL or a list of key=value.
func parse(c driver.Config, raw bool) (*pgxpool.Config, error) {
	if strings.TrimSpace(c.URL) == "" {
		return nil, errs.New(errs.Invalid, "connection_url cannot be empty")
	}
	text := c.URL
	replace := strings.NewReplacer("{{username}}", userMark, "{{password}}", passwordMark, "{{ username }}", userMark, "{{ password }}", passwordMark)
	if raw {
		replace = strings.NewReplacer("{{username}}", c.Username, "{{password}}", c.Password.RevealString())
	}
	text = replace.Replace(text)
	if err := checkOptions(text); err != nil {
		return nil, err
	}
	conf, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, errs.New(errs.Invalid, `connection_url is neither a URL like "postgresql://{{username}}:{{password}}@host:5432/postgres" nor a list like "host=... dbname=..."`)
	}
	back := strings.NewReplacer(userMark, c.Username, passwordMark, c.Password.RevealString())
	cc := conf.ConnConfig
	cc.User, cc.Password, cc.Database = back.Replace(cc.User), back.Replace(cc.Password), back.Replace(cc.Database)
	for name, value := range cc.RuntimeParams {
		cc.RuntimeParams[name] = back.Replace(value)
	}
	if c.Username != "" {
		cc.User = c.Username
	}
	if !c.Password.Empty() {
		cc.Password = c.Password.RevealString()
	}
	return conf, nil
}

// checkOptions refuses what would have the driver send files of this host, such
// as another's passwords, to a server that whoever writes the URL has chosen.
func checkOptions(text string) error {
	if u, err := url.Parse(text); err == nil && u.Scheme != "" {
		text = strings.ReplaceAll(u.RawQuery, "&", " ")
		if q, err := url.QueryUnescape(text); err == nil {
			text = q
		}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }) {
		switch name, _, _ := strings.Cut(strings.ToLower(word), "="); name {
		case "passfile", "service", "servicefile":
			return errs.Newf(errs.Invalid, "connection_url must not name a %s: give username and password", name)
		}
	}
	return nil
}

// secure has every address of the connection use these certificates.
func secure(c *pgx.ConnConfig, ca, cert, key string) error { //nolint:cyclop // a flat list of conditions
	if ca == "" && cert == "" && key == "" {
		return nil
	}
	apply := func(t *tls.Config) error {
		if ca != "" {
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM([]byte(ca)) {
				return errs.New(errs.Invalid, "tls_ca holds no certificate in PEM")
			}
			t.RootCAs = pool
		}
		if cert != "" || key != "" {
			pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
			if err != nil {
				return errs.New(errs.Invalid, "tls_certificate and private_key are not a certificate and its key in PEM")
			}
			t.Certificates = []tls.Certificate{pair}
		}
		return nil
	}
	encrypted := false
	for _, f := range append([]*pgconn.FallbackConfig{{TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
		if f.TLSConfig == nil {
			continue
		}
		encrypted = true
		if err := apply(f.TLSConfig); err != nil {
			return err
		}
	}
	if !encrypted {
		return errs.New(errs.Invalid, "connection_url switches TLS off, yet certificates are given: say sslmode=verify-full")
	}
	return nil
}
