package postgresql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
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
	turn   sync.RWMutex
	serial atomic.Int64 // Unix ns until which none is run beside others
	batches
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
		return engine.Unmade(errs.New(errs.Invalid, "empty creation statements: a role of a PostgreSQL connection needs creation_statements"))
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
		return engine.Unmade(errs.Newf(errs.Invalid, "reading the %s statements: %w", what, err))
	}
	return d.transaction(ctx, &work{doing: "running the " + what + " statements", statements: statements, secrets: secrets})
}

// work is a transaction's.
type work struct {
	doing      string   // for errors
	statements []string // each exactly one
	secrets    []string // what of them no error may show
	after      string   // a statement that runs behind the commit, where refusal does not matter; "" = none
}

// serialTime is for how long transactions stay out of each other's way after two
// could not both succeed.
const serialTime = 10 * time.Second

// transaction runs work in a transaction, once more alone if another one was in
// its way.
func (d *database) transaction(ctx context.Context, w *work) error {
	if time.Now().UnixNano() > d.serial.Load() {
		d.turn.RLock()
		err := d.once(ctx, w)
		d.turn.RUnlock()
		if !contended(err) {
			return err
		}
		d.serial.Store(time.Now().Add(serialTime).UnixNano())
	}
	if w.shareable() {
		if err := d.together(ctx, w); !contended(err) && !broken(err) {
			return err
		}
	}
	d.turn.Lock()
	defer d.turn.Unlock()
	err := d.once(ctx, w)
	for range 4 { // others than we may be at it
		if !contended(err) {
			break
		}
		err = d.once(ctx, w)
	}
	return err
}

func (d *database) once(ctx context.Context, w *work) error {
	if err := ctx.Err(); err != nil {
		return engine.Unmade(d.fail("waiting for the connection", err))
	}
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return engine.Unmade(d.fail("connecting", err))
	}
	defer conn.Release()
	return d.within(ctx, conn.Conn().PgConn(), w)
}

// within runs a transaction on c, in two messages. The server gives a statement
// up before we do, so that what we gave up for lost is not done later.
func (d *database) within(ctx context.Context, c *pgconn.PgConn, w *work) error {
	if err := d.conform(ctx, c); err != nil {
		return err
	}
	first := begin(ctx)
	results, err := c.Exec(ctx, strings.Join(slices.Concat(first, w.statements), "\n;\n")).ReadAll()
	if err != nil {
		d.rollback(ctx, c)
		err := d.fail(w.at(len(results)-len(first)+1), err, w.secrets...)
		// COMMIT was not sent: only statements that end the transaction themselves
		// could have left something, and not those that the server could not read.
		if w.shareable() || len(results) == 0 && errs.Is(err, errs.Invalid) {
			return engine.Unmade(err)
		}
		return err
	}
	if c.TxStatus() != 'T' {
		return errs.New(errs.Invalid, "the statements end the transaction they run in: leave COMMIT and ROLLBACK out")
	}
	var after []string
	if w.after != "" {
		after = []string{w.after}
	}
	return d.commit(ctx, c, after...)
}

// commitTime is how much longer than for the rest one waits for a commit: what
// came of it should be known, for if it is taken for undone, nobody undoes it.
const commitTime = 10 * time.Second

// commit ends a transaction, and runs what comes behind it.
func (d *database) commit(ctx context.Context, c *pgconn.PgConn, after ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	results, err := c.Exec(ctx, strings.Join(append([]string{"COMMIT"}, after...), "; ")).ReadAll()
	if err = d.fail("committing", err); len(results) > 0 && errs.Is(err, errs.Invalid) {
		return nil // what comes after was refused
	}
	return err
}

// conforming is the setting by which a backslash in '...' is but a character, as
// statement.Expand takes it to be.
const conforming = "standard_conforming_strings"

// conform sets it where it is off. That takes a message of its own: the server
// reads all of a message before it does any of it.
func (d *database) conform(ctx context.Context, c *pgconn.PgConn) error {
	if c.ParameterStatus(conforming) == "on" { // nearly everywhere
		return nil
	}
	_, err := c.Exec(ctx, "SET "+conforming+" = on").ReadAll()
	return d.fail("setting "+conforming, err)
}

// idle is for how long the server waits for the next message of a transaction, before it rolls
// that back: a node that is stopped between two of them, its connections open, would else lock
// what it has changed for all others.
const idle = 5 * time.Second

// begin are the statements that begin a transaction.
func begin(ctx context.Context) []string {
	all := []string{"BEGIN", fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d", idle.Milliseconds())}
	if deadline, ok := ctx.Deadline(); ok {
		all = append(all, fmt.Sprintf("SET LOCAL statement_timeout = %d", max(1, (time.Until(deadline)*9/10).Milliseconds())))
	}
	return all
}

// at names the n-th statement as what is being done.
func (w *work) at(n int) string {
	if n < 1 || len(w.statements) < 2 {
		return w.doing
	}
	return fmt.Sprintf("%s (number %d of %d)", w.doing, min(n, len(w.statements)), len(w.statements))
}

// rollback leaves the connection fit for the next, or closes it.
func (d *database) rollback(ctx context.Context, c *pgconn.PgConn) {
	if _, err := c.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = c.Close(ctx)
	}
}
