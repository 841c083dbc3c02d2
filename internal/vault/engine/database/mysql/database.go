package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/statement"
)

// expiry is how {{expiration}} is written.
const expiry = "2006-01-02 15:04:05-0700"

// database is one server.
type database struct {
	pool      *sql.DB
	password  string
	terminate bool
}

// Close implements driver.Database.
func (d *database) Close() { _ = d.pool.Close() }

// Ping implements driver.Database.
func (d *database) Ping(ctx context.Context) error {
	return d.fail("logging in", d.pool.PingContext(ctx))
}

// Create implements driver.Database.
func (d *database) Create(ctx context.Context, a *driver.Account) error {
	if len(a.Statements) == 0 {
		return engine.Unmade(errs.New(errs.Invalid, "empty creation statements: a role of a MySQL connection needs creation_statements"))
	}
	return d.run(ctx, "creation", a.Statements, a.Values(expiry))
}

// Update implements driver.Database. MySQL knows no time at which a user
// expires: without statements only the password is set.
func (d *database) Update(ctx context.Context, a *driver.Account) error {
	if len(a.Statements) > 0 {
		return d.run(ctx, "rotation or renewal", a.Statements, a.Values(expiry))
	}
	if a.Password.Empty() {
		return nil
	}
	hosts, err := d.hosts(ctx, a.Username)
	if err != nil {
		return err
	}
	if slices.Contains(hosts, "%") || len(hosts) == 0 {
		hosts = []string{"%"}
	}
	return d.each(ctx, "rotation", "ALTER USER '{{name}}'@'{{host}}' IDENTIFIED BY '{{password}}'", a, hosts)
}

// Delete implements driver.Database.
func (d *database) Delete(ctx context.Context, a *driver.Account) error {
	if len(a.Statements) > 0 {
		if err := d.run(ctx, "revocation", a.Statements, a.Values(expiry)); err != nil {
			return err
		}
		return d.end(ctx, a.Username)
	}
	hosts, err := d.hosts(ctx, a.Username)
	if err != nil {
		return err
	}
	if err := d.each(ctx, "revocation", "DROP USER IF EXISTS '{{name}}'@'{{host}}'", a, hosts); err != nil {
		return err
	}
	return d.end(ctx, a.Username)
}

// each runs a statement for every host of a user.
func (d *database) each(ctx context.Context, what, script string, a *driver.Account, hosts []string) error {
	for _, host := range hosts {
		values := a.Values(expiry)
		values["host"] = host
		if err := d.run(ctx, what, []string{script}, values); err != nil {
			return err
		}
	}
	return nil
}

// hosts returns the hosts that a user is known from; "%" if we may not ask.
func (d *database) hosts(ctx context.Context, username string) ([]string, error) {
	hosts, err := d.query(ctx, "looking for the user", "SELECT Host FROM mysql.user WHERE User = ?", username)
	if errs.Is(err, errs.Invalid) && !errors.Is(err, driver.ErrPassword) {
		return []string{"%"}, nil
	}
	return hosts, err
}

// end ends a user's sessions, if it is wanted and we may.
func (d *database) end(ctx context.Context, username string) error {
	if !d.terminate {
		return nil
	}
	_, err := d.kill(ctx, username)
	return err
}

// kill ends a user's sessions. refused is why the server did not end one of them.
func (d *database) kill(ctx context.Context, username string) (refused, err error) {
	ids, err := d.query(ctx, "looking for sessions", "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ?", username)
	if err != nil {
		return nil, err
	}
	conn, err := d.conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			continue
		}
		_, err = conn.ExecContext(ctx, fmt.Sprintf("KILL %d", n))
		failed := d.fail("ending a session", err)
		var my *mysql.MySQLError
		switch {
		case errs.Is(failed, errs.Unavailable):
			return nil, failed
		case errors.As(err, &my) && my.Number != noSuchThread:
			refused = failed
		}
	}
	return refused, nil
}

// query returns the first column of the rows.
func (d *database) query(ctx context.Context, doing, query string, args ...any) ([]string, error) {
	conn, err := d.conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, d.fail(doing, err)
	}
	defer func() { _ = rows.Close() }()
	var column []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, d.fail(doing, err)
		}
		column = append(column, s)
	}
	return column, d.fail(doing, rows.Err())
}

