package database

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/alternating"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

// maxHolder bounds the name of a holder, which is namespace/name in a cluster.
const maxHolder = 512

// findAlternating is the actor's alternating.Find.
func (e *Engine) findAlternating(ctx context.Context, tx engine.Tx, r *alternating.Role) (rotation.Server, string, error) {
	c, err := connection.Load(ctx, tx, r.DB)
	if err != nil {
		return nil, "", err
	}
	if c == nil {
		return connection.Missing(r.DB), r.Policy, nil
	}
	return e.servers.At(c), (&credential{r.Policy}).policy(c), nil
}

// alternatingRole reads a role that must be there, as a copy.
func alternatingRole(ctx context.Context, tx engine.Tx, name string) (*alternating.Role, error) {
	r, err := alternating.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.Newf(errs.NotExist, "there is no alternating role %q: make it by alternating-roles/%s", name, name)
	}
	own := *r
	return &own, nil
}

// writeAlternating makes or changes an alternating role. The database is not asked.
func (e *Engine) writeAlternating(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	old, err := alternating.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	r := &alternating.Role{Name: name}
	var had []string
	if old != nil {
		*r, had = *old, old.Usernames
	}
	to, err := alternatingSettings(req, r.Settings)
	if err != nil {
		return nil, err
	}
	if err := r.Change(to); err != nil {
		return nil, err
	}
	d := req.Decode()
	r.Holder = d.String("holder", r.Holder)
	if password := d.String("password", ""); password != "" {
		if old != nil {
			return nil, errs.New(errs.Invalid, "password says what is in force before the role is made, and can be given then only")
		}
		r.Import(password, req.Time)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := checkHolder(r.Holder); err != nil {
		return nil, err
	}
	c, err := connection.Load(ctx, tx, r.DB)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errs.New(errs.Invalid, "failed to find entry for connection: db_name must be one of those that config/ lists")
	}
	if !c.Allows(name) {
		return notAllowed(name), nil
	}
	if err := e.fitAlternating(c, r); err != nil {
		return nil, err
	}
	if err := e.claimAll(ctx, tx, r, c, had); err != nil {
		return nil, err
	}
	if old == nil && r.Live != nil {
		if err := e.proveImport(ctx, c, r.Live); err != nil {
			return nil, err
		}
	}
	emit(tx, req, "alternating-role-"+req.Operation.String(), name)
	return nil, r.Save(tx)
}

// alternatingSettings reads what the request has; the rest is as it was.
func alternatingSettings(req *engine.Request, s alternating.Settings) (alternating.Settings, error) {
	d := req.Decode()
	s.DB = d.String("db_name", s.DB)
	if d.Has("usernames") {
		s.Usernames = d.Strings("usernames")
	}
	if s.Overlap == "" {
		s.Overlap = alternating.Users
	}
	s.Overlap = alternating.Overlap(d.String("overlap", string(s.Overlap)))
	policy := credential{s.Policy}
	err := policy.decode(&d)
	if d.Err() != nil {
		return s, d.Err()
	}
	if err != nil {
		return s, err
	}
	s.Policy = policy.Policy
	for _, f := range []struct {
		name string
		to   *[]string
	}{{"creation_statements", &s.Creation}, {"revocation_statements", &s.Revocation}, {"rotation_statements", &s.Statements}} {
		if *f.to, err = statements(req, *f.to, f.name); err != nil {
			return s, err
		}
	}
	return s, nil
}

func checkHolder(holder string) error {
	if len(holder) > maxHolder || strings.ContainsFunc(holder, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return errs.Newf(errs.Invalid, "holder must be a name such as namespace/name, without blanks, of at most %d bytes", maxHolder)
	}
	return nil
}

// fitAlternating is an error if the connection's kind of database cannot do what
// the role wants. Nothing is connected to.
func (e *Engine) fitAlternating(c *connection.Connection, r *alternating.Role) error {
	kind, err := e.servers.Kind(c.Plugin)
	if err != nil {
		return err
	}
	for _, username := range r.Usernames {
		if len(username) > kind.MaxUsername {
			return errs.Newf(errs.Invalid, "a name in usernames has %d bytes; the database takes %d", len(username), kind.MaxUsername)
		}
	}
	db, err := e.servers.At(c).Open(c.Username, c.Password)
	if err != nil {
		return err
	}
	defer db.Close()
	return alternating.Able(db, r.Overlap)
}

