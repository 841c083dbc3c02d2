package database

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/username"
)

// grace is how much longer the database lets a user in than the lease lasts, so
// that it is the lease that ends it.
const grace = 5 * time.Second

// leased is a lease's Internal. It holds no password.
type leased struct {
	Username   string   `json:"username"`
	DB         string   `json:"db_name"`
	Revocation []string `json:"revocation_statements,omitempty"` // for when the role is gone
}

// creds makes a dynamic user. The user is named and its lease is committed
// here; the database is asked behind the commit.
func (e *Engine) creds(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	r, err := loadRole(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.Newf(errs.Invalid, "unknown role: %s", name)
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
	user, err := e.newName(c, name, req)
	if err != nil {
		return nil, err
	}
	password, err := e.cfg.Password(ctx, r.policy(c))
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "making a password: %w", err)
	}
	internal, err := json.Marshal(leased{Username: user, DB: r.DB, Revocation: r.Revocation})
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a lease: %w", err)
	}
	ttl, maxTTL := e.ttls(r)
	account := &driver.Account{Username: user, Password: password, Expires: req.Time.Add(ttl + grace), Statements: r.Creation}
	emit(tx, req, "creds-create", name)
	return &engine.Response{
		Data:  engine.NewObject().Str("password", password.RevealString()).Str("username", user).Value(),
		Lease: &engine.Lease{TTL: ttl, MaxTTL: maxTTL, Renewable: true, Tracked: true, Internal: internal, Role: name},
		After: func(ctx context.Context) error { return e.create(ctx, c, r, account) },
	}, nil
}

// create makes a user. If that fails, the role's rollback statements run, and
// the core revokes the lease; unless it is certain that nothing was made.
func (e *Engine) create(ctx context.Context, c *connection.Connection, r *role, a *driver.Account) error {
	err := e.use(ctx, c, func(ctx context.Context, db driver.Database) error { return db.Create(ctx, a) })
	if err == nil {
		return nil
	}
	if len(r.Rollback) > 0 {
		back := &driver.Account{Username: a.Username, Statements: r.Rollback}
		if rollback := e.use(context.WithoutCancel(ctx), c, func(ctx context.Context, db driver.Database) error { return db.Delete(ctx, back) }); rollback != nil {
			e.cfg.Log.Warn("the rollback statements of a database role failed", "connection", c.Name, "error", rollback)
		}
	}
	return errs.Newf(errs.KindOf(err), "creating a user with the connection %q: %w", c.Name, err)
}

// newName makes a user name that the database takes.
func (e *Engine) newName(c *connection.Connection, role string, req *engine.Request) (string, error) {
	kind, err := e.servers.Kind(c.Plugin)
	if err != nil {
		return "", err
	}
	text := c.Template
	if text == "" {
		text = kind.Username
	}
	name, err := username.Template(text).MakeUnique(username.Data{DisplayName: req.Caller.DisplayName, RoleName: role}, e.source(req.Time))
	if err != nil {
		return "", err
	}
	if len(name) > kind.MaxUsername {
		return "", errs.Newf(errs.Invalid, "username_template makes a name of %d bytes; the database takes %d: truncate it", len(name), kind.MaxUsername)
	}
	return name, nil
}

// ttls are how long a lease of the role lasts at first and at most.
func (e *Engine) ttls(r *role) (ttl, maxTTL time.Duration) {
	mount := e.cfg.TTL()
	ttl, maxTTL = r.DefaultTTL, mount.Max
	if ttl == 0 {
		ttl = mount.Default
	}
	if r.MaxTTL > 0 && (maxTTL == 0 || r.MaxTTL < maxTTL) {
		maxTTL = r.MaxTTL
	}
	if maxTTL > 0 {
		ttl = min(ttl, maxTTL)
	}
	return ttl, maxTTL
}

// notAllowed is a 500 on the wire: Vault's clients know it as one.
func notAllowed(role string) *engine.Response {
	errors := engine.NewObject().Strs("errors", []string{`1 error occurred:` + "\n\t* " + `"` + role + `" is not an allowed role` + "\n\n"}).Value()
	return &engine.Response{Raw: &engine.Raw{Status: 500, ContentType: "application/json", Body: append(errors, '\n')}}
}

// lease returns what a lease stands for.
func lease(l *engine.Leased) (*leased, error) {
	var in leased
	if json.Unmarshal(l.Internal, &in) != nil || in.Username == "" || in.DB == "" {
		return nil, errs.Newf(errs.Internal, "decoding the lease of a database user: it is damaged or of a newer format")
	}
	return &in, nil
}

// RevokeLease implements engine.Leaser. The statements are the role's of today,
// so that a role can be mended; those of then if it is gone.
func (e *Engine) RevokeLease(ctx context.Context, tx engine.Tx, l *engine.Leased) error {
	in, err := lease(l)
	if err != nil {
		return err
	}
	c, err := connection.Load(ctx, tx, in.DB)
	if err != nil {
		return err
	}
	if c == nil {
		return errs.Newf(errs.Invalid, "revoking a user of the database %q: the connection is not configured any more; configure it, or revoke by force once the user is removed by hand", in.DB)
	}
	r, err := loadRole(ctx, tx, l.Role)
	if err != nil {
		return err
	}
	account := &driver.Account{Username: in.Username, Statements: in.Revocation}
	if r != nil && r.DB == in.DB {
		account.Statements = r.Revocation
	}
	err = e.use(ctx, c, func(ctx context.Context, db driver.Database) error { return db.Delete(ctx, account) })
	if err != nil {
		return errs.Newf(errs.KindOf(err), "revoking a user with the connection %q: %w", c.Name, err)
	}
	return nil
}

// RenewLease implements engine.Leaser.
func (e *Engine) RenewLease(ctx context.Context, tx engine.Tx, l *engine.Leased) (*engine.Lease, error) {
	in, err := lease(l)
	if err != nil {
		return nil, err
	}
	r, err := loadRole(ctx, tx, l.Role)
	if err != nil {
		return nil, err
	}
	if r == nil || r.DB != in.DB {
		return nil, errs.Newf(errs.Invalid, "error during renew: could not find role with name %q", l.Role)
	}
	c, err := connection.Load(ctx, tx, in.DB)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, connection.Unknown(in.DB)
	}
	now := e.cfg.Now()
	ttl, maxTTL := e.ttls(r)
	renewed := &engine.Lease{TTL: ttl, MaxTTL: maxTTL, Renewable: true, Tracked: true, Internal: slices.Clone(l.Internal), Role: l.Role}
	if l.Increment > 0 {
		renewed.TTL = l.Increment
	}
	last := renewed.TTL
	if maxTTL > 0 {
		last = min(last, l.Issued.Add(maxTTL).Sub(now))
	}
	if last <= 0 {
		return nil, errs.New(errs.Invalid, "past the max TTL, cannot renew")
	}
	account := &driver.Account{Username: in.Username, Expires: now.Add(last + grace), Statements: r.Renewal}
	err = e.use(ctx, c, func(ctx context.Context, db driver.Database) error { return db.Update(ctx, account) })
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "prolonging a user with the connection %q: %w", c.Name, err)
	}
	return renewed, nil
}