// conn returns a connection whose statements the server gives up before we do, so
// that what we gave up for lost is not done later: a GRANT that waits for a lock
// would be done after the user's revocation. MariaDB bounds every statement;
// MySQL bounds its waiting for locks, in whole seconds, and queries.
func (d *database) conn(ctx context.Context) (*sql.Conn, error) {
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return nil, engine.Unmade(d.fail("connecting", err))
	}
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return conn, nil
	}
	limit := max(time.Until(deadline)*9/10, time.Millisecond)
	locks := max(1, int(limit/time.Second))
	_, err = conn.ExecContext(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d, SESSION innodb_lock_wait_timeout = %d"+
		" /*M!100101 , SESSION max_statement_time = %.3f */ /*!50708 , SESSION max_execution_time = %d */",
		locks, locks, limit.Seconds(), limit.Milliseconds()))
	if err = d.fail("bounding the time of statements", err); err != nil && !errs.Is(err, errs.Invalid) {
		_ = conn.Close()
		return nil, engine.Unmade(err)
	}
	return conn, nil // a proxy that refuses it has limits of its own
}

// run runs statements on one connection, one after the other.
func (d *database) run(ctx context.Context, what string, scripts []string, values map[string]string) error {
	statements, err := statement.Expand(statement.MySQL, scripts, values)
	if err != nil {
		return engine.Unmade(errs.Newf(errs.Invalid, "reading the %s statements: %w", what, err))
	}
	conn, err := d.conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for i, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			failed := d.fail(fmt.Sprintf("running %s statement %d of %d", what, i+1, len(statements)), err, values["password"])
			if i == 0 && atomic(s, err) {
				return engine.Unmade(failed)
			}
			return failed
		}
	}
	return nil
}

// atomic reports whether a statement that failed so did nothing. CREATE does all
// or nothing; but of several users MariaDB makes those that it can, and says 1396.
// Other statements may be calls of who knows what.
func atomic(statement string, err error) bool {
	var my *mysql.MySQLError
	if !errors.As(err, &my) || !errs.Is(refusal("", my, nil), errs.Invalid) {
		return false
	}
	word, _, _ := strings.Cut(statement, " ")
	several := my.Number == cannotUser && strings.Contains(statement, ",")
	return my.Number == syntaxError || strings.EqualFold(word, "CREATE") && !several
}

// Numbers of errors of the server (mysqld_error.h).
const (
	tooManyConnections = 1040
	accessDenied       = 1045
	shuttingDown       = 1053
	syntaxError        = 1064
	noSuchThread       = 1094 // of a session that has ended by itself
	hostBlocked        = 1129
	tooManyOfUser      = 1203
	lockTimeout        = 1205
	deadlock           = 1213
	limitReached       = 1226
	interrupted        = 1317
	cannotUser         = 1396
	statementTimeout   = 1969 // MariaDB
	queryTimeout       = 3024 // MySQL
)

// fail says what went wrong while doing something, with no word of it secret.
func (d *database) fail(doing string, err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	secrets = append(secrets, d.password)
	var my *mysql.MySQLError
	var op *net.OpError
	switch {
	case errors.As(err, &my):
		return refusal(doing, my, secrets)
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Newf(errs.Unavailable, "%s: the database did not answer in time", doing)
	case errors.Is(err, context.Canceled):
		return errs.Newf(errs.Unavailable, "%s: given up", doing)
	case errors.As(err, &op):
		return errs.Newf(errs.Unavailable, "%s: the database cannot be reached: %s", doing, driver.Hide(op.Err.Error(), secrets...))
	}
	return errs.Newf(errs.Unavailable, "%s: the connection to the database failed: %s", doing, driver.Hide(err.Error(), secrets...))
}

func refusal(doing string, my *mysql.MySQLError, secrets []string) error {
	switch my.Number {
	case accessDenied:
		return errs.Newf(errs.Invalid, "%s: %w (error %d)", doing, driver.ErrPassword, my.Number)
	case syntaxError: // its text quotes the statement
		return errs.Newf(errs.Invalid, "%s: syntax error (error %d)", doing, my.Number)
	case tooManyConnections, shuttingDown, hostBlocked, tooManyOfUser, lockTimeout, deadlock, limitReached, interrupted, statementTimeout, queryTimeout:
		return errs.Newf(errs.Unavailable, "%s: the database cannot do it now: %s (error %d)", doing, driver.Hide(my.Message, secrets...), my.Number)
	}
	return errs.Newf(errs.Invalid, "%s: %s (error %d)", doing, driver.Hide(my.Message, secrets...), my.Number)
}
