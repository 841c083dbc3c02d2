package token

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// rolePrefix is where roles lie in the folder of their namespace, as JSON.
const rolePrefix = "tokenrole/"

// role restricts the tokens that are created by it. The token_* fields of
// logins that have no meaning here (ttl, max_ttl, policies) are not used.
type role struct {
	Name            string   `json:"name"`
	Allowed         []string `json:"allowed_policies,omitempty"`
	AllowedGlobs    []string `json:"allowed_policies_glob,omitempty"`
	Disallowed      []string `json:"disallowed_policies,omitempty"`
	DisallowedGlobs []string `json:"disallowed_policies_glob,omitempty"`
	Aliases         []string `json:"allowed_entity_aliases,omitempty"`
	Orphan          bool     `json:"orphan,omitempty"`
	Renewable       bool     `json:"renewable"`
	PathSuffix      string   `json:"path_suffix,omitempty"`
	DefaultType     string   `json:"default_type,omitempty"` // of tokens that name none; "" = service. Params.Type binds.
	auth.Params
}

func roleFields() []engine.Field {
	fields := []engine.Field{
		{Name: "allowed_policies", Type: engine.Strings, Help: "policies a token may be given, whatever its creator has"},
		{Name: "allowed_policies_glob", Type: engine.Strings, Help: "the same, with * for any characters"},
		{Name: "disallowed_policies", Type: engine.Strings, Help: "policies a token may not be given"},
		{Name: "disallowed_policies_glob", Type: engine.Strings, Help: "the same, with * for any characters"},
		{Name: "orphan", Type: engine.Bool, Help: "tokens have no parent"},
		{Name: "renewable", Type: engine.Bool, Default: "true", Help: "tokens can be renewed"},
		{Name: "path_suffix", Type: engine.String, Help: "added to the path of tokens, to tell them apart"},
		{Name: "allowed_entity_aliases", Type: engine.Strings, Help: "entity aliases that a token may be created with, with * for any characters"},
	}
	for _, f := range auth.Fields() {
		switch f.Name {
		case "token_ttl", "token_max_ttl", "token_policies":
		default:
			fields = append(fields, f)
		}
	}
	return fields
}

// roles keeps them.
func roles() *auth.Records[role, *role] {
	return &auth.Records[role, *role]{
		Folder: rolePrefix, Noun: "role", Param: "role",
		New: func(name string) role { return role{Name: name, Renewable: true} },
	}
}

// roleRoutes are those of the roles of the request's namespace.
func (e *Engine) roleRoutes() []engine.Route {
	routes := e.roles.Routes("roles", roleFields())
	for i := range routes {
		r := &routes[i]
		for op, h := range r.Handlers {
			r.Handlers[op] = func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
				return h(ctx, engine.Confine(tx, req.Namespace.Folder()), req)
			}
		}
		if exists := r.Exists; exists != nil {
			r.Exists = func(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
				return exists(ctx, engine.Confine(tx, req.Namespace.Folder()), req)
			}
		}
	}
	return routes
}

// Decode implements auth.Record.
func (r *role) Decode(req *engine.Request) error {
	d := req.Decode()
	for _, f := range []struct {
		name string
		list *[]string
	}{
		{"allowed_policies", &r.Allowed}, {"disallowed_policies", &r.Disallowed},
		{"allowed_policies_glob", &r.AllowedGlobs}, {"disallowed_policies_glob", &r.DisallowedGlobs},
	} {
		if given := d.Strings(f.name); given != nil {
			// Not NormalizePolicies, which would make a list with root in it root alone.
			for i := range given {
				given[i] = strings.ToLower(given[i])
			}
			slices.Sort(given)
			*f.list = slices.DeleteFunc(slices.Compact(given), func(s string) bool { return s == "" })
		}
	}
	r.Orphan = d.Bool("orphan", r.Orphan)
	r.Renewable = d.Bool("renewable", r.Renewable)
	r.PathSuffix = d.String("path_suffix", r.PathSuffix)
	aliases := d.Strings("allowed_entity_aliases")
	kind := d.String("token_type", "")
	r.TTL, r.MaxTTL, r.Policies = 0, 0, nil
	if err := r.Params.Decode(&d); err != nil {
		return err
	}
	r.TTL, r.MaxTTL, r.Policies = 0, 0, nil
	if aliases != nil {
		for i := range aliases {
			aliases[i] = strings.ToLower(aliases[i])
		}
		slices.Sort(aliases)
		r.Aliases = slices.DeleteFunc(slices.Compact(aliases), func(s string) bool { return s == "" })
	}
	if !suffix.MatchString(r.PathSuffix) {
		return errs.New(errs.Invalid, "path_suffix may hold letters, digits and _-./ but no \"..\", at most 128 of them")
	}
	switch strings.ReplaceAll(strings.ToLower(kind), "_", "-") {
	case "default-batch":
		r.Type, r.DefaultType = "", "batch"
	case "":
	default:
		r.DefaultType = ""
	}
	return nil
}