// proveImport logs in with what a role that is being made is said to have.
func (e *Engine) proveImport(ctx context.Context, c *connection.Connection, live *alternating.Credential) error {
	ctx, cancel := context.WithTimeout(ctx, driver.LoginTimeout)
	defer cancel()
	if err := e.servers.At(c).Login(ctx, live.Username, live.Password); err != nil {
		return errs.Newf(errs.KindOf(err), "password is to be what the first of usernames logs in with now, but a login fails: %w", err)
	}
	return nil
}

// claimAll notes that the role has its users, and not any more those that it had.
func (e *Engine) claimAll(ctx context.Context, tx engine.Tx, r *alternating.Role, c *connection.Connection, had []string) error {
	for _, username := range had {
		if !slices.Contains(r.Usernames, username) {
			tx.Delete(userKey(r.DB, username))
		}
	}
	for _, username := range r.Usernames {
		if err := e.claim(ctx, tx, claim{alternatingOwner + r.Name, username}, c, !slices.Contains(had, username)); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) readAlternating(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := alternating.Load(ctx, tx, req.Params["name"])
	if err != nil || r == nil {
		return nil, err
	}
	o := engine.NewObject().
		Strs("creation_statements", r.Creation).
		Str("db_name", r.DB).
		Str("holder", r.Holder).
		Str("overlap", string(r.Overlap)).
		Strs("revocation_statements", r.Revocation).
		Strs("rotation_statements", r.Statements).
		Strs("usernames", r.Usernames)
	return &engine.Response{Data: (&credential{r.Policy}).show(o).Value()}, nil
}

// deleteAlternating forgets a role. Its users stay as they are.
func (e *Engine) deleteAlternating(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	r, err := alternating.Load(ctx, tx, name)
	if err != nil || r == nil {
		return nil, err
	}
	tx.Delete(alternating.Prefix + name)
	for _, username := range r.Usernames {
		tx.Delete(userKey(r.DB, username))
	}
	emit(tx, req, "alternating-role-delete", name)
	return nil, nil
}

// alternatingCreds gives what is published. The database is not asked.
func (e *Engine) alternatingCreds(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	r, err := alternatingRole(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	c, err := connection.Load(ctx, tx, r.DB)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, connection.Unknown(r.DB)
	}
	if !c.Allows(name) {
		return notAllowed(name), nil
	}
	shown := r.Shown()
	if shown == nil {
		return nil, errs.Newf(errs.NotExist, "the alternating role %q has published nothing yet: stage its first turn by alternating-roles/%s/stage, then publish it", name, name)
	}
	return &engine.Response{Data: engine.NewObject().
		Time("last_rotation", r.Published).
		Str("password", shown.Password).
		Str("rotation", r.Holder).
		Str("username", shown.Username).
		Int("version", shown.Version).Value()}, nil
}

// act answers stage, publish, close, reopen and retire: what is decided is stored
// here, and what the database has to do for it is done behind the commit.
func (e *Engine) act(verb alternating.Verb) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		r, err := alternatingRole(ctx, tx, req.Params["name"])
		if err != nil {
			return nil, err
		}
		a, options, err := decodeAct(req, verb)
		if err != nil {
			return nil, err
		}
		server, policy, err := e.findAlternating(ctx, tx, r)
		if err != nil {
			return nil, err
		}
		if server == rotation.Server(connection.Missing(r.DB)) {
			return nil, connection.Unknown(r.DB)
		}
		asked, err := r.Ask(a)
		if errs.Is(err, errs.Conflict) {
			err = engine.WithStatus(err, http.StatusConflict)
		}
		if err != nil {
			return nil, err
		}
		if asked.Begun {
			if err := e.actor.Draw(ctx, r, policy); err != nil {
				return nil, err
			}
		}
		if asked.Changed {
			emitAct(tx, req, a, r)
			if err := r.Save(tx); err != nil {
				return nil, err
			}
		}
		res := &engine.Response{Data: showAlternating(r).Value()}
		if asked.Note != "" {
			res.Warnings = []string{asked.Note}
		}
		if asked.CarryOut {
			res.After = func(ctx context.Context) error { return e.carryOut(ctx, r, options) }
		}
		return res, nil
	}
}

