package policy

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/policy/parameter"
	"github.com/strongkeep/strongkeep/internal/vault/policy/pattern"
)

// ACL is what a set of policies allows. It is immutable: any number of
// goroutines may use one at once.
type ACL struct {
	root  bool
	rules pattern.Index[rule]
}

// Compile merges policies into an ACL. Root counts only if it is alone:
// together with others it grants nothing, since such a set is a mistake.
// Without policies everything is refused. Rules whose paths have templates are
// left out: they grant nothing to whom nobody knows.
func Compile(policies ...*Policy) *ACL { return CompileIn("", nil, policies...) }

// CompileFor is Compile with who put for the templates of paths; nil is nobody.
func CompileFor(who *Identity, policies ...*Policy) *ACL { return CompileIn("", who, policies...) }

// CompileIn is CompileFor for policies of the namespace at path, whose rules
// speak of nothing outside it: "secret/*" of "team-a/" is "team-a/secret/*".
// Root is a policy of the root namespace, "", alone.
func CompileIn(path string, who *Identity, policies ...*Policy) *ACL {
	if path == "" && len(policies) == 1 && policies[0].root {
		return &ACL{root: true}
	}
	a := &ACL{}
	for _, r := range mergeRules(who, policies) {
		r = r.below(path)
		a.rules.Add(r.path, r, r.grants())
	}
	a.rules.Freeze()
	return a
}

// IsRoot reports whether the ACL grants everything.
func (a *ACL) IsRoot() bool { return a.root }

// Params are the top-level parameters of a request; engine.Body is one. Give a
// pointer to it, which costs no allocation.
type Params interface {
	// Names returns the names as the client wrote them.
	Names() []string
	// Field returns a value as JSON, nil if it is absent or null.
	Field(name string) jsontext.Value
}

// Query is one question to an ACL.
//
// Path must be the one that the engine will act on, decoded and complete with
// its mount. For List and Scan it ends in "/", as the wire makes it: without
// the slash a rule for "a/" does not speak about listing "a".
type Query struct {
	Path    string
	Want    Capability    // one of Create, Read, Update, Delete, List, Patch, Scan
	Params  Params        // nil = none; looked at only if the rule has conditions on them
	WrapTTL time.Duration // the response will be wrapped for so long; 0 = not wrapped
}

// Reason says why an ACL decided as it did.
type Reason uint8

// The reasons. The zero value is a refusal.
const (
	NoRule           Reason = iota // no path of any policy matches
	ByRule                         // allowed
	ByRoot                         // allowed, as root
	ExplicitDeny                   // the rule has the capability deny
	NotGranted                     // the rule does not have the capability wanted
	WrapTTL                        // not wrapped, or for a time out of the rule's bounds
	RequiredMissing                // a required parameter is absent or null
	ParameterDenied                // a parameter, or its value, is denied
	ParameterUnknown               // a parameter is not among those allowed
	ValueNotAllowed                // a parameter's value is not among those allowed
	BadPath                        // the path has a segment "." or ".."
	reasonCount
)

var reasonTexts = [reasonCount]string{
	"no policy has a path that matches",
	"allowed by policy",
	"allowed as root",
	"a policy denies this path explicitly",
	"the policies do not grant this capability on the path",
	"the policies bound the wrapping TTL of the response, and the request is outside",
	"a parameter that the policies require is missing",
	"the policies deny a parameter of the request or its value",
	"the request has a parameter that the policies do not allow",
	"a parameter has a value that the policies do not allow",
	`the path has a segment "." or ".."`,
}

// String returns the reason as a clause for people.
func (r Reason) String() string {
	if r >= reasonCount {
		return "unknown"
	}
	return reasonTexts[r]
}

// Decision is an ACL's answer. The zero value refuses.
type Decision struct {
	Allowed   bool
	Sudo      bool   // the rule grants sudo, whether or not the operation is allowed
	Denied    bool   // refused by the capability deny
	Reason    Reason // why
	Rule      string // the path pattern that decided, "" if none matched
	Parameter string // the parameter that a condition failed on, as the policy names it; "" if it does not

	rule *rule
}

// Policies returns the sorted names of the policies that the deciding rule is
// made of: if it denies, of those that deny. Do not change it.
func (d Decision) Policies() []string {
	if d.rule == nil {
		return nil
	}
	return d.rule.policies
}

// Granted returns what the deciding rule grants, without its conditions.
func (d Decision) Granted() Capability {
	if d.rule == nil {
		return 0
	}
	return d.rule.caps
}

