package postgresql

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// fail says what went wrong while doing something, with no word of it secret.
func (d *database) fail(doing string, err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	secrets = append(secrets, d.login, d.password.RevealString(), url.PathEscape(d.login), url.QueryEscape(d.login))
	var pg *pgconn.PgError
	var op *net.OpError
	switch {
	case errors.As(err, &pg):
		return refusal(doing, pg, secrets)
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Newf(errs.Unavailable, "%s: the database did not answer in time", doing)
	case errors.Is(err, context.Canceled):
		return errs.Newf(errs.Unavailable, "%s: given up", doing)
	case errors.As(err, &op):
		return errs.Newf(errs.Unavailable, "%s: the database cannot be reached: %s", doing, driver.Hide(op.Err.Error(), secrets...))
	}
	return errs.Newf(errs.Unavailable, "%s: the connection to the database failed: %s", doing, driver.Hide(err.Error(), secrets...))
}

// refused is what the server said, kept for contended.
type refused struct {
	code string
	err  error
}

func (r *refused) Error() string { return r.err.Error() }
func (r *refused) Unwrap() error { return r.err }

// refusal tells of an error of the server. Its detail, hint and context are left
// out, for they quote what was sent; so is the text of a syntax error, which
// quotes the word it stumbled over.
func refusal(doing string, pg *pgconn.PgError, secrets []string) error {
	switch {
	case pg.Code == "28P01":
		return &refused{pg.Code, errs.Newf(errs.Invalid, "%s: %w (SQLSTATE %s)", doing, driver.ErrPassword, pg.Code)}
	case strings.HasPrefix(pg.Code, "42601"):
		return &refused{pg.Code, errs.Newf(errs.Invalid, "%s: syntax error (SQLSTATE %s)", doing, pg.Code)}
	case temporary(pg.Code):
		return &refused{pg.Code, errs.Newf(errs.Unavailable, "%s: the database cannot do it now: %s (SQLSTATE %s)", doing, driver.Hide(pg.Message, secrets...), pg.Code)}
	}
	return &refused{pg.Code, errs.Newf(errs.Invalid, "%s: %s (SQLSTATE %s)", doing, driver.Hide(pg.Message, secrets...), pg.Code)}
}

// temporary reports whether the same may work later: lost connections, lack of
// resources, shutdown and timeouts, conflicts.
func temporary(code string) bool {
	for _, class := range []string{"08", "40", "53", "57", "58", "XX"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return code == "55P03" || code == "55006"
}

// contended reports whether another transaction was in the way: a deadlock, a
// conflict, or a catalogue entry that both changed.
func contended(err error) bool {
	var r *refused
	if !errors.As(err, &r) {
		return false
	}
	return r.code == "40001" || r.code == "40P01" || r.code == "XX000" && strings.Contains(r.err.Error(), "concurrently")
}
