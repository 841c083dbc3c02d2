package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

const connectTimeout = 10 * time.Second

var fields = []engine.Field{
	{Name: "terminate_sessions", Type: engine.Bool, Help: "End the sessions of a user whose lease ends.", Default: "true"},
	{Name: "tls_ca", Help: "PEM of the authorities that sign the server's certificate."},
	{Name: "tls_certificate_key", Secret: true, Help: "PEM of the client's certificate and its key."},
	{Name: "tls_server_name", Help: "The name the server's certificate must have.", Default: "the host of connection_url"},
	{Name: "tls_skip_verify", Type: engine.Bool, Help: "Take any certificate of the server."},
}

// Type returns MySQL and MariaDB as a kind of database.
func Type() driver.Type {
	return driver.Type{
		Names:       []string{"mysql-database-plugin"},
		Fields:      fields,
		Username:    `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32 }}`,
		MaxUsername: 32,
		Open:        open,
		Where:       where,
	}
}

func where(c driver.Config) (driver.Where, error) {
	conf, err := parse(c)
	if err != nil {
		return driver.Where{}, err
	}
	return driver.Where{Server: conf.Net + "(" + conf.Addr + ")", Username: conf.User}, nil
}

// Legacy is Type for servers that take names of 16 bytes.
func Legacy() driver.Type {
	t := Type()
	t.Names = []string{"mysql-legacy-database-plugin", "mysql-rds-database-plugin", "mysql-aurora-database-plugin"}
	t.Username = `{{ printf "v-%s-%s" (.RoleName | truncate 4) (random 20) | truncate 16 }}`
	t.MaxUsername = 16
	return t
}

// Marks that stand for user name and password while the URL is parsed.
const (
	userMark     = "strongkeep0username0mark"
	passwordMark = "strongkeep0password0mark"
)

func open(c driver.Config) (driver.Database, error) {
	conf, err := parse(c)
	if err != nil {
		return nil, err
	}
	d := c.Details.Decode()
	db := &database{terminate: d.Bool("terminate_sessions", true), password: conf.Passwd}
	ca, pair := d.String("tls_ca", ""), d.String("tls_certificate_key", "")
	name, skip := d.String("tls_server_name", ""), d.Bool("tls_skip_verify", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if ca != "" || pair != "" || name != "" || skip {
		if conf.TLS, err = secure(ca, pair); err != nil {
			return nil, err
		}
		host, _, _ := strings.Cut(conf.Addr, ":")
		conf.TLS.ServerName, conf.TLS.InsecureSkipVerify = host, skip
		if name != "" {
			conf.TLS.ServerName = name
		}
	}
	connector, err := mysql.NewConnector(conf)
	if err != nil {
		return nil, errs.New(errs.Invalid, "connection_url and the details of the connection do not fit together")
	}
	db.pool = sql.OpenDB(connector)
	db.pool.SetMaxOpenConns(c.Pool.MaxOpen)
	db.pool.SetMaxIdleConns(c.Pool.MaxIdle)
	db.pool.SetConnMaxLifetime(c.Pool.MaxLifetime)
	db.pool.SetConnMaxIdleTime(driver.IdleTime)
	return db, nil
}

func parse(c driver.Config) (*mysql.Config, error) {
	if strings.TrimSpace(c.URL) == "" {
		return nil, errs.New(errs.Invalid, "connection_url cannot be empty")
	}
	replace := strings.NewReplacer("{{username}}", userMark, "{{password}}", passwordMark, "{{ username }}", userMark, "{{ password }}", passwordMark)
	conf, err := mysql.ParseDSN(strings.TrimPrefix(replace.Replace(c.URL), "mysql://"))
	if err != nil {
		return nil, errs.New(errs.Invalid, `connection_url is not of the form "{{username}}:{{password}}@tcp(host:3306)/"`)
	}
	back := strings.NewReplacer(userMark, c.Username, passwordMark, c.Password.RevealString())
	conf.User, conf.Passwd = back.Replace(conf.User), back.Replace(conf.Passwd)
	if c.Username != "" {
		conf.User = c.Username
	}
	if !c.Password.Empty() {
		conf.Passwd = c.Password.RevealString()
	}
	// A server could ask for files of this host, or run a second statement.
	conf.AllowAllFiles, conf.MultiStatements = false, false
	if conf.Timeout == 0 || conf.Timeout > connectTimeout {
		conf.Timeout = connectTimeout
	}
	conf.Logger = &mysql.NopLogger{}
	return conf, nil
}

func secure(ca, pair string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errs.New(errs.Invalid, "tls_ca holds no certificate in PEM")
		}
	}
	if pair != "" {
		cert, err := tls.X509KeyPair([]byte(pair), []byte(pair))
		if err != nil {
			return nil, errs.New(errs.Invalid, "tls_certificate_key is not a certificate and its key in PEM")
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
