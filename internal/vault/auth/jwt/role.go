package jwt

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Types of roles: those of workloads and those of browsers.
const (
	typeJWT  = "jwt"
	typeOIDC = "oidc"
)

// role says whose JWTs log in and what tokens they get.
type role struct {
	Name      string              `json:"name"`
	Kind      string              `json:"role_type"`
	Audiences []string            `json:"bound_audiences,omitempty"`
	Subject   string              `json:"bound_subject,omitempty"`
	Claims    map[string][]string `json:"bound_claims,omitempty"`
	Globs     bool                `json:"globs,omitempty"` // of Claims
	UserClaim string              `json:"user_claim"`
	Pointer   bool                `json:"user_claim_json_pointer,omitempty"`
	Groups    string              `json:"groups_claim,omitempty"`
	Mappings  map[string]string   `json:"claim_mappings,omitempty"` // claim to metadata
	Redirects []string            `json:"allowed_redirect_uris,omitempty"`
	Scopes    []string            `json:"oidc_scopes,omitempty"`
	MaxAge    int64               `json:"max_age,omitempty"` // seconds since the person proved itself; 0 = any

	// Leeways in seconds: 0 = the default, negative = none.
	ExpLeeway       int64 `json:"expiration_leeway,omitempty"`
	NotBeforeLeeway int64 `json:"not_before_leeway,omitempty"`
	ClockSkew       int64 `json:"clock_skew_leeway,omitempty"`
	auth.Params
}

func newRole(name string) role { return role{Name: name, Kind: typeOIDC} }

func roleFields() []engine.Field {
	return []engine.Field{
		{Name: "role_type", Type: engine.String, Default: typeOIDC, Help: "jwt for workloads, oidc for browsers"},
		{Name: "bound_audiences", Type: engine.Strings, Help: "what the aud claim must hold one of"},
		{Name: "bound_subject", Type: engine.String, Help: "what the sub claim must be"},
		{Name: "bound_claims", Type: engine.Object, Help: "claims and the value, or list of values, that each must have one of; a name with a slash in front is a JSON pointer"},
		{Name: "bound_claims_type", Type: engine.String, Default: "string", Help: "string, or glob: * in a value stands for any characters"},
		{Name: "user_claim", Type: engine.String, Help: "the claim that says who it is"},
		{Name: "user_claim_json_pointer", Type: engine.Bool, Help: "user_claim is a JSON pointer"},
		{Name: "groups_claim", Type: engine.String, Help: "the claim with the external groups it is in"},
		{Name: "claim_mappings", Type: engine.Map, Help: "claims to show in the token's metadata, and under which name"},
		{Name: "allowed_redirect_uris", Type: engine.Strings, Help: "where a provider may send the browser back to; oidc"},
		{Name: "oidc_scopes", Type: engine.Strings, Help: "to ask for besides openid; oidc"},
		{Name: "max_age", Type: engine.Duration, Help: "how long ago a person may have proved itself to the provider; oidc"},
		{Name: "expiration_leeway", Type: engine.Duration, Help: "life of a token without exp; 0 = 150 s, -1 = none"},
		{Name: "not_before_leeway", Type: engine.Duration, Help: "0 = 150 s, -1 = none"},
		{Name: "clock_skew_leeway", Type: engine.Duration, Help: "how far clocks may be apart; 0 = 60 s, -1 = none"},
		{Name: "verbose_oidc_logging", Type: engine.Bool, Help: "not available: it would log tokens"},
	}
}

// Decode implements auth.Record.
func (r *role) Decode(req *engine.Request) error {
	d := req.Decode()
	r.Kind = d.String("role_type", r.Kind)
	r.Subject = d.String("bound_subject", r.Subject)
	r.UserClaim = d.String("user_claim", r.UserClaim)
	r.Pointer = d.Bool("user_claim_json_pointer", r.Pointer)
	r.Groups = d.String("groups_claim", r.Groups)
	for name, list := range map[string]*[]string{"bound_audiences": &r.Audiences, "allowed_redirect_uris": &r.Redirects, "oidc_scopes": &r.Scopes} {
		if given := d.Strings(name); given != nil {
			*list = slices.DeleteFunc(given, func(s string) bool { return s == "" })
		}
	}
	if mappings := d.StringMap("claim_mappings"); mappings != nil {
		r.Mappings = mappings
	}
	for name, field := range map[string]*int64{
		"expiration_leeway": &r.ExpLeeway, "not_before_leeway": &r.NotBeforeLeeway, "clock_skew_leeway": &r.ClockSkew, "max_age": &r.MaxAge,
	} {
		if d.Has(name) {
			*field = int64(d.Duration(name, 0).Seconds())
		}
	}
	kind := d.String("bound_claims_type", "")
	if bound := d.ObjectOrText("bound_claims"); bound != nil {
		parsed, err := parseBound(bound)
		if err != nil {
			return err
		}
		r.Claims = parsed
	}
	if err := r.Params.Decode(&d); err != nil {
		return err
	}
	switch kind {
	case "":
	case "string", "glob":
		r.Globs = kind == "glob"
	default:
		return errs.New(errs.Invalid, "bound_claims_type must be string or glob")
	}
	return r.CheckLogin()
}

// parseBound reads bound_claims: scalars, or lists of them.
func parseBound(raw jsontext.Value) (map[string][]string, error) {
	var all map[string]any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return nil, errs.New(errs.Invalid, "bound_claims must be an object")
	}
	out := make(map[string][]string, len(all))
	for name, v := range all {
		items, isList := v.([]any)
		values := scalars(v)
		if len(values) == 0 || isList && len(values) != len(items) {
			return nil, errs.New(errs.Invalid, "bound_claims must have for each claim a string, number, boolean or a list of such")
		}
		out[name] = values
	}
	return out, nil
}

