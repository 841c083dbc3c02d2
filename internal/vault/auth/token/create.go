package token

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

func createFields() []engine.Field {
	return []engine.Field{
		{Name: "policies", Type: engine.Strings, Help: "policies of the token; none = those of the token that asks"},
		{Name: "ttl", Type: engine.Duration, Help: "time to live; 0 = the mount's default, and for root tokens without end"},
		{Name: "lease", Type: engine.Duration, Help: "older name of ttl"},
		{Name: "explicit_max_ttl", Type: engine.Duration, Help: "longest life, which binds periodic tokens too"},
		{Name: "period", Type: engine.Duration, Help: "makes the token periodic (needs sudo)"},
		{Name: "num_uses", Type: engine.Int, Help: "how many requests the token serves; 0 = any number"},
		{Name: "renewable", Type: engine.Bool, Default: "true", Help: "whether the token can be renewed"},
		{Name: "no_parent", Type: engine.Bool, Help: "create an orphan (needs sudo)"},
		{Name: "no_default_policy", Type: engine.Bool, Help: "do not add the policy \"default\""},
		{Name: "display_name", Type: engine.String, Default: "token", Help: "shown in lookups and audit lines, behind \"token-\""},
		{Name: "meta", Type: engine.Map, Help: "shown in lookups and audit lines"},
		{Name: "type", Type: engine.String, Default: "service", Help: "service or batch"},
		{Name: "id", Type: engine.String, Secret: true, Help: "the token itself (needs sudo); better left to chance"},
		{Name: "entity_alias", Type: engine.String, Help: "alias of the entity the token is of; it must be among the role's allowed_entity_aliases"},
	}
}

// wish is a decoded create request.
type wish struct {
	policies                       []string
	ttl, explicitMaxTTL, period    time.Duration
	numUses                        int64
	renewable, noParent, noDefault bool
	displayName, kind, id, entity  string
	meta                           map[string]string
}

func decodeWish(req *engine.Request) (wish, error) {
	d := req.Decode()
	w := wish{
		policies: d.Strings("policies"), ttl: d.Duration("ttl", d.Duration("lease", 0)),
		explicitMaxTTL: d.Duration("explicit_max_ttl", 0), period: d.Duration("period", 0),
		numUses: d.Int("num_uses", 0), renewable: d.Bool("renewable", true), noParent: d.Bool("no_parent", false),
		noDefault: d.Bool("no_default_policy", false), displayName: d.String("display_name", ""),
		kind: d.String("type", ""), id: d.String("id", ""), entity: d.String("entity_alias", ""), meta: d.StringMap("meta"),
	}
	switch {
	case d.Err() != nil:
		return wish{}, d.Err()
	case w.ttl < 0:
		return wish{}, errs.New(errs.Invalid, "ttl must be positive")
	case w.explicitMaxTTL < 0:
		return wish{}, errs.New(errs.Invalid, "explicit_max_ttl must be positive")
	case w.period < 0:
		return wish{}, errs.New(errs.Invalid, "period must be positive")
	case w.numUses < 0 || w.numUses > 1<<31:
		return wish{}, errs.New(errs.Invalid, "number of uses cannot be negative, nor more than 2147483648")
	}
	return w, nil
}

// allowed checks what needs sudo.
func (w *wish) allowed(sudo bool) error {
	switch {
	case sudo:
		return nil
	case w.id != "":
		return errs.New(errs.Invalid, "root or sudo privileges required to specify token id")
	case w.noParent:
		return errs.New(errs.Invalid, "root or sudo privileges required to create orphan token")
	case w.period != 0:
		return errs.New(errs.Invalid, "root or sudo privileges required to create periodic token")
	}
	return nil
}

func (e *Engine) create(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return e.make(ctx, tx, req, &role{Renewable: true})
}

func (e *Engine) createOrphan(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return e.make(ctx, tx, req, &role{Renewable: true, Orphan: true})
}

func (e *Engine) createByRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := strings.ToLower(req.Params["role"])
	r, err := e.roles.Load(ctx, engine.Confine(tx, req.Namespace.Folder()), name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.Newf(errs.Invalid, "unknown role %q: create it at auth/token/roles/%s", name, name)
	}
	return e.make(ctx, tx, req, r)
}

