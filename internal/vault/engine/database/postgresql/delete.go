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

// Delete implements driver.Database. Without statements it revokes what was
// granted in every database, drops the role and ends its sessions; where that is
// not done at one stroke it takes the login away first, so that nothing that
// fails later leaves a user who can still come in. It never drops a table: a role that owns something stays,
// without a login, until the owner of the data has decided.
func (d *database) Delete(ctx context.Context, a *driver.Account) error {
	if len(a.Statements) > 0 {
		return d.run(ctx, "revocation", a, a.Statements)
	}
	r := &removal{database: d, name: a.Username, quoted: pgx.Identifier{a.Username}.Sanitize()}
	if strings.IndexByte(a.Username, 0) >= 0 {
		return nil // there can be none
	}
	simple, err := r.look(ctx)
	if err != nil || r.oid == "" {
		return err
	}
	if simple {
		if err := r.drop(ctx); !errs.Is(err, errs.Invalid) {
			return err
		}
	}
	return r.thorough(ctx)
}

// look finds the role, and whether it is a simple one: one that owns nothing
// and has nothing in other databases.
func (r *removal) look(ctx context.Context) (simple bool, err error) {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return false, r.fail("connecting", err)
	}
	defer conn.Release()
	row, err := r.query(ctx, conn.Conn().PgConn(), "looking for the role",
		`SELECT unnest(ARRAY[r.oid::text, u.rolsuper::text, EXISTS (
		   SELECT FROM pg_catalog.pg_shdepend s WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = r.oid
		   AND (s.deptype = 'o' OR s.dbid NOT IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))))::text])
		 FROM pg_catalog.pg_roles r, pg_catalog.pg_roles u WHERE r.rolname = $1 AND u.rolname = current_user`, r.name)
	if err != nil || len(row) != 3 {
		return false, err
	}
	r.oid, r.super = row[0], row[1] == "true"
	return row[2] == "false", nil
}

// sessions is the statement that ends the role's.
func (r *removal) sessions() string {
	return "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usesysid = " + r.oid + " AND pid <> pg_catalog.pg_backend_pid()"
}

// release are the statements that revoke all that the role was granted in one
// database and on what all share, of whatever kind and by whomever. DROP OWNED
// would also drop what the role owns, so nothing may be.
func (r *removal) release() []string {
	if r.super {
		return []string{"DROP OWNED BY " + r.quoted}
	}
	return []string{"GRANT " + r.quoted + " TO CURRENT_USER", "DROP OWNED BY " + r.quoted} // only a member of the role may
}

// drop revokes the role's grants in our database, drops it and ends its sessions.
func (r *removal) drop(ctx context.Context) error {
	w := &work{doing: "dropping the role", statements: append(r.release(), "DROP ROLE IF EXISTS "+r.quoted)}
	if r.terminate {
		w.after = r.sessions()
	}
	return r.transaction(ctx, w)
}

// thorough is for a role that owns something, has grants in other databases, or
// could not be dropped: it takes the login away before anything else can fail.
func (r *removal) thorough(ctx context.Context) error {
	if err := r.lock(ctx); said(err, undefinedObject) {
		return nil // another node has just dropped it
	} else if err != nil {
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
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return r.fail("connecting", err)
	}
	err = r.owns(ctx, conn.Conn().PgConn())
	conn.Release()
	if err != nil {
		return err
	}
	return r.drop(ctx)
}

// removal is one role on its way out.
type removal struct {
	*database
	name, quoted string
	oid          string // of the role; "" if it is not there
	super        bool   // we are superuser
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

// lock takes the login away and ends the sessions.
func (r *removal) lock(ctx context.Context) error {
	w := &work{doing: "taking the login away", statements: []string{"ALTER ROLE " + r.quoted + " NOLOGIN"}}
	if r.terminate {
		w.after = r.sessions()
	}
	return r.transaction(ctx, w)
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
	if err := r.owns(ctx, conn.PgConn()); err != nil {
		return err
	}
	return r.within(ctx, conn.PgConn(), &work{doing: fmt.Sprintf("revoking in the database %q", database), statements: r.release()})
}

// owns is an error that names what the role owns in c's database.
func (r *removal) owns(ctx context.Context, c *pgconn.PgConn) error {
	owned, err := r.query(ctx, c, "looking for what the role owns",
		`SELECT pg_catalog.pg_describe_object(classid, objid, objsubid) FROM pg_catalog.pg_shdepend
		 WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = $1::oid AND deptype = 'o'
		   AND classid <> 'pg_catalog.pg_default_acl'::regclass
		   AND dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
		 ORDER BY 1 LIMIT 4`, r.oid)
	if err != nil {
		return err
	}
	if len(owned) == 0 {
		return nil
	}
	more := ""
	if len(owned) > 3 {
		owned, more = owned[:3], " and more"
	}
	return errs.Newf(errs.Invalid, "the role cannot log in any more, but it owns %s%s and is not dropped: reassign or drop them, or give the role revocation_statements such as REASSIGN OWNED BY \"{{name}}\" TO ...; DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\"",
		strings.Join(owned, ", "), more)
}