// Check implements auth.Record.
func (r *role) Check() error {
	switch {
	case r.Kind != typeJWT && r.Kind != typeOIDC:
		return errs.New(errs.Invalid, "role_type must be jwt or oidc")
	case r.UserClaim == "":
		return errs.New(errs.Invalid, "a user claim must be defined on the role")
	case r.Kind == typeJWT && !r.bound():
		return errs.New(errs.Invalid, "must have at least one bound constraint when creating/updating a role: bound_audiences, bound_subject, bound_claims or token_bound_cidrs")
	case r.Kind == typeOIDC && len(r.Redirects) == 0:
		return errs.New(errs.Invalid, "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified")
	case r.MaxAge < 0:
		return errs.New(errs.Invalid, "max_age cannot be negative")
	}
	if err := r.checkRedirects(); err != nil {
		return err
	}
	return r.checkMappings()
}

// bound reports whether the role asks for anything at all.
func (r *role) bound() bool {
	return len(r.Audiences) > 0 || r.Subject != "" || len(r.Claims) > 0 || len(r.BoundCIDRs) > 0
}

func (r *role) checkRedirects() error {
	for _, text := range r.Redirects {
		if u, err := url.Parse(text); err != nil || u.Scheme == "" || u.Fragment != "" {
			return errs.New(errs.Invalid, "allowed_redirect_uris must hold addresses such as http://localhost:8250/oidc/callback")
		}
	}
	return nil
}

func (r *role) checkMappings() error {
	seen := map[string]bool{"role": true}
	for _, name := range r.Mappings {
		if seen[name] || name == "" {
			return errs.New(errs.Invalid, "claim_mappings must map claims to different names, and none to \"role\", which is the method's own")
		}
		seen[name] = true
	}
	return nil
}

// Show implements auth.Record.
func (r *role) Show() engine.Builder {
	bound := engine.NewObject()
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		bound = bound.Strs(name, r.Claims[name])
	}
	kind := "string"
	if r.Globs {
		kind = "glob"
	}
	return r.Params.Show(engine.NewObject().
		Strs("allowed_redirect_uris", r.Redirects).
		Strs("bound_audiences", r.Audiences).
		Obj("bound_claims", bound).
		Str("bound_claims_type", kind).
		Str("bound_subject", r.Subject).
		StrMap("claim_mappings", r.Mappings).
		Int("clock_skew_leeway", r.ClockSkew).
		Int("expiration_leeway", r.ExpLeeway).
		Str("groups_claim", r.Groups).
		Int("max_age", r.MaxAge).
		Int("not_before_leeway", r.NotBeforeLeeway).
		Strs("oidc_scopes", r.Scopes).
		Str("role_type", r.Kind).
		Str("user_claim", r.UserClaim).
		Bool("user_claim_json_pointer", r.Pointer))
}

// admit makes the login of claims that were verified. Kind Denied: they are not
// what the role asks for; what it asks for is told only where the caller holds
// that very claim.
func (r *role) admit(c claims) (*engine.Auth, error) {
	if err := r.checkBound(c); err != nil {
		return nil, err
	}
	user, ok := r.user(c)
	if !ok || user == "" {
		return nil, errs.Newf(errs.Denied, "claim %q not found in token, or not a text", r.UserClaim)
	}
	metadata := map[string]string{"role": r.Name}
	for claim, as := range r.Mappings {
		if v, ok := c.text(claim); ok {
			metadata[as] = v
		}
	}
	params, err := r.Engine()
	if err != nil {
		return nil, err
	}
	a := &engine.Auth{
		DisplayName: user, Alias: user, AliasMeta: metadata, Metadata: metadata, Params: params, Renewable: true, Orphan: true,
	}
	if r.Groups != "" {
		a.Groups = c.list(r.Groups)
	}
	return a, nil
}

// checkBound holds bound_subject and bound_claims.
func (r *role) checkBound(c claims) error {
	if r.Subject != "" && !fits(c.list("sub"), []string{r.Subject}, false) {
		return errs.New(errs.Denied, "error validating token: the sub claim does not match the role's bound_subject")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		values := c.list(name)
		if values == nil {
			return errs.Newf(errs.Denied, "error validating claims: claim %q is missing", name)
		}
		if !fits(values, r.Claims[name], r.Globs) {
			return errs.Newf(errs.Denied, "error validating claims: claim %q does not match any associated bound claim values", name)
		}
	}
	return nil
}

// user is who the claims say it is.
func (r *role) user(c claims) (string, bool) {
	if !r.Pointer {
		return scalar(c[r.UserClaim])
	}
	return c.text("/" + strings.TrimPrefix(r.UserClaim, "/"))
}

// checkAudience holds aud against the role: a token for an audience logs in only
// by a role that names it.
func (r *role) checkAudience(c claims) error {
	audiences := c.list("aud")
	switch {
	case len(audiences) > 0 && len(r.Audiences) == 0:
		return errs.New(errs.Denied, "audience claim found in JWT but no audiences bound to the role")
	case len(r.Audiences) > 0 && !fits(audiences, r.Audiences, false):
		return errs.New(errs.Denied, "error validating token: invalid audience (aud) claim: the JWT is for another audience than the role's bound_audiences")
	}
	return nil
}