// make creates a token; without a role, r is one that restricts nothing.
func (e *Engine) make(ctx context.Context, tx engine.Tx, req *engine.Request, r *role) (*engine.Response, error) {
	w, err := decodeWish(req)
	if err != nil {
		return nil, err
	}
	creator, err := e.caller(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	if creator.NumUses != 0 {
		return nil, errs.New(errs.Invalid, "restricted use token cannot generate child tokens")
	}
	sudo := req.Caller.Sudo || creator.Root()
	if err := w.allowed(sudo); err != nil {
		return nil, err
	}
	if err := r.allowsAlias(&w); err != nil {
		return nil, err
	}
	spec, warnings, err := e.spec(&w, r, creator, sudo, id(req.Namespace))
	if err != nil {
		return nil, err
	}
	spec.Path = strings.TrimSuffix(req.Mount+req.Path, "/") + r.suffix()
	made, err := e.createOf(ctx, tx, req, spec, w.entity)
	if err != nil {
		return nil, err
	}
	if e.Missing != nil {
		missing, err := e.Missing(ctx, tx, req.Namespace, made.Entry.Policies)
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, missing...)
	}
	answer, err := e.issued(ctx, tx, made.Entry, made.Token, made.Entry.Created)
	return &engine.Response{Auth: answer, Warnings: append(warnings, made.Warnings...)}, err
}

// createOf makes a token of the entity that an alias names; "" = of the one that
// spec says.
func (e *Engine) createOf(ctx context.Context, tx engine.Tx, req *engine.Request, spec core.Spec, alias string) (made core.Created, err error) {
	if alias == "" {
		return e.Tokens.Create(ctx, tx, spec)
	}
	err = e.EntityOfAlias(ctx, tx, req, alias, func(entityID string) (*core.Entry, error) {
		spec.EntityID = entityID
		made, err = e.Tokens.Create(ctx, tx, spec)
		return made.Entry, err
	})
	return made, err
}

// spec brings together what was asked for and what the role says.
func (e *Engine) spec(w *wish, r *role, creator *core.Entry, sudo bool, namespace string) (core.Spec, []string, error) {
	policies, err := grant.Request{
		Requested: w.policies, Parent: creator.Policies, Sudo: sudo,
		NoDefault: w.noDefault || r.NoDefaultPolicy, Limits: r.limits(), Foreign: creator.Namespace != namespace,
	}.Decide()
	if err != nil {
		return core.Spec{}, nil, err
	}
	kind, err := r.kind(w.kind)
	if err != nil {
		return core.Spec{}, nil, err
	}
	orphan := w.noParent || r.Orphan
	bound, err := r.bound(creator, orphan)
	if err != nil {
		return core.Spec{}, nil, err
	}
	var warnings []string
	ttls := e.mount.TTL()
	s := core.Spec{
		Namespace: namespace, Creator: creator, Orphan: orphan, ID: redact.FromString(w.id), Type: kind, Policies: policies,
		MountID: e.mount.MountID, DisplayName: displayName(w.displayName), Meta: w.meta, Role: r.Name,
		TTL:            w.ttl,
		Period:         lesser(&warnings, "Period", w.period, r.period()),
		ExplicitMaxTTL: lesser(&warnings, "Explicit max TTL", w.explicitMaxTTL, r.explicitMaxTTL()),
		Default:        ttls.Default, Max: ttls.Max,
		NumUses: minSet(int(w.numUses), r.NumUses), Renewable: w.renewable && r.Renewable, BoundCIDRs: bound,
	}
	if !s.Orphan && creator.Namespace == namespace {
		s.EntityID = creator.EntityID
	}
	if s.ExplicitMaxTTL > s.Max && s.Period == 0 {
		warnings = append(warnings, fmt.Sprintf("Explicit max TTL of %q is greater than the mount's max_ttl of %q, which binds the token", s.ExplicitMaxTTL, s.Max))
	}
	if w.id != "" {
		warnings = append(warnings, "a token ID of your choice is only as hard to guess as you made it, and no secret scanner knows it for a token")
	}
	return s, warnings, nil
}

// lesser returns the lesser of two limits, and warns if both are set.
func lesser(warnings *[]string, what string, asked, ofRole time.Duration) time.Duration {
	if asked > 0 && ofRole > 0 && asked != ofRole {
		*warnings = append(*warnings, fmt.Sprintf("%s specified both during creation call and in role; using the lesser value of %d seconds",
			what, min(asked, ofRole)/time.Second))
	}
	return minSet(asked, ofRole)
}

// minSet returns the lesser of a and b, 0 standing for "not set".
func minSet[T int | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// displayName is "token", or "token-" and name with all but letters, digits and
// "-" replaced.
func displayName(name string) string {
	clean := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			return c
		}
		return '-'
	}, name)
	if clean = strings.TrimRight(clean, "-"); clean == "" {
		return "token"
	}
	return "token-" + clean
}
