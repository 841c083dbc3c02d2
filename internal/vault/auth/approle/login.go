package approle

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// errInvalid does not say which of the two is wrong: role IDs are not for
// guessing either. Nor does errMissing say that the role ID is right.
var (
	errInvalid = errs.New(errs.Invalid, "invalid role or secret ID")
	errMissing = errs.New(errs.Invalid, "invalid role or secret ID: missing secret_id")
)

func (e *Engine) login(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) { //nolint:cyclop // a flat list of conditions
	d := req.Decode()
	roleID, secret := d.String("role_id", ""), d.String("secret_id", "")
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case roleID == "":
		return nil, errs.New(errs.Invalid, "missing role_id")
	case len(secret) > maxSecretID:
		return nil, errInvalid
	}
	r, err := e.byRoleID(ctx, tx, roleID)
	if errors.Is(err, errInvalid) && secret == "" {
		err = errMissing
	}
	if err != nil {
		return nil, err
	}
	params, err := r.Engine()
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{"role_name": r.Name}
	if r.BindSecretID {
		s, err := e.spend(ctx, tx, req, r, secret)
		if err != nil {
			return nil, err
		}
		maps.Copy(metadata, s.Metadata)
		metadata["role_name"] = r.Name
		if len(s.tokenCIDRs) > 0 {
			params.BoundCIDRs = s.tokenCIDRs
		}
	}
	if !auth.AllowsAddr(r.secretIDCIDRs, req.Remote) || !auth.AllowsAddr(params.BoundCIDRs, req.Remote) {
		return nil, wrongAddress(req.Remote)
	}
	return &engine.Response{Auth: &engine.Auth{
		DisplayName: r.Name, Alias: r.RoleID, Metadata: metadata, Params: params, Renewable: true, Orphan: true,
	}}, nil
}

func wrongAddress(remote netip.Addr) error {
	return errs.Newf(errs.Invalid, "source address %q unauthorized through CIDR restrictions on the secret ID or the role", remote)
}

func (e *Engine) byRoleID(ctx context.Context, tx engine.Tx, roleID string) (*role, error) {
	at, err := e.hash(ctx, tx, roleID)
	if err != nil {
		return nil, err
	}
	name, err := tx.Get(ctx, idFolder+at)
	if err != nil {
		return nil, err
	}
	if !name.Exists() {
		return nil, errInvalid
	}
	r, err := e.roles.Load(ctx, tx, string(name.Value))
	if err == nil && (r == nil || r.RoleID != roleID) {
		err = errInvalid
	}
	return r, err
}

// spend checks a secret ID and takes one of its uses, in the login's own commit.
func (e *Engine) spend(ctx context.Context, tx engine.Tx, req *engine.Request, r *role, secret string) (*secretID, error) {
	if secret == "" {
		return nil, errMissing
	}
	at, err := e.hash(ctx, tx, r.Set, secret)
	if err != nil {
		return nil, err
	}
	s, err := load(ctx, tx, r, at, req.Time)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errInvalid
	}
	if !auth.AllowsAddr(s.cidrs, req.Remote) {
		return nil, wrongAddress(req.Remote)
	}
	switch s.Uses {
	case 0:
		return s, nil
	case 1:
		remove(tx, r.Set, at, s)
		return s, nil
	}
	left := *s
	left.Uses--
	left.Updated = req.Time
	return s, put(tx, r, at, &left)
}

// Renew implements engine.Renewer: the role must still be there, and says how long.
func (e *Engine) Renew(ctx context.Context, tx engine.Tx, a *engine.Auth) (*engine.Auth, error) {
	name, err := auth.CleanName("role", a.Metadata["role_name"])
	if err != nil {
		return nil, errs.New(errs.Invalid, "the token does not say by which role it was given: log in again")
	}
	r, err := e.roles.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.Newf(errs.Invalid, "role %q was deleted: its tokens cannot be renewed", name)
	}
	next := *a
	next.Params, err = r.Engine()
	return &next, err
}

const dueFolder = "due/"

// batch is how many secret IDs are deleted in one commit: four changes each.
const batch = 100

// Work implements engine.Worker: it deletes secret IDs that have ended, and
// those of roles that are gone.
func (e *Engine) Work(ctx context.Context) (time.Time, error) {
	if err := e.sweepGone(ctx); err != nil {
		return time.Time{}, err
	}
	now := e.cfg.Now().UTC()
	return nextHour(now), e.sweepDue(ctx, hourOf(now))
}

// nextHour is when the hour of now is over.
func nextHour(now time.Time) time.Time { return now.Truncate(time.Hour).Add(time.Hour) }

func (e *Engine) tidy(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	e.cfg.Wake()
	return &engine.Response{Status: 202, Warnings: []string{"Tidy operation successfully started. What it finds is in the server's log."}}, nil
}

// sweepDue deletes what ended in the hours before this one.
func (e *Engine) sweepDue(ctx context.Context, thisHour string) error {
	hours, err := e.list(ctx, dueFolder)
	if err != nil {
		return err
	}
	for _, hour := range hours {
		if hour[:len(hour)-1] >= thisHour {
			continue
		}
		if err := e.each(ctx, dueFolder+hour, func(ctx context.Context, tx engine.Tx, at string) error {
			set, err := tx.Get(ctx, dueFolder+hour+at)
			if err != nil {
				return err
			}
			tx.Delete(dueFolder + hour + at)
			return forget(ctx, tx, string(set.Value), at)
		}); err != nil {
			return err
		}
	}
	return nil
}

// sweepGone deletes the secret IDs of roles that were deleted.
func (e *Engine) sweepGone(ctx context.Context) error {
	sets, err := e.list(ctx, goneFolder)
	if err != nil {
		return err
	}
	for _, set := range sets {
		if err := e.each(ctx, "secret/"+set+"/", func(ctx context.Context, tx engine.Tx, at string) error {
			return forget(ctx, tx, set, at)
		}); err != nil {
			return err
		}
		if err := e.cfg.Duty(ctx, func(_ context.Context, tx engine.Tx) error {
			tx.Delete(goneFolder + set)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// forget deletes one secret ID with all that points to it.
func forget(ctx context.Context, tx engine.Tx, set, at string) error {
	stored, err := tx.Get(ctx, secretKey(set, at))
	if err != nil || !stored.Exists() {
		return err
	}
	s, err := decodeSecretID(stored.Value)
	if err != nil {
		tx.Delete(secretKey(set, at))
		return nil // what cannot be read cannot be used either
	}
	remove(tx, set, at, s)
	return nil
}

func (e *Engine) list(ctx context.Context, folder string) (names []string, err error) {
	err = e.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) error {
		names, err = tx.List(ctx, folder, "", 0)
		return err
	})
	return names, err
}

// each calls do for every name below folder, which do removes, a batch to a commit.
func (e *Engine) each(ctx context.Context, folder string, do func(ctx context.Context, tx engine.Tx, name string) error) error {
	for {
		var names []string
		err := e.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
			if names, err = tx.List(ctx, folder, "", batch); err != nil {
				return err
			}
			for _, name := range names {
				if err := do(ctx, tx, name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(names) < batch {
			return err
		}
	}
}
