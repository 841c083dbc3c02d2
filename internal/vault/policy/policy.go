package policy

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy/parameter"
	"github.com/strongkeep/strongkeep/internal/vault/policy/syntax"
)

// Limits of one policy. MaxText leaves room in a stored value of 1 MiB.
const (
	MaxText  = 1_000_000 // bytes
	MaxRules = 10_000    // path blocks
)

// Policy is a parsed policy. It is immutable.
type Policy struct {
	name, text string
	rules      []*rule
	root       bool // grants everything; only Root makes one
	templated  bool // some rule's path has a template
}

// Name returns the normalised name.
func (p *Policy) Name() string { return p.name }

// Text returns the text that Parse was given, to the byte.
func (p *Policy) Text() string { return p.text }

// Paths returns the paths of the rules in the order of the text; one that has
// several blocks comes several times.
func (p *Policy) Paths() []string {
	paths := make([]string, len(p.rules))
	for i, r := range p.rules {
		paths[i] = r.pathText()
	}
	return paths
}

// Parse reads a policy in HCL or JSON. Every error but one about the name and
// the size tells line and column. Kinds: Invalid, and TooLarge over MaxText or
// MaxRules. Blocks with the same path are merged like those of several policies.
//
// A `name` in the text is accepted and ignored, as in Vault.
func Parse(name, text string) (*Policy, error) {
	name, err := Writable(name)
	if err != nil {
		return nil, err
	}
	p := &Policy{name: name, text: text}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("parsing policy %q: %w", name, err)
	}
	return p, nil
}

func (p *Policy) parse() error {
	switch {
	case len(p.text) > MaxText:
		return errs.Newf(errs.TooLarge, "a text of %d bytes is over the limit of %d; split the policy", len(p.text), MaxText)
	case strings.TrimSpace(p.text) == "":
		return errs.New(errs.Invalid, `the text is empty; give at least one path "…" { capabilities = […] }`)
	}
	root, err := syntax.Parse(p.text)
	if err != nil {
		return err
	}
	for _, f := range root.Fields {
		switch f.Name {
		case "path":
			err = p.addPaths(f)
		case "name":
			err = f.Value.Expect(syntax.String, "name")
		default:
			known := []string{"name", "path"}
			err = f.At.Errorf("unknown key %.80q%s; known keys are %s", f.Name, syntax.DidYouMean(f.Name, known), strings.Join(known, ", "))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addPaths adds the rules of one `path` key: {"a": {…}, "b": {…}}, or a list of that.
func (p *Policy) addPaths(f syntax.Field) error {
	groups, err := f.Value.Objects("path")
	if err != nil {
		return err
	}
	for _, group := range groups {
		for _, path := range group.Fields {
			if err := p.addRules(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Policy) addRules(path syntax.Field) error {
	bodies, err := path.Value.Objects(fmt.Sprintf("path %.80q", path.Name))
	if err != nil {
		return err
	}
	for _, body := range bodies {
		if len(p.rules) == MaxRules {
			return errs.Newf(errs.TooLarge, "line %d, column %d: more than %d paths; split the policy", path.At.Line, path.At.Column, MaxRules)
		}
		r, err := newRule(path, body)
		if err != nil {
			return err
		}
		r.policies = []string{p.name}
		p.rules = append(p.rules, r)
		p.templated = p.templated || r.template != nil
	}
	return nil
}

// Decode returns the text of a policy as a client sent it, which may be
// base64: what decodes to UTF-8 is taken as such, anything else as it is.
func Decode(text string) string {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) == 0 || !utf8.Valid(raw) {
		return text
	}
	return string(raw)
}

// mergeRules merges the rules of all policies by the path they have for who. A
// rule that needs no merging is shared with its policy.
func mergeRules(who *Identity, policies []*Policy) map[string]*rule {
	size := 0
	for _, p := range policies {
		size += len(p.rules)
	}
	merged := make(map[string]*rule, size)
	own := map[*rule]bool{} // copies that may be changed
	for _, p := range policies {
		for _, r := range p.rules {
			if r = r.of(who); r == nil {
				continue
			}
			into := merged[r.path.String()]
			if into == nil {
				merged[r.path.String()] = r
				continue
			}
			if !own[into] {
				into = into.clone()
				own[into], merged[r.path.String()] = true, into
			}
			into.merge(r)
		}
	}
	return merged
}

func (r *rule) clone() *rule {
	c := *r
	c.allowed, c.denied = maps.Clone(r.allowed), maps.Clone(r.denied)
	c.required, c.policies = slices.Clone(r.required), slices.Clone(r.policies)
	return &c
}

// merge adds what o says of the same path (§2.3): deny wins and clears, the
// smaller bound holds, conditions add up.
func (r *rule) merge(o *rule) {
	switch denies := o.caps&Deny != 0; {
	case r.caps&Deny != 0 && !denies:
		return
	case r.caps&Deny == 0 && denies:
		r.policies = nil
		r.denyAll()
	}
	if !slices.Contains(r.policies, o.policies[0]) {
		r.policies = append(r.policies, o.policies[0])
		slices.Sort(r.policies)
	}
	if r.caps |= o.caps; r.caps&Deny != 0 {
		return
	}
	r.minWrap, r.maxWrap = smaller(r.minWrap, o.minWrap), smaller(r.maxWrap, o.maxWrap)
	r.allowed, r.denied = mergeParameters(r.allowed, o.allowed), mergeParameters(r.denied, o.denied)
	r.required = append(r.required, o.required...)
	slices.Sort(r.required)
	r.required = slices.Compact(r.required)
}

// smaller returns the lesser of two bounds, where 0 is none.
func smaller[T ~int64](a, b T) T {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// mergeParameters adds b to a, which it may change. No condition and a
// condition make a condition; no values and values make any value.
func mergeParameters(a, b map[string][]parameter.Value) map[string][]parameter.Value {
	if a == nil {
		return maps.Clone(b)
	}
	for name, values := range b {
		old, known := a[name]
		switch {
		case !known:
			a[name] = values
		case len(old) == 0 || len(values) == 0:
			a[name] = nil
		default:
			a[name] = append(slices.Clip(old), values...)
		}
	}
	return a
}