var suffix = regexp.MustCompile(`^([\w-]|[./][\w-]){0,128}$`)

// Check implements auth.Record.
func (r *role) Check() error { return nil }

// Show implements auth.Record.
func (r *role) Show() engine.Builder {
	kind := "default-service"
	switch {
	case r.Type != "":
		kind = r.Type
	case r.DefaultType != "":
		kind = "default-" + r.DefaultType
	}
	return engine.NewObject().
		Strs("allowed_entity_aliases", r.Aliases).
		Strs("allowed_policies", r.Allowed).
		Strs("allowed_policies_glob", r.AllowedGlobs).
		Strs("disallowed_policies", r.Disallowed).
		Strs("disallowed_policies_glob", r.DisallowedGlobs).
		Int("explicit_max_ttl", r.ExplicitMaxTTL).
		Str("name", r.Name).
		Bool("orphan", r.Orphan).
		Str("path_suffix", r.PathSuffix).
		Int("period", r.Period).
		Bool("renewable", r.Renewable).
		Strs("token_bound_cidrs", r.BoundCIDRs).
		Int("token_explicit_max_ttl", r.ExplicitMaxTTL).
		Bool("token_no_default_policy", r.NoDefaultPolicy).
		Int("token_num_uses", int64(r.NumUses)).
		Int("token_period", r.Period).
		Str("token_type", kind)
}

// allowsAlias refuses an entity alias that the role does not allow.
func (r *role) allowsAlias(w *wish) error {
	w.entity = strings.ToLower(w.entity)
	switch {
	case w.entity == "":
		return nil
	case r.Name == "":
		return errs.New(errs.Invalid, "'entity_alias' is only allowed in combination with token role")
	case !slices.ContainsFunc(r.Aliases, func(glob string) bool { return grant.Glob(glob, w.entity) }):
		return errs.New(errs.Invalid, "invalid 'entity_alias' value: it is not among the role's allowed_entity_aliases")
	}
	return nil
}

func (r *role) limits() grant.Limits {
	return grant.Limits{
		Allowed: r.Allowed, AllowedGlobs: r.AllowedGlobs,
		Disallowed: r.Disallowed, DisallowedGlobs: r.DisallowedGlobs,
	}
}

func (r *role) period() time.Duration         { return time.Duration(r.Period) * time.Second }
func (r *role) explicitMaxTTL() time.Duration { return time.Duration(r.ExplicitMaxTTL) * time.Second }

func (r *role) suffix() string {
	if r.PathSuffix == "" {
		return ""
	}
	return "/" + r.PathSuffix
}

// kind is the type of a token for which asked was named, "" = nothing.
func (r *role) kind(asked string) (core.Type, error) {
	name := asked
	switch {
	case r.Type != "":
		name = r.Type
	case asked == "":
		name = r.DefaultType
	}
	switch name {
	case "", "service":
		return core.Service, nil
	case "batch":
		return core.Batch, nil
	}
	return 0, errs.New(errs.Invalid, "invalid 'token_type' value: type must be service or batch")
}
