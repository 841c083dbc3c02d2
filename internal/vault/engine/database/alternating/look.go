package alternating

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

// Sides is who uses the two credentials of a turn, as the database sees it.
type Sides struct {
	New, Old Seen
	Partial  string // what the database does not show, for people; "" = nothing
}

// Seen are the sessions of one side.
type Seen struct {
	User     string // "" = there is no such side
	Sessions []driver.Session
}

// Look asks a role's database for sessions. Kinds of errors: those of
// driver.Database; a database that cannot tell is no error, and Partial says so.
func Look(ctx context.Context, server rotation.Server, r *Role) (*Sides, error) {
	var s Sides
	s.New.User, s.Old.User = r.Of()
	err := server.Use(ctx, driver.CallTimeout, func(ctx context.Context, db driver.Database) error {
		witness, ok := db.(driver.Witness)
		if !ok {
			s.Partial = "this kind of database does not tell of sessions, as far as is built in"
			return nil
		}
		var partial []string
		for _, side := range []*Seen{&s.New, &s.Old} {
			if side.User == "" || side == &s.Old && r.Overlap == Passwords {
				continue
			}
			sessions, missing, err := witness.Sessions(ctx, side.User)
			if err != nil {
				return err
			}
			side.Sessions = sessions
			if missing != "" && len(partial) == 0 {
				partial = append(partial, missing)
			}
		}
		if r.Overlap == Passwords {
			partial = append(partial, "with two passwords of one user the database does not tell which of them a session logged in with: all sessions are listed as new")
		}
		s.Partial = strings.Join(partial, "; ")
		return nil
	})
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "looking for sessions: %w", err)
	}
	return &s, nil
}
