package token

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
)

func (e *Engine) lookup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	token := strings.TrimSpace(d.String("token", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	if token == "" {
		return e.lookupSelf(ctx, tx, req)
	}
	entry, err := e.byToken(ctx, tx, req, token)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, errs.New(errs.Denied, "bad token")
	}
	if err != nil {
		return nil, err
	}
	ns, err := e.reach(ctx, tx, req, entry)
	if err != nil {
		return nil, err
	}
	return e.describe(ctx, tx, described{entry, token, ns, req.Time})
}

func (e *Engine) lookupSelf(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	entry, err := e.caller(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return e.describe(ctx, tx, described{entry, req.Token.RevealString(), req.Caller.Namespace, req.Time})
}

func (e *Engine) lookupAccessor(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	entry, err := e.byAccessor(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	ns, err := e.reach(ctx, tx, req, entry)
	if err != nil {
		return nil, err
	}
	return e.describe(ctx, tx, described{entry, "", ns, req.Time})
}

func (e *Engine) listAccessors(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	after, limit := d.String("after", ""), d.Int("limit", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if limit < 0 || limit > 1<<30 {
		return nil, errs.New(errs.Invalid, "limit cannot be negative, nor more than 1073741824")
	}
	keys, err := e.Tokens.ListAccessors(ctx, tx, id(req.Namespace), after, int(limit))
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObjectSize(32*len(keys)+16).Strs("keys", keys).Value()}, nil
}

// described is a token to be described.
type described struct {
	*core.Entry
	id  string // "" if the token itself is not known
	ns  engine.Namespace
	now time.Time
}

// describe is the data of a lookup (facts §2.4).
func (e *Engine) describe(ctx context.Context, tx engine.Tx, t described) (*engine.Response, error) {
	own, err := e.identityPolicies(ctx, tx, t.Entry)
	if err != nil {
		return nil, err
	}
	seconds := func(d time.Duration) int64 { return int64(d / time.Second) }
	o := engine.NewObjectSize(768).
		Str("accessor", t.Accessor)
	if len(t.BoundCIDRs) > 0 {
		cidrs := make([]string, len(t.BoundCIDRs))
		for i, p := range t.BoundCIDRs {
			cidrs[i] = p.String()
		}
		o = o.Strs("bound_cidrs", cidrs)
	}
	o = o.Int("creation_time", t.Created.Unix()).
		Int("creation_ttl", seconds(t.TTL)).
		Str("display_name", t.DisplayName).
		Str("entity_id", t.EntityID)
	if t.Expires.IsZero() {
		o = o.Null("expire_time")
	} else {
		o = o.Time("expire_time", t.Expires)
	}
	o = o.Int("explicit_max_ttl", seconds(t.ExplicitMaxTTL)).
		Str("id", t.id).
		Time("issue_time", t.Created)
	if len(own) > 0 {
		o = o.Strs("identity_policies", own)
	}
	if !t.LastRenewal.IsZero() {
		o = o.Time("last_renewal", t.LastRenewal).Int("last_renewal_time", t.LastRenewal.Unix())
	}
	o = o.StrMap("meta", t.Meta)
	if !t.ns.Root() {
		o = o.Str("namespace_path", t.ns.Path)
	}
	o = o.
		Int("num_uses", int64(t.NumUses)).
		Bool("orphan", t.Orphan).
		Str("path", t.Path)
	if t.Period > 0 {
		o = o.Int("period", seconds(t.Period))
	}
	o = o.Strs("policies", t.Policies).
		Bool("renewable", t.Renewable)
	if t.Role != "" {
		o = o.Str("role", t.Role)
	}
	o = o.Int("ttl", seconds(t.Remaining(t.now))).
		Str("type", t.Type.String())
	return &engine.Response{Data: o.Value()}, nil
}
