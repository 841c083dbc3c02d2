package database

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/alternating"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

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

// writeAlternating makes or changes an alternating role. The database is asked only
// whether a password that is in use works.
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
	if err := applyAlternating(r, req, old == nil); err != nil {
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
	if err := e.fitAlternating(ctx, c, r); err != nil {
		return nil, err
	}
	if err := e.claimAll(ctx, tx, r, c, had); err != nil {
		return nil, err
	}
	emit(tx, req, "alternating-role-"+req.Operation.String(), name)
	return nil, r.Save(tx)
}

// applyAlternating changes what the request has.
func applyAlternating(r *alternating.Role, req *engine.Request, creating bool) error {
	to, err := r.Settings.Decode(req)
	if err != nil {
		return err
	}
	d := req.Decode()
	policy := credential{to.Policy}
	err = policy.decode(&d)
	if to := d.String("holder", ""); d.Has("holder") && (to == "" || to != r.Holder) {
		r.Holder, r.Fence = to, 0 // a person hands it over: the numbers of who had it say nothing any more
	}
	password := d.String("password", "")
	if d.Err() != nil {
		return d.Err()
	}
	if err != nil {
		return err
	}
	to.Policy = policy.Policy
	if err := r.Change(to); err != nil {
		return err
	}
	if password != "" {
		if !creating {
			return errs.New(errs.Invalid, "password says what is in force before the role is made, and can be given then only")
		}
		r.Import(password, req.Time)
	}
	return alternating.CheckHolder(r.Holder)
}

// fitAlternating is an error if the connection's kind of database cannot do what
// the role wants, or if what a role took over before its first turn does not
// work. Otherwise nothing is connected to.
func (e *Engine) fitAlternating(ctx context.Context, c *connection.Connection, r *alternating.Role) error {
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
	if err := alternating.Able(db, r.Overlap); err != nil || r.Turn > 0 || r.Live == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, driver.LoginTimeout)
	defer cancel()
	if err := e.servers.At(c).Login(ctx, r.Live.Username, r.Live.Password); err != nil {
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
	o := r.Show(engine.NewObject())
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
	return &engine.Response{Data: shownAs(r, shown, r.Published)}, nil
}

// alternatingStaged gives, to who holds the present turn, what readers are given
// once it is published.
func (e *Engine) alternatingStaged(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := alternatingRole(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	turn, holder := d.Int("turn", 0), d.String("holder", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	staged, err := r.Offer(turn, holder)
	if err != nil {
		return nil, engine.WithStatus(err, http.StatusConflict)
	}
	return &engine.Response{Data: shownAs(r, staged, r.Since)}, nil
}

// shownAs is a credential of r as readers are given it.
func shownAs(r *alternating.Role, c *alternating.Credential, since time.Time) jsontext.Value {
	return engine.NewObject().
		Time("last_rotation", since).
		Str("password", c.Password).
		Str("rotation", r.Holder).
		Str("username", c.Username).
		Int("version", c.Version).Value()
}

// act answers stage, publish, close, reopen and retire: what is decided is stored
// here, and what the database has to do for it is done behind the commit.
func (e *Engine) act(verb alternating.Verb) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		r, err := alternatingRole(ctx, tx, req.Params["name"])
		if err != nil {
			return nil, err
		}
		a, options, err := alternating.DecodeAct(req, verb)
		if err != nil {
			return nil, err
		}
		asked, err := e.ask(ctx, tx, r, a)
		if err != nil {
			return nil, err
		}
		if asked.Changed {
			emitAct(tx, req, a, r)
		}
		if asked.Changed || asked.Noted {
			if err := r.Save(tx); err != nil {
				return nil, err
			}
		}
		then := r
		if asked.CarryOut { // if that fails, its error is the answer
			then = r.CarriedOut(req.Time)
		}
		res := &engine.Response{Data: then.ShowState(engine.NewObject()).Value()}
		if asked.Note != "" {
			res.Warnings = []string{asked.Note}
		}
		if asked.CarryOut {
			claim, err := e.actor.Claim(tx, r, req.Time)
			if err != nil {
				return nil, err
			}
			res.After = func(ctx context.Context) error { return e.carryOut(ctx, r, claim, options) }
		}
		return res, nil
	}
}

// ask decides what an act means, and draws the password of a turn that begins.
func (e *Engine) ask(ctx context.Context, tx engine.Tx, r *alternating.Role, a alternating.Act) (alternating.Asked, error) {
	c, err := connection.Load(ctx, tx, r.DB)
	if err != nil {
		return alternating.Asked{}, err
	}
	if c == nil {
		return alternating.Asked{}, connection.Unknown(r.DB)
	}
	asked, err := r.Ask(a)
	if errs.Is(err, errs.Conflict) {
		return asked, engine.WithStatus(err, http.StatusConflict)
	}
	if err == nil && asked.Begun {
		err = e.actor.Draw(ctx, r, (&credential{r.Policy}).policy(c))
	}
	return asked, err
}

func (e *Engine) carryOut(ctx context.Context, r *alternating.Role, c *alternating.Claim, o alternating.Options) error {
	err := e.actor.CarryOut(ctx, r, c, o)
	switch {
	case errs.Is(err, errs.Conflict):
		return engine.WithStatus(err, http.StatusConflict)
	case err != nil:
		return errs.Newf(errs.KindOf(err), "turn %d of the alternating role %q is at %s until this is done; ask for it again: %w", r.Turn, r.Name, r.Step, err)
	}
	return nil
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

func (e *Engine) alternatingState(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := alternatingRole(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: r.ShowState(engine.NewObject()).Value()}, nil
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
	o := seen.Show(engine.NewObject().Int("turn", r.Turn))
	return &engine.Response{Data: o.Value()}, nil
}
