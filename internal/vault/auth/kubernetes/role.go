package kubernetes

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

const rolePrefix = "role/"

// What an alias, and with it an identity, is named after.
const (
	aliasUID  = "serviceaccount_uid"  // another identity when the account is made again
	aliasName = "serviceaccount_name" // namespace/name
)

// role says who may log in and what tokens they get; JSON in the mount's storage.
type role struct {
	Name       string   `json:"name"`
	Accounts   []string `json:"service_account_names"` // globs
	Namespaces []string `json:"namespaces,omitempty"`  // globs
	Selector   string   `json:"namespace_selector,omitempty"`
	Audience   string   `json:"audience,omitempty"`
	AliasBy    string   `json:"alias_name_source"`
	auth.Params

	selector *selector // of Selector; nil if that is ""
}

func roleFields() []engine.Field {
	return []engine.Field{
		{Name: "bound_service_account_names", Type: engine.Strings, Help: "ServiceAccounts that may log in; * stands for any characters"},
		{Name: "bound_service_account_namespaces", Type: engine.Strings, Help: "namespaces they may be in; * stands for any characters"},
		{Name: "bound_service_account_namespace_selector", Type: engine.String, Help: "label selector, as JSON or YAML, for namespaces they may be in besides; the reviewer must be able to get namespaces"},
		{Name: "audience", Type: engine.String, Help: "audience that tokens must be for; none = the API server's own"},
		{Name: "alias_name_source", Type: engine.String, Default: aliasUID, Help: aliasUID + " or " + aliasName},
	}
}

var namePattern = regexp.MustCompile(`^\w(([\w-.]+)?\w)?$`)

func roleName(req *engine.Request) (string, error) {
	name := strings.ToLower(req.Params["name"])
	if !namePattern.MatchString(name) || len(name) > 256 {
		return "", errs.New(errs.Invalid, "a role's name may hold letters, digits, \"_\", and within it \"-\" and \".\", at most 256 of them")
	}
	return name, nil
}

func decodeRole(b []byte) (*role, error) {
	r := new(role)
	if json.Unmarshal(b, r) != nil || r.check() != nil {
		return nil, errs.New(errs.Internal, "a role of the kubernetes auth method is damaged")
	}
	return r, nil
}

// loadRole returns nil if there is none. The role is shared: do not change it.
func loadRole(ctx context.Context, tx engine.Tx, name string) (*role, error) {
	stored, err := tx.Get(ctx, rolePrefix+name)
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, decodeRole)
}

func (e *Engine) roleExists(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
	name, err := roleName(req)
	if err != nil {
		return false, err
	}
	stored, err := tx.Get(ctx, rolePrefix+name)
	return stored.Exists(), err
}

func (e *Engine) listRoles(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	names, err := tx.List(ctx, rolePrefix, "", 0)
	if err != nil {
		return nil, err
	}
	names = slices.Sorted(slices.Values(names))
	return &engine.Response{Data: engine.NewObject().Strs("keys", names).Value()}, nil
}

func (e *Engine) writeRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := roleName(req)
	if err != nil {
		return nil, err
	}
	old, err := loadRole(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	r := role{Name: name, AliasBy: aliasUID}
	if old != nil {
		r = *old
	}
	if err := r.decode(req); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a role: %w", err)
	}
	tx.Put(rolePrefix+name, raw)
	if r.Audience != "" {
		return nil, nil
	}
	return &engine.Response{Warnings: []string{
		"Role " + name + " does not have an audience: any token that the API server accepts for itself will do. Set audience and project tokens for it.",
	}}, nil
}

func (r *role) decode(req *engine.Request) error {
	d := req.Decode()
	if names := d.Strings("bound_service_account_names"); names != nil {
		r.Accounts = names
	}
	if namespaces := d.Strings("bound_service_account_namespaces"); namespaces != nil {
		r.Namespaces = namespaces
	}
	r.Selector = strings.TrimSpace(d.String("bound_service_account_namespace_selector", r.Selector))
	r.Audience = d.String("audience", r.Audience)
	r.AliasBy = d.String("alias_name_source", r.AliasBy)
	if err := r.Decode(&d); err != nil {
		return err
	}
	if _, err := token.LoginPolicies(r.Policies, r.NoDefaultPolicy); err != nil {
		return err
	}
	return r.check()
}

// check also fills in r.selector.
func (r *role) check() error {
	everything := func(list []string) bool { return len(list) == 1 && list[0] == "*" }
	switch {
	case len(r.Accounts) == 0 || slices.Contains(r.Accounts, ""):
		return errs.New(errs.Invalid, `"bound_service_account_names" can not be empty`)
	case slices.Contains(r.Namespaces, "") || len(r.Namespaces) == 0 && r.Selector == "":
		return errs.New(errs.Invalid, `"bound_service_account_namespaces" can not be empty if "bound_service_account_namespace_selector" is not set`)
	case everything(r.Accounts) && everything(r.Namespaces):
		return errs.New(errs.Invalid, `"bound_service_account_names" and "bound_service_account_namespaces" can not both be "*"`)
	case r.AliasBy != aliasUID && r.AliasBy != aliasName:
		return errs.Newf(errs.Invalid, `"alias_name_source" must be %q or %q`, aliasUID, aliasName)
	}
	r.selector = nil
	if r.Selector == "" {
		return nil
	}
	s, err := parseSelector(r.Selector)
	r.selector = s
	return err
}

func (e *Engine) readRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := roleName(req)
	if err != nil {
		return nil, err
	}
	r, err := loadRole(ctx, tx, name)
	if err != nil || r == nil {
		return nil, err
	}
	data := engine.NewObject().
		Str("alias_name_source", r.AliasBy).
		Str("audience", r.Audience).
		Strs("bound_service_account_names", r.Accounts).
		Str("bound_service_account_namespace_selector", r.Selector).
		Strs("bound_service_account_namespaces", r.Namespaces)
	return &engine.Response{Data: r.Show(data).Value()}, nil
}

func (e *Engine) deleteRole(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := roleName(req)
	if err != nil {
		return nil, err
	}
	tx.Delete(rolePrefix + name)
	return nil, nil
}

func matchesAny(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return token.Glob(g, s) })
}
