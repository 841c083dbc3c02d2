package token

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// Config is what the method works with besides its mount.
type Config struct {
	Tokens *core.Manager

	// Limits says how long a token of another auth method may go on: its mount's
	// TTLs and what the method says. An error refuses the renewal. If it is nil,
	// such tokens have the TTLs of this mount.
	Limits func(ctx context.Context, tx engine.Tx, req *engine.Request, e *core.Entry) (core.Limits, error)

	// Missing returns a warning for each policy that does not exist in ns; may be nil.
	Missing func(ctx context.Context, tx engine.Tx, ns engine.Namespace, policies []string) ([]string, error)

	// Reach returns the namespace with this ID if it is the request's, or lies
	// below it and policy allows the caller the same request there; else an error
	// of kind Denied. nil: there is the root namespace alone.
	Reach func(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (engine.Namespace, error)

	// IdentityPolicies are those that the entity of a token adds; may be nil. Kind
	// Denied: the entity is disabled or no more.
	IdentityPolicies func(ctx context.Context, tx engine.Tx, e *core.Entry) ([]string, error)

	// EntityOfAlias finds or makes the entity with an alias of this method, and has
	// made make a token of it. nil: there are no entities.
	EntityOfAlias func(ctx context.Context, tx engine.Tx, req *engine.Request, name string, made func(entityID string) (*core.Entry, error)) error
}

// New returns the factory for the mount.
func New(cfg Config) engine.Factory {
	return func(mount engine.Config) (engine.Engine, error) {
		return &Engine{Config: cfg, mount: mount, roles: roles()}, nil
	}
}

// Engine serves auth/token/.
type Engine struct {
	Config
	mount engine.Config
	roles *auth.Records[role, *role]
}

// Close has nothing to stop.
func (*Engine) Close() error { return nil }

type handlers = map[engine.Operation]engine.Handler

var (
	tokenField     = engine.Field{Name: "token", Type: engine.String, Secret: true, Help: "the token"}
	accessorField  = engine.Field{Name: "accessor", Type: engine.String, Help: "the token's accessor"}
	incrementField = engine.Field{Name: "increment", Type: engine.Duration, Help: "time to live from now; 0 = as the token was made"}
)

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	routes := append(e.createRoutes(), e.roleRoutes()...)
	routes = append(routes, e.lookupRoutes()...)
	return append(routes, e.lifeRoutes()...)
}

func (e *Engine) createRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "create", Handlers: handlers{engine.Update: e.create}, Fields: createFields(),
			Summary: "Create a token.",
			Help:    "Creates a child of the token that asks, with a part of its policies. With sudo on this path: any policies, orphans, periodic tokens, an id of one's choice.",
		},
		{
			Pattern: "create-orphan", Handlers: handlers{engine.Update: e.createOrphan}, Fields: createFields(),
			Summary: "Create a token without a parent.",
			Help:    "As create, but the token is not revoked with the one that asks.",
		},
		{
			Pattern: "create/{role}", Handlers: handlers{engine.Update: e.createByRole}, Canonical: strings.ToLower, Fields: createFields(),
			Summary: "Create a token by a role.",
			Help:    "As create, within what the role allows.",
		},
	}
}

func (e *Engine) lookupRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "lookup", Handlers: handlers{engine.Read: e.lookup, engine.Update: e.lookup},
			Fields: []engine.Field{tokenField}, ReadOnly: true,
			Summary: "Look up a token.", Help: "Says what a token is and how long it lives; without a token, the one that asks.",
		},
		{
			Pattern: "lookup-self", Handlers: handlers{engine.Read: e.lookupSelf, engine.Update: e.lookupSelf}, ReadOnly: true,
			Summary: "Look up the token that asks.", Help: "Says what the token is and how long it lives.",
		},
		{
			Pattern: "lookup-accessor", Handlers: handlers{engine.Update: e.lookupAccessor},
			Fields:  []engine.Field{accessorField},
			Summary: "Look up a token by its accessor.", Help: "As lookup, without the token itself.",
		},
		{
			Pattern: "accessors", Handlers: handlers{engine.List: e.listAccessors}, Sudo: true, ReadOnly: true,
			Fields: []engine.Field{
				{Name: "after", Type: engine.String, Help: "start behind this accessor"},
				{Name: "limit", Type: engine.Int, Help: "list at most so many; 0 = all"},
			},
			Summary: "List the accessors of the tokens of the namespace.", Help: "Batch tokens have none.",
		},
	}
}

func (e *Engine) lifeRoutes() []engine.Route {
	update := func(pattern string, h engine.Handler, summary, help string, fields ...engine.Field) engine.Route {
		return engine.Route{Pattern: pattern, Handlers: handlers{engine.Update: h}, Summary: summary, Help: help, Fields: fields}
	}
	const whole = "Everything it created goes with it, at once."
	orphans := update("revoke-orphan", e.revokeOrphan, "Revoke a token and keep its children.", "Its children become orphans; batch tokens among them end.", tokenField)
	orphans.Sudo = true
	return []engine.Route{
		update("renew", e.renew, "Renew a token.", "Gives it a new time to live, within its longest.", tokenField, incrementField),
		update("renew-self", e.renewSelf, "Renew the token that asks.", "Gives it a new time to live, within its longest.", incrementField),
		update("renew-accessor", e.renewAccessor, "Renew a token by its accessor.", "As renew, without the token itself.", accessorField, incrementField),
		update("revoke", e.revoke, "Revoke a token.", whole, tokenField),
		update("revoke-self", e.revokeSelf, "Revoke the token that asks.", whole),
		update("revoke-accessor", e.revokeAccessor, "Revoke a token by its accessor.", whole, accessorField),
		orphans,
		update("tidy", e.tidy, "Clean up the indexes of tokens.",
			"Runs in the background. It finds something only if storage was damaged or restored in part."),
	}
}

