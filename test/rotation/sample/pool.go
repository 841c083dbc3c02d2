package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// queryLimit is generous: the machine may be busy, and a slow query is none that
// failed.
const queryLimit = 20 * time.Second

// pool is the connections of one credential.
type pool struct {
	db    *sql.DB
	user  string
	query string
	hide  string         // the password, for error texts
	users sync.WaitGroup // of the pool; see app.borrow
}

// open prepares connections and makes none. Logins are counted.
func open(c config, as credential, logins *atomic.Int64) (*pool, error) {
	connector, err := c.connector(as)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(counting{connector, logins})
	db.SetMaxOpenConns(c.workers)
	db.SetMaxIdleConns(c.workers)
	db.SetConnMaxLifetime(c.life)
	return &pool{db: db, user: as.user, query: c.query, hide: as.password}, nil
}

// connector logs in with nothing but the credential given.
func (c config) connector(as credential) (driver.Connector, error) {
	if c.kind == "mariadb" {
		m := mysql.NewConfig()
		m.User, m.Passwd, m.Net, m.Addr, m.DBName = as.user, as.password, "tcp", c.address, c.database
		return mysql.NewConnector(m)
	}
	host, _, err := net.SplitHostPort(c.address)
	if err != nil {
		return nil, fmt.Errorf("reading -address: %w", err)
	}
	p, err := pgx.ParseConfig("postgres://" + c.address + "/" + c.database + "?sslmode=disable&application_name=sample")
	if err != nil {
		return nil, fmt.Errorf("reading -address: %w", err)
	}
	p.Host, p.User, p.Password = host, as.user, as.password
	return stdlib.GetConnector(*p), nil
}

// counting counts the connections that a Connector is asked for.
type counting struct {
	driver.Connector
	logins *atomic.Int64
}

func (c counting) Connect(ctx context.Context) (driver.Conn, error) {
	c.logins.Add(1)
	return c.Connector.Connect(ctx)
}

// ask makes one query and reads its answer.
func (p *pool) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	rows, err := p.db.QueryContext(ctx, p.query)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return errors.Join(rows.Err(), rows.Close())
}

// text is an error's without the password.
func (p *pool) text(err error) string { return strings.ReplaceAll(err.Error(), p.hide, "***") }

// drain ends the pool once nobody uses it.
func (p *pool) drain() {
	p.users.Wait()
	_ = p.db.Close()
}

// refused reports whether the database did not accept the credential.
func refused(err error) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		return strings.HasPrefix(p.Code, "28") // invalid authorization specification
	}
	var m *mysql.MySQLError
	// ER_ACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR, ER_ACCOUNT_HAS_BEEN_LOCKED (MariaDB, MySQL)
	return errors.As(err, &m) && (m.Number == 1045 || m.Number == 1044 || m.Number == 4151 || m.Number == 3118)
}
