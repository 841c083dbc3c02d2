package postgresql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

var (
	_ driver.Gatekeeper = (*database)(nil)
	_ driver.Witness    = (*database)(nil)
	_ driver.Ranker     = (*database)(nil)
)

// SQLSTATEs that these methods tell apart.
const (
	undefinedObject       = "42704"
	insufficientPrivilege = "42501"
)

// said reports whether the server refused with this SQLSTATE.
func said(err error, code string) bool {
	var r *refused
	return errors.As(err, &r) && r.code == code
}

// Lock implements driver.Gatekeeper.
func (d *database) Lock(ctx context.Context, username string) error {
	return d.allow(ctx, "taking the login away", username, "NOLOGIN")
}

// Unlock implements driver.Gatekeeper.
func (d *database) Unlock(ctx context.Context, username string) error {
	return d.allow(ctx, "giving the login back", username, "LOGIN")
}

func (d *database) allow(ctx context.Context, doing, username, what string) error {
	if strings.IndexByte(username, 0) >= 0 {
		return errs.Newf(errs.NotExist, "%s: there is no such role", doing)
	}
	err := d.transaction(ctx, &work{doing: doing, statements: []string{"ALTER ROLE " + pgx.Identifier{username}.Sanitize() + " " + what}})
	if said(err, undefinedObject) {
		return errs.Newf(errs.NotExist, "%s: there is no such role", doing)
	}
	return err
}

// EndSessions implements driver.Gatekeeper. Only a member of a role may end its
// sessions: where we are none, we are for as long as that takes, in a
// transaction that is rolled back.
func (d *database) EndSessions(ctx context.Context, username string) error {
	r := &removal{database: d, name: username, quoted: pgx.Identifier{username}.Sanitize()}
	if strings.IndexByte(username, 0) >= 0 {
		return nil // there can be none
	}
	if _, err := r.look(ctx); err != nil || r.oid == "" {
		return err
	}
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return d.fail("connecting", err)
	}
	defer conn.Release()
	c := conn.Conn().PgConn()
	const doing = "ending the sessions"
	_, err = c.Exec(ctx, r.sessions()).ReadAll()
	if failed := d.fail(doing, err); !said(failed, insufficientPrivilege) {
		return failed
	}
	_, err = c.Exec(ctx, strings.Join([]string{"BEGIN", "GRANT " + r.quoted + " TO CURRENT_USER", r.sessions()}, "; ")).ReadAll()
	d.rollback(ctx, c)
	return d.fail(doing, err)
}

// Sessions implements driver.Witness. Every user sees whose the sessions are; from
// where and since when, only a member of pg_read_all_stats.
func (d *database) Sessions(ctx context.Context, username string) (all []driver.Session, partial string, err error) {
	const doing = "looking for sessions"
	rows, err := d.pool.Query(ctx, fmt.Sprintf(`SELECT COALESCE(pg_catalog.host(a.client_addr), ''), COALESCE(a.application_name, ''),
		  COALESCE(EXTRACT(EPOCH FROM a.backend_start), 0)::float8, pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
		FROM pg_catalog.pg_stat_activity a
		WHERE a.usename = $1 AND a.pid <> pg_catalog.pg_backend_pid()
		ORDER BY a.backend_start LIMIT %d`, driver.MaxSessions+1), username)
	if err != nil {
		return nil, "", d.fail(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s driver.Session
		var since float64
		var sees bool
		if err := rows.Scan(&s.Address, &s.Client, &since, &sees); err != nil {
			return nil, "", d.fail(doing, err)
		}
		if since > 0 {
			s.Since = time.UnixMicro(int64(since * 1e6)).UTC()
		}
		if !sees {
			s.Client = "" // "<insufficient privilege>"
			partial = "where sessions come from, and since when, is not shown to the vault's user: GRANT pg_read_all_stats to it"
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, "", d.fail(doing, err)
	}
	if len(all) > driver.MaxSessions {
		all, partial = all[:driver.MaxSessions], fmt.Sprintf("there are more than %d sessions", driver.MaxSessions)
	}
	return all, partial, nil
}

// Rules implements driver.Ranker: of superusers, and of those who can become one by
// SET ROLE.
func (d *database) Rules(ctx context.Context, username string) (rules bool, err error) {
	err = d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles s WHERE s.rolsuper AND pg_catalog.pg_has_role(u.oid, s.oid, 'MEMBER'))
		FROM pg_catalog.pg_roles u WHERE u.rolname = $1`, username).Scan(&rules)
	const doing = "looking for what the role may do"
	if errors.Is(err, pgx.ErrNoRows) {
		return false, errs.Newf(errs.NotExist, "%s: there is no such role", doing)
	}
	return rules, d.fail(doing, err)
}