// caller returns the entry of the token that asks.
func (e *Engine) caller(ctx context.Context, tx engine.Tx, req *engine.Request) (*core.Entry, error) {
	if req.Caller.Accessor == "" { // only batch tokens have none
		return e.Tokens.Lookup(ctx, tx, req.Token.RevealString())
	}
	return e.Tokens.Get(ctx, tx, req.Caller.TokenKey)
}

// secretField returns the field "token". Kind Invalid: it is missing.
func secretField(req *engine.Request) (string, error) {
	d := req.Decode()
	token := strings.TrimSpace(d.String("token", ""))
	if err := d.Err(); err != nil {
		return "", err
	}
	if token == "" {
		return "", errs.New(errs.Invalid, "missing token ID")
	}
	return token, nil
}

// byAccessor returns the entry that the field "accessor" names.
func (e *Engine) byAccessor(ctx context.Context, tx engine.Tx, req *engine.Request) (*core.Entry, error) {
	d := req.Decode()
	accessor := strings.TrimSpace(d.String("accessor", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	if accessor == "" {
		return nil, errs.New(errs.Invalid, "missing accessor")
	}
	entry, err := e.Tokens.LookupAccessor(ctx, tx, accessor)
	if err != nil {
		return nil, err
	}
	if _, err := e.reach(ctx, tx, req, entry); errs.Is(err, errs.Denied) {
		return nil, core.ErrAccessor // as if it were nobody's
	} else if err != nil {
		return nil, err
	}
	return entry, nil
}

// byToken returns the entry of a token that a body named. Kind Unauthenticated:
// it is not valid, or belongs to a namespace that the request cannot reach.
func (e *Engine) byToken(ctx context.Context, tx engine.Tx, req *engine.Request, token string) (*core.Entry, error) {
	entry, err := e.Tokens.Lookup(ctx, tx, token)
	if err != nil {
		return nil, err
	}
	if _, err := e.reach(ctx, tx, req, entry); errs.Is(err, errs.Denied) {
		return nil, errs.New(errs.Unauthenticated, "permission denied")
	} else if err != nil {
		return nil, err
	}
	return entry, nil
}

// reach returns the namespace of a token that a request names. A token is looked
// up, renewed and revoked from its own namespace or from above, and from above
// only by those who may do so there (CVE-2026-40264).
func (e *Engine) reach(ctx context.Context, tx engine.Tx, req *engine.Request, entry *core.Entry) (engine.Namespace, error) {
	if entry.Namespace == id(req.Namespace) {
		return req.Namespace, nil
	}
	if e.Reach == nil {
		return engine.Namespace{}, errs.New(errs.Denied, "permission denied")
	}
	return e.Reach(ctx, tx, req, entry.Namespace)
}

// id is a namespace's ID as tokens keep it, "" for the root.
func id(ns engine.Namespace) string {
	if ns.Root() {
		return ""
	}
	return ns.ID
}

// identityPolicies are those that the entity of a token adds; none of one that
// is disabled or no more.
func (e *Engine) identityPolicies(ctx context.Context, tx engine.Tx, t *core.Entry) ([]string, error) {
	if e.IdentityPolicies == nil || t.EntityID == "" {
		return nil, nil
	}
	names, err := e.IdentityPolicies(ctx, tx, t)
	if errs.Is(err, errs.Denied) {
		return nil, nil
	}
	return names, err
}

// issued is the auth block of a token: new, or renewed at now.
func (e *Engine) issued(ctx context.Context, tx engine.Tx, t *core.Entry, token redact.Secret, now time.Time) (*engine.Auth, error) {
	own, err := e.identityPolicies(ctx, tx, t)
	if err != nil {
		return nil, err
	}
	answer := issued(t, token, now)
	if len(own) > 0 {
		answer.Issued.IdentityPolicies = own
		answer.Issued.Policies = grant.Normalize(append(slices.Clone(own), t.Policies...))
	}
	return answer, nil
}

func issued(e *core.Entry, token redact.Secret, now time.Time) *engine.Auth {
	kind := engine.TokenService
	if e.Type == core.Batch {
		kind = engine.TokenBatch
	}
	return &engine.Auth{
		DisplayName: e.DisplayName, Metadata: e.Meta, Renewable: e.Renewable, Orphan: e.Orphan, Parent: e.Parent, Role: e.Role,
		Params: engine.TokenParams{
			TTL: e.TTL, MaxTTL: e.MaxTTL, ExplicitMaxTTL: e.ExplicitMaxTTL, Period: e.Period,
			NumUses: e.NumUses, Type: kind, Policies: e.Policies, BoundCIDRs: e.BoundCIDRs,
		},
		Issued: &engine.Issued{
			ClientToken: token.RevealString(), Accessor: e.Accessor, Policies: e.Policies, TokenPolicies: e.Policies,
			EntityID: e.EntityID, TTL: e.Remaining(now), Renewable: e.Renewable,
			Type: kind, Orphan: e.Orphan, NumUses: e.NumUses,
		},
	}
}
