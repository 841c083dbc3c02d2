package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind makes Targets of spec.target.database.
type Kind struct{}

// role is an alternating role.
type role struct {
	vault       target.Vault
	mount, name string
}

var (
	_ target.Target    = role{}
	_ target.Observer  = role{}
	_ target.Witness   = role{}
	_ target.Rehearser = role{}
	_ target.Lender    = role{}
)

// Open implements target.Kind.
func (Kind) Open(cfg target.Config) (target.Target, error) {
	spec := cfg.Spec.Database
	if spec == nil {
		return nil, errs.New(errs.Invalid, "spec.target.database is missing")
	}
	r := role{cfg.Vault, spec.Mount, spec.Role}
	if r.mount == "" {
		r.mount = "database"
	}
	for segment := range strings.SplitSeq(r.mount, "/") {
		if !plain(segment) {
			return nil, errs.Newf(errs.Invalid, "spec.target.database.mount %q is not the path of a mount, such as database", r.mount)
		}
	}
	if !plain(r.name) || strings.Contains(r.name, "/") {
		return nil, errs.Newf(errs.Invalid, "spec.target.database.role %q is not the name of a role", r.name)
	}
	return r, nil
}

func plain(segment string) bool {
	return segment != "" && segment != "." && segment != ".." && !strings.ContainsAny(segment, "?#%")
}

func (r role) at(what string) string {
	return r.mount + "/alternating-roles/" + r.name + "/" + what
}

// act asks for one act. The engine knows each again, and what is not this turn's
// or this Rotation's it refuses.
func (r role) act(ctx context.Context, verb string, t target.Turn, side string) (target.State, error) {
	body := map[string]any{"turn": t.Number, "holder": t.Rotation}
	if t.Fence > 0 {
		body["fence"] = t.Fence
	}
	if side != "" {
		body["side"] = side
	}
	raw, err := r.vault.Call(ctx, http.MethodPost, r.at(verb), body)
	if err != nil {
		return target.State{}, err
	}
	return r.state(raw)
}

// state reads what the engine says of a role.
func (r role) state(raw json.RawMessage) (target.State, error) {
	var s struct {
		Turn      int64       `json:"turn"`
		Version   json.Number `json:"version"`
		Published string      `json:"last_rotation"`
	}
	if json.Unmarshal(raw, &s) != nil {
		return target.State{}, errs.Newf(errs.Invalid, "%q answers as no database engine of Strongkeep does: check the target's mount", r.at("state"))
	}
	out := target.State{Location: r.vault.Locate(r.mount + "/alternating-creds/" + r.name), Version: s.Version.String(), Turn: s.Turn}
	if at, err := time.Parse(time.RFC3339, s.Published); err == nil {
		out.Changed = at
	}
	return out, nil
}

// Stage implements target.Target.
func (r role) Stage(ctx context.Context, t target.Turn) (target.State, error) {
	return r.act(ctx, "stage", t, "")
}

// Publish implements target.Target.
func (r role) Publish(ctx context.Context, t target.Turn, side target.Side) (target.State, error) {
	return r.act(ctx, "publish", t, side.String())
}

// Close implements target.Target.
func (r role) Close(ctx context.Context, t target.Turn) error {
	_, err := r.act(ctx, "close", t, "")
	return err
}

// Reopen implements target.Target.
func (r role) Reopen(ctx context.Context, t target.Turn) error {
	_, err := r.act(ctx, "reopen", t, "")
	return err
}

// Retire implements target.Target.
func (r role) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	_, err := r.act(ctx, "retire", t, side.String())
	return err
}

// Observe implements target.Observer.
func (r role) Observe(ctx context.Context) (target.State, error) {
	raw, err := r.vault.Call(ctx, http.MethodGet, r.at("state"), nil)
	if err != nil {
		return target.State{}, err
	}
	return r.state(raw)
}

// Sessions implements target.Witness.
func (r role) Sessions(ctx context.Context, t target.Turn) (target.Sessions, error) {
	raw, err := r.vault.Call(ctx, http.MethodGet, fmt.Sprintf("%s?turn=%d", r.at("sessions"), t.Number), nil)
	if err != nil {
		return target.Sessions{}, err
	}
	type side struct {
		User     string `json:"user"`
		Sessions []struct {
			Address string     `json:"address"`
			Client  string     `json:"client"`
			Since   *time.Time `json:"since"`
		} `json:"sessions"`
	}
	var seen struct {
		New     side   `json:"new"`
		Old     side   `json:"old"`
		Partial string `json:"partial"`
	}
	if json.Unmarshal(raw, &seen) != nil {
		return target.Sessions{}, errs.Newf(errs.Invalid, "%q answers as no database engine of Strongkeep does: check the target's mount", r.at("sessions"))
	}
	if seen.New.User == seen.Old.User { // two passwords of one user: who has which is not seen, and nobody is proven
		seen.New.Sessions = nil
	}
	list := func(s side) []target.Session {
		var out []target.Session
		for _, one := range s.Sessions {
			session := target.Session{Address: one.Address, Client: one.Client}
			if one.Since != nil {
				session.Since = *one.Since
			}
			out = append(out, session)
		}
		return out
	}
	return target.Sessions{New: list(seen.New), Old: list(seen.Old), Partial: seen.Partial}, nil
}

// tidyTime bounds the removal of what a rehearsal has made, whatever ended it.
const tidyTime = 30 * time.Second

// Rehearse stages a new credential, which proves it by a login, and removes it
// again, also when staging fails or ctx ends. The turn's number is used up: the
// next turn is the one after.
func (r role) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	before, err := r.Observe(ctx)
	if err != nil {
		return nil, err
	}
	if before.Turn >= t.Number {
		return nil, errs.Newf(errs.Conflict, "turn %d of %q has begun already: rehearse with a later one", t.Number, r.at("state"))
	}
	lines := []string{fmt.Sprintf("readers of %s see version %q", before.Location, before.Version)}
	_, failed := r.Stage(ctx, t)
	if failed == nil {
		lines = append(lines, "a new credential was made beside the old one, stored, and logged in")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	err = r.Retire(ctx, t, target.New)
	switch {
	case failed != nil && errs.Is(err, errs.Conflict): // the turn was never begun
		return lines, failed
	case err != nil:
		return lines, errs.Newf(errs.KindOf(err), "the new credential of the rehearsal is still there: %w", errors.Join(err, failed))
	case failed != nil:
		return lines, failed
	}
	return append(lines, "it was removed, and does not log in any more"), nil
}

// Lend implements target.Lender.
func (r role) Lend(ctx context.Context, t target.Turn) (redact.Secret, error) {
	path := r.mount + "/alternating-staged/" + r.name
	raw, err := r.vault.Call(ctx, http.MethodGet, path+"?"+url.Values{"turn": {fmt.Sprint(t.Number)}, "holder": {t.Rotation}}.Encode(), nil)
	if errs.Is(err, errs.Denied) {
		return redact.Secret{}, errs.Newf(errs.Denied, "shadow pods need the right to read %q: %w", path, err)
	}
	return redact.New(raw), err
}

// Removal implements target.Prover.
func (role) Removal() (text string, proven bool) {
	return "the engine removed it, and saw a login with it refused", true
}
