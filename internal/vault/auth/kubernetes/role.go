package kubernetes

import (
	"context"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
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
	Stateless  bool     `json:"stateless,omitempty"` // see stateless.go
	auth.Params

	selector *selector // of Selector; nil if that is ""
}

func roleFields() []engine.Field {
	return []engine.Field{
		{Name: "bound_service_account_names", Type: engine.Strings, Help: "ServiceAccounts that may log in; * stands for any characters"},
		{Name: "bound_service_account_namespaces", Type: engine.Strings, Help: "namespaces they may be in; * stands for any characters"},
		{Name: "bound_service_account_namespace_selector", Type: engine.String, Help: "label selector, as JSON or YAML, for namespaces they may be in besides; the reviewer must be able to get namespaces"},
		{Name: "audience", Type: engine.String, Help: "audience that tokens must be for; none = the API server's own"},
		{Name: "stateless", Type: engine.Bool, Help: "logins get batch tokens bound to their pod: nothing is stored, no lease is made"},
		{Name: "alias_name_source", Type: engine.String, Default: aliasUID, Help: aliasUID + " or " + aliasName},
	}
}

// roles keeps them.
func roles() *auth.Records[role, *role] {
	return &auth.Records[role, *role]{
		Folder: rolePrefix, Noun: "role", Param: "name",
		New:     func(name string) role { return role{Name: name, AliasBy: aliasUID} },
		Written: warnOfAudience,
	}
}

func warnOfAudience(_ context.Context, _ engine.Tx, _, r *role) (*engine.Response, error) {
	if r.Audience != "" {
		return nil, nil
	}
	return &engine.Response{Warnings: []string{
		"Role " + r.Name + " does not have an audience: any token that the API server accepts for itself will do. Set audience and project tokens for it.",
	}}, nil
}

// Decode implements auth.Record.
func (r *role) Decode(req *engine.Request) error {
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
	r.Stateless = d.Bool("stateless", r.Stateless)
	if err := r.Params.Decode(&d); err != nil {
		return err
	}
	return r.CheckLogin()
}

// Check implements auth.Record. It fills in r.selector.
func (r *role) Check() error {
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
	if err := r.checkStateless(); err != nil {
		return err
	}
	return r.prepareSelector()
}

func (r *role) prepareSelector() (err error) {
	r.selector = nil
	if r.Selector != "" {
		r.selector, err = parseSelector(r.Selector)
	}
	return err
}

// Show implements auth.Record.
func (r *role) Show() engine.Builder {
	return r.Params.Show(engine.NewObject().
		Str("alias_name_source", r.AliasBy).
		Str("audience", r.Audience).
		Strs("bound_service_account_names", r.Accounts).
		Str("bound_service_account_namespace_selector", r.Selector).
		Strs("bound_service_account_namespaces", r.Namespaces).
		Bool("stateless", r.Stateless))
}

func matchesAny(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return grant.Glob(g, s) })
}
