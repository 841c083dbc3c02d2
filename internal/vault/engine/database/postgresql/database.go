package postgresql

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/statement"
)

// expiry is how {{expiration}} is written.
const expiry = "2006-01-02 15:04:05-0700"

// What is done where a role has no statements of its own.
var (
	renewStatements  = []string{`ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`}
	rotateStatements = []string{`ALTER ROLE "{{name}}" WITH PASSWORD '{{password}}'`}
)

// database is one server.
type database struct {
	conf      *pgxpool.Config
	pool      *pgxpool.Pool
	password  redact.Secret
	login     string // the password in use, from the URL or given
	scram     bool
	terminate bool

	// Two transactions that grant on the same table cannot both succeed: the
	// server lets one wait and then fail. Transactions share turn, and one that
	// failed so is run again alone.
	turn sync.RWMutex
}

func (d *database) start() error {
	pool, err := pgxpool.NewWithConfig(context.Background(), d.conf)
	if err != nil {
		return errs.New(errs.Invalid, "connection_url and the details of the connection do not fit together")
	}
	d.pool = pool
	return nil
}

// Close implements driver.Database.
func (d *database) Close() { d.pool.Close() }

// Ping implements driver.Database.
func (d *database) Ping(ctx context.Context) error {
	return d.fail("logging in", d.pool.Ping(ctx))
}

// Create implements driver.Database.
func (d *database) Create(ctx context.Context, a *driver.Account) error {
	if len(a.Statements) == 0 {
		return errs.New(errs.Invalid, "empty creation statements: a role of a PostgreSQL connection needs creation_statements")
	}
	return d.run(ctx, "creation", a, a.Statements)
}

// Update implements driver.Database.
func (d *database) Update(ctx context.Context, a *driver.Account) error {
	switch {
	case len(a.Statements) > 0:
		return d.run(ctx, "rotation or renewal", a, a.Statements)
	case !a.Password.Empty():
		return d.run(ctx, "rotation", a, rotateStatements)
	case !a.Expires.IsZero():
		return d.run(ctx, "renewal", a, renewStatements)
	}
	return nil
}

// run runs an account's statements in one transaction.
func (d *database) run(ctx context.Context, what string, a *driver.Account, scripts []string) error {
	values := a.Values(expiry)
	secrets := []string{values["password"]}
	if d.scram && !a.Password.Empty() {
		hashed, err := verifier(a.Password)
		if err != nil {
			return err
		}
		values["password"] = hashed
		secrets = append(secrets, hashed)
	}
	statements, err := statement.Expand(statement.PostgreSQL, scripts, values)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading the %s statements: %w", what, err)
	}
	return d.transaction(ctx, func(c *pgconn.PgConn) error {
		for i, s := range statements {
			if _, err := c.Exec(ctx, s).ReadAll(); err != nil {
				return d.fail(fmt.Sprintf("running %s statement %d of %d", what, i+1, len(statements)), err, secrets...)
			}
		}
		return nil
	})
}

// transaction runs work in a transaction, once more alone if another one was in
// its way.
func (d *database) transaction(ctx context.Context, work func(*pgconn.PgConn) error) error {
	d.turn.RLock()
	err := d.once(ctx, work)
	d.turn.RUnlock()
	if !contended(err) {
		return err
	}
	d.turn.Lock()
	defer d.turn.Unlock()
	for range 5 { // others than we may be at it
		if err = d.once(ctx, work); !contended(err) {
			return err
		}
	}
	return err
}

func (d *database) once(ctx context.Context, work func(*pgconn.PgConn) error) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return d.fail("connecting", err)
	}
	defer conn.Release()
	return d.within(ctx, conn.Conn().PgConn(), work)
}

// within runs work in a transaction on c. The server gives a statement up before
// we do, so that what we gave up for lost is not done later.
func (d *database) within(ctx context.Context, c *pgconn.PgConn, work func(*pgconn.PgConn) error) error {
	begin := "BEGIN; SET LOCAL standard_conforming_strings = on"
	if deadline, ok := ctx.Deadline(); ok {
		begin += fmt.Sprintf("; SET LOCAL statement_timeout = %d", max(1, (time.Until(deadline)*9/10).Milliseconds()))
	}
	if _, err := c.Exec(ctx, begin).ReadAll(); err != nil {
		return d.fail("beginning a transaction", err)
	}
	if err := work(c); err != nil {
		d.rollback(ctx, c)
		return err
	}
	if c.TxStatus() != 'T' {
		return errs.New(errs.Invalid, "the statements end the transaction they run in: leave COMMIT and ROLLBACK out")
	}
	_, err := c.Exec(ctx, "COMMIT").ReadAll()
	return d.fail("committing", err)
}

// rollback leaves the connection fit for the next, or closes it.
func (d *database) rollback(ctx context.Context, c *pgconn.PgConn) {
	if _, err := c.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = c.Close(ctx)
	}
}