// Decide answers whether q is allowed (§2.3).
func (a *ACL) Decide(q Query) Decision {
	path := strings.TrimLeft(q.Path, "/")
	if pattern.Dotted(path) {
		return Decision{Reason: BadPath}
	}
	if a.root {
		return Decision{Allowed: true, Sudo: true, Reason: ByRoot}
	}
	r := a.rules.Match(path, q.Want&(List|Scan) != 0)
	if r == nil {
		return Decision{Reason: NoRule}
	}
	d := Decision{Sudo: r.caps&Sudo != 0, Rule: r.path.String(), rule: r}
	switch {
	case r.caps&Deny != 0:
		d.Denied, d.Reason = true, ExplicitDeny
	case q.Want&^operations != 0 || q.Want == 0 || r.caps&q.Want != q.Want:
		d.Reason = NotGranted
	case !r.wraps(q.WrapTTL):
		d.Reason = WrapTTL
	case q.Want&(Create|Read|Update|Patch) != 0:
		d.Reason, d.Parameter = r.checkParams(q.Params)
	default:
		d.Reason = ByRule
	}
	d.Allowed = d.Reason == ByRule
	return d
}

// DecideBoth is Decide for a request that q names as it was written, and meant as
// the handler will act on it: it must be allowed under both spellings, or a deny
// of the one could be walked around by the other. The Decision is that of the
// spelling that refuses.
func (a *ACL) DecideBoth(q Query, meant string) Decision {
	d := a.Decide(q)
	if !d.Allowed || meant == q.Path {
		return d
	}
	written := d.Sudo
	q.Path = meant
	d = a.Decide(q)
	d.Sudo = d.Sudo && written
	return d
}

// wraps reports whether a response that is wrapped for ttl keeps the bounds.
func (r *rule) wraps(ttl time.Duration) bool {
	if r.maxWrap > 0 && (ttl == 0 || ttl > r.maxWrap) {
		return false
	}
	return r.minWrap == 0 || ttl >= r.minWrap && (r.maxWrap == 0 || r.maxWrap >= r.minWrap)
}

// checkParams returns ByRule if p keeps the rule's conditions, else which one
// it breaks. A required parameter must be there under its lower-case name,
// which is the one that engines read.
func (r *rule) checkParams(p Params) (Reason, string) {
	if r.required == nil && r.allowed == nil && r.denied == nil {
		return ByRule, ""
	}
	if p == nil {
		p = noParams{}
	}
	for _, name := range r.required {
		if p.Field(name) == nil {
			return RequiredMissing, name
		}
	}
	for _, name := range p.Names() {
		if reason, which := r.checkParam(strings.ToLower(name), p.Field(name)); reason != ByRule {
			return reason, which
		}
	}
	return ByRule, ""
}

func (r *rule) checkParam(name string, value jsontext.Value) (Reason, string) {
	if _, all := r.denied["*"]; all {
		return ParameterDenied, "*"
	}
	if values, named := r.denied[name]; named && parameter.AnyDenied(value, values) {
		return ParameterDenied, name
	}
	values, named := r.allowed[name]
	if named && !parameter.AllAllowed(value, values) {
		return ValueNotAllowed, name
	}
	if _, all := r.allowed["*"]; named || all || len(r.allowed) == 0 {
		return ByRule, ""
	}
	return ParameterUnknown, ""
}

type noParams struct{}

func (noParams) Names() []string             { return nil }
func (noParams) Field(string) jsontext.Value { return nil }

// Capabilities returns what sys/capabilities answers for path: the sorted
// names, ["deny"] if nothing is granted, ["root"] for root. As in Vault the
// path is looked up as if it were listed, and conditions are left out.
func (a *ACL) Capabilities(path string) []string {
	if a.root {
		return []string{RootName}
	}
	path = strings.TrimLeft(path, "/")
	if pattern.Dotted(path) {
		return Deny.Names()
	}
	r := a.rules.Match(path, true)
	if r == nil || !r.grants() {
		return Deny.Names()
	}
	return r.caps.Names()
}

// AnyUnder reports whether some path below the folder prefix, or listing the
// folder itself, can be granted anything. It is what decides whether a token
// may know of a mount (§2.5). Its cost grows with the number of rules with "+".
func (a *ACL) AnyUnder(prefix string) bool {
	bare := strings.Trim(prefix, "/")
	switch {
	case a.root:
		return true
	case bare == "":
		return a.rules.Under("")
	case a.rules.Under(bare + "/"):
		return true
	}
	r := a.rules.Match(bare+"/", true)
	return r != nil && r.caps&Deny == 0 && r.caps&(List|Scan) != 0
}
