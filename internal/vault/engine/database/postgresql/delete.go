package postgresql

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// Delete implements driver.Database. Without statements it takes the login away
// first, so that nothing that fails later leaves a user who can still come in;
// then it ends the sessions, revokes what was granted in every database, and
// drops the role. It never drops a table: a role that owns something stays,
// without a login, until the owner of the data has decided.
func (d *database) Delete(ctx context.Context, a *driver.Account) error {
	if len(a.Statements) > 0 {
		return d.run(ctx, "revocation", a, a.Statements)
	}
	r := &removal{database: d, name: a.Username, quoted: pgx.Identifier{a.Username}.Sanitize()}
	if strings.IndexByte(a.Username, 0) >= 0 {
		return nil // there can be none
	}
	there, err := r.lock(ctx)
	if err != nil || !there {
		return err
	}
	others, err := r.elsewhere(ctx)
	if err != nil {
		return err
	}
	for _, name := range others {
		if err := r.releaseIn(ctx, name); err != nil {
			return err
		}
	}
	return d.transaction(ctx, func(c *pgconn.PgConn) error {
		if err := r.release(ctx, c); err != nil {
			return err
		}
		return r.exec(ctx, c, "dropping the role", "DROP ROLE IF EXISTS "+r.quoted)
	})
}

// removal is one role on its way out.
type removal struct {
	*database
	name, quoted string
	oid          string // of the role
}

func (r *removal) exec(ctx context.Context, c *pgconn.PgConn, doing, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return r.fail(doing, err)
}

// query returns the first column of the rows.
func (r *removal) query(ctx context.Context, c *pgconn.PgConn, doing, sql string, args ...string) ([]string, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	res := c.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, r.fail(doing, res.Err)
	}
	column := make([]string, len(res.Rows))
	for i, row := range res.Rows {
		column[i] = string(row[0])
	}
	return column, nil
}

// lock takes the login away and ends the sessions. It reports whether the role is there.
func (r *removal) lock(ctx context.Context) (bool, error) {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return false, r.fail("connecting", err)
	}
	defer conn.Release()
	c := conn.Conn().PgConn()
	found, err := r.query(ctx, c, "looking for the role", `SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1`, r.name)
	if err != nil || len(found) == 0 {
		return false, err
	}
	r.oid = found[0]
	if err := r.exec(ctx, c, "taking the login away", "ALTER ROLE "+r.quoted+" NOLOGIN"); err != nil {
		return true, err
	}
	if !r.terminate {
		return true, nil
	}
	_, err = r.query(ctx, c, "ending sessions", `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usesysid = $1::oid AND pid <> pg_catalog.pg_backend_pid()`, r.oid)
	if errs.Is(err, errs.Invalid) {
		err = nil // we may not; without a login and grants they are of little use
	}
	return true, err
}

// elsewhere returns the other databases in which the role has something.
func (r *removal) elsewhere(ctx context.Context) (names []string, err error) {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return nil, r.fail("connecting", err)
	}
	defer conn.Release()
	return r.query(ctx, conn.Conn().PgConn(), "looking for grants in other databases",
		`SELECT DISTINCT d.datname FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
		 WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = $1::oid
		   AND d.datname <> pg_catalog.current_database() AND d.datallowconn`, r.oid)
}

// releaseIn revokes in another database of the server.
func (r *removal) releaseIn(ctx context.Context, database string) error {
	conf := r.conf.ConnConfig.Copy()
	conf.Database = database
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return r.fail(fmt.Sprintf("connecting to the database %q", database), err)
	}
	defer func() { _ = conn.Close(ctx) }()
	return r.within(ctx, conn.PgConn(), func(c *pgconn.PgConn) error { return r.release(ctx, c) })
}

// release revokes all that the role was granted in c's database and on what all
// share. DROP OWNED does that for every kind of object and whoever granted it;
// it would drop what the role owns, too, so that comes first.
func (r *removal) release(ctx context.Context, c *pgconn.PgConn) error {
	owned, err := r.query(ctx, c, "looking for what the role owns",
		`SELECT pg_catalog.pg_describe_object(classid, objid, objsubid) FROM pg_catalog.pg_shdepend
		 WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = $1::oid AND deptype = 'o'
		   AND classid <> 'pg_catalog.pg_default_acl'::regclass
		   AND dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
		 ORDER BY 1 LIMIT 4`, r.oid)
	if err != nil {
		return err
	}
	if len(owned) > 0 {
		more := ""
		if len(owned) > 3 {
			owned, more = owned[:3], " and more"
		}
		return errs.Newf(errs.Invalid, "the role cannot log in any more, but it owns %s%s and is not dropped: reassign or drop them, or give the role revocation_statements such as REASSIGN OWNED BY \"{{name}}\" TO ...; DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\"",
			strings.Join(owned, ", "), more)
	}
	super, err := r.query(ctx, c, "asking for our rights", `SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper`)
	if err != nil {
		return err
	}
	if len(super) == 0 { // only a member of the role may
		if err := r.exec(ctx, c, "joining the role to revoke its grants", "GRANT "+r.quoted+" TO CURRENT_USER"); err != nil {
			return err
		}
	}
	return r.exec(ctx, c, "revoking the role's grants", "DROP OWNED BY "+r.quoted)
}