func (e *Engine) carryOut(ctx context.Context, r *alternating.Role, o alternating.Options) error {
	err := e.actor.CarryOut(ctx, r, o)
	switch {
	case errs.Is(err, errs.Conflict):
		return engine.WithStatus(err, http.StatusConflict)
	case err != nil:
		return errs.Newf(errs.KindOf(err), "turn %d of the alternating role %q is at %s until this is done; ask for it again: %w", r.Turn, r.Name, r.Step, err)
	}
	return nil
}

func decodeAct(req *engine.Request, verb alternating.Verb) (alternating.Act, alternating.Options, error) {
	d := req.Decode()
	a := alternating.Act{Verb: verb, Turn: d.Int("turn", 0), Side: alternating.Side(d.String("side", "")), Holder: d.String("holder", ""), Now: req.Time}
	o := alternating.Options{KeepSessions: !d.Bool("terminate_sessions", true)}
	if err := d.Err(); err != nil {
		return a, o, err
	}
	sides := verb == alternating.Publish || verb == alternating.Retire
	if sides && a.Side != alternating.NewSide && a.Side != alternating.OldSide {
		return a, o, errs.New(errs.Invalid, `side must be "new" or "old"`)
	}
	return a, o, checkHolder(a.Holder)
}

// emitAct announces an act that changed something. Of a publication data_path says
// what to read again.
func emitAct(tx engine.Tx, req *engine.Request, a alternating.Act, r *alternating.Role) {
	operation := "alternating-" + string(a.Verb)
	metadata := map[string]string{"operation": operation, "path": req.Path, "name": r.Name, "modified": "true"}
	if a.Verb == alternating.Publish {
		metadata["data_path"] = "alternating-creds/" + r.Name
	}
	tx.Emit(engine.Event{Type: "database/" + operation, Path: req.Path, Metadata: metadata})
}

// showAlternating tells where the turn is, and no password.
func showAlternating(r *alternating.Role) engine.Builder {
	newer, older := r.Of()
	o := engine.NewObject().
		Int("turn", r.Turn).
		Str("step", string(r.Step)).
		Str("holder", r.Holder).
		Bool("under_way", r.UnderWay()).
		Time("since", r.Since).
		Str("new_username", newer).
		Str("old_username", older)
	if shown := r.Shown(); shown != nil {
		o = o.Str("published", r.ShownSide()).Int("version", shown.Version)
	} else {
		o = o.Str("published", "").Null("version")
	}
	o = o.Time("last_rotation", r.Published)
	if r.Error != "" {
		o = o.Str("last_error", r.Error)
	}
	return o
}

func (e *Engine) alternatingState(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := alternatingRole(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: showAlternating(r).Value()}, nil
}

// alternatingSessions asks the database who is logged in.
func (e *Engine) alternatingSessions(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := alternatingRole(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	turn := d.Int("turn", r.Turn)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if turn != r.Turn {
		return nil, engine.WithStatus(errs.Newf(errs.Conflict, "turn %d is not the present one of the alternating role %q: that is %s", turn, r.Name, r.Describe()), http.StatusConflict)
	}
	server, _, err := e.findAlternating(ctx, tx, r)
	if err != nil {
		return nil, err
	}
	seen, err := alternating.Look(ctx, server, r)
	if err != nil {
		return nil, err
	}
	o := engine.NewObject().Int("turn", r.Turn).Obj("new", showSessions(seen.New)).Obj("old", showSessions(seen.Old)).Str("partial", seen.Partial)
	return &engine.Response{Data: o.Value()}, nil
}

func showSessions(s alternating.Seen) engine.Builder {
	list := []byte("[")
	for i, one := range s.Sessions {
		if i > 0 {
			list = append(list, ',')
		}
		o := engine.NewObject().Str("address", one.Address).Str("client", one.Client)
		if one.Since.IsZero() {
			o = o.Null("since")
		} else {
			o = o.Time("since", one.Since.UTC().Truncate(time.Second))
		}
		list = append(list, o.Value()...)
	}
	return engine.NewObject().Str("user", s.User).Raw("sessions", append(list, ']'))
}
