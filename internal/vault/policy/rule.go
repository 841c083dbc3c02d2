package policy

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy/parameter"
	"github.com/strongkeep/strongkeep/internal/vault/policy/pattern"
	"github.com/strongkeep/strongkeep/internal/vault/policy/syntax"
	"github.com/strongkeep/strongkeep/internal/vault/policy/template"
)

// rule is what one path pattern grants: one block of a policy, or what several
// blocks with the same path merge to. It is not changed after it was built.
type rule struct {
	path             pattern.Pattern // the zero Pattern if there is a template
	template         *template.Path  // nil = none: the path is the same for everybody
	caps             Capability
	minWrap, maxWrap time.Duration                // 0 = no bound
	allowed, denied  map[string][]parameter.Value // lower-case names, "*" = every name; no values = any value; nil = no condition
	required         []string                     // lower-case names, sorted
	line             int                          // of the block, in its policy's text; of merged ones, any
	policies         []string                     // who contributed; of a denying rule those that deny
}

// below returns the rule for the same paths within folder, "" or ending in "/".
func (r *rule) below(folder string) *rule {
	if folder == "" {
		return r
	}
	moved := *r
	moved.path = r.path.Below(folder)
	return &moved
}

// grants reports whether the rule allows anything at all.
func (r *rule) grants() bool { return r.caps&Deny == 0 && r.caps != 0 }

// ruleKeys reads the keys of a path block.
var ruleKeys = map[string]func(*rule, syntax.Node) error{
	"allowed_parameters": func(r *rule, n syntax.Node) (err error) {
		r.allowed, err = parameters("allowed_parameters", n)
		return err
	},
	"capabilities": (*rule).readCapabilities,
	"comment":      func(_ *rule, n syntax.Node) error { return n.Expect(syntax.String, "comment") },
	"denied_parameters": func(r *rule, n syntax.Node) (err error) {
		r.denied, err = parameters("denied_parameters", n)
		return err
	},
	"max_wrapping_ttl":    func(r *rule, n syntax.Node) (err error) { r.maxWrap, err = duration("max_wrapping_ttl", n); return err },
	"min_wrapping_ttl":    func(r *rule, n syntax.Node) (err error) { r.minWrap, err = duration("min_wrapping_ttl", n); return err },
	"policy":              (*rule).readLegacy,
	"required_parameters": (*rule).readRequired,
}

// unenforced are keys that Vault or OpenBao know and that restrict what a rule
// grants. Ignoring one would grant more than its author meant.
var unenforced = map[string]bool{
	"mfa_methods": true, "control_group": true, "expiration": true, "pagination_limit": true,
	"list_scan_response_keys_filter_path": true, "subscribe_event_types": true,
}

func newRule(path syntax.Field, body syntax.Node) (*rule, error) {
	r := &rule{line: path.At.Line}
	if err := r.readPath(path.Name); err != nil {
		return nil, path.At.Errorf("%s", err)
	}
	seen := map[string]bool{}
	for _, f := range body.Fields {
		if unenforced[f.Name] {
			return nil, f.At.Errorf("path %.80q: %s is not supported; a policy that relies on it would grant too much without it", path.Name, f.Name)
		}
		read := ruleKeys[f.Name]
		if read == nil {
			known := slices.Sorted(maps.Keys(ruleKeys))
			return nil, f.At.Errorf("path %.80q: unknown key %.80q%s; known keys are %s",
				path.Name, f.Name, syntax.DidYouMean(f.Name, known), strings.Join(known, ", "))
		}
		if seen[f.Name] {
			return nil, f.At.Errorf("path %.80q: %s is set twice in one block", path.Name, f.Name)
		}
		seen[f.Name] = true
		if err := read(r, f.Value); err != nil {
			return nil, err
		}
	}
	if r.minWrap > 0 && r.maxWrap > 0 && r.maxWrap < r.minWrap {
		return nil, path.At.Errorf("path %.80q: max_wrapping_ttl is less than min_wrapping_ttl", path.Name)
	}
	if r.caps&Deny != 0 {
		r.denyAll()
	}
	return r, nil
}

func (r *rule) readPath(text string) (err error) {
	if template.In(text) {
		if r.template, err = template.Parse(text); err != nil {
			err = errs.Newf(errs.Invalid, "path %.80q: %w", text, err)
		}
		return err
	}
	r.path, err = pattern.New(text)
	return err
}

// pathText is the path as it was written, without its leading slash.
func (r *rule) pathText() string {
	if r.template != nil {
		return r.template.String()
	}
	return r.path.String()
}

// denyAll leaves nothing of a rule but that it denies.
func (r *rule) denyAll() {
	*r = rule{path: r.path, template: r.template, caps: Deny, line: r.line, policies: r.policies}
}

func (r *rule) readCapabilities(n syntax.Node) error {
	names, err := n.Strings("capabilities")
	if err != nil {
		return err
	}
	for _, name := range names {
		c := capabilityNamed(name.Text)
		if c == 0 {
			known := Capability(math.MaxUint16).Names()
			return name.At.Errorf("unknown capability %.80q%s; known capabilities are %s",
				name.Text, syntax.DidYouMean(name.Text, known), strings.Join(known, ", "))
		}
		r.caps |= c
	}
	return nil
}

func (r *rule) readLegacy(n syntax.Node) error {
	if err := n.Expect(syntax.String, "policy"); err != nil {
		return err
	}
	c, ok := legacy[n.Text]
	if !ok {
		known := slices.Sorted(maps.Keys(legacy))
		return n.At.Errorf("unknown policy %.80q%s; it is one of %s, or use capabilities",
			n.Text, syntax.DidYouMean(n.Text, known), strings.Join(known, ", "))
	}
	r.caps |= c
	return nil
}

func (r *rule) readRequired(n syntax.Node) error {
	names, err := n.Strings("required_parameters")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := literal(name); err != nil {
			return err
		}
		r.required = append(r.required, strings.ToLower(name.Text))
	}
	slices.Sort(r.required)
	r.required = slices.Compact(r.required)
	return nil
}

// literal refuses templates; other double braces (a database statement's
// {{name}}) are values like any other.
func literal(n syntax.Node) error {
	for rest := n.Text; ; {
		_, after, found := strings.Cut(rest, "{{")
		if !found {
			break
		}
		if strings.HasPrefix(strings.TrimLeft(after, " \t{"), "identity.") {
			return n.At.Errorf("templates are for paths only, and taken literally this one would not mean what it says")
		}
		rest = after
	}
	for _, e := range n.List {
		if err := literal(e); err != nil {
			return err
		}
	}
	for _, f := range n.Fields {
		if err := literal(f.Value); err != nil {
			return err
		}
	}
	return nil
}

func parameters(what string, n syntax.Node) (map[string][]parameter.Value, error) {
	if err := n.Expect(syntax.Object, what); err != nil {
		return nil, err
	}
	all := make(map[string][]parameter.Value, len(n.Fields))
	for _, f := range n.Fields {
		name := strings.ToLower(f.Name)
		if _, twice := all[name]; twice {
			return nil, f.At.Errorf("%s: %.80q is set twice; names are compared in lower case", what, name)
		}
		if err := literal(syntax.Node{Kind: syntax.String, At: f.At, Text: f.Name}); err != nil {
			return nil, err
		}
		values, err := parameterValues(what, name, f.Value)
		if err != nil {
			return nil, err
		}
		all[name] = values
	}
	return all, nil
}

func parameterValues(what, name string, n syntax.Node) ([]parameter.Value, error) {
	if n.Kind != syntax.List {
		return nil, n.At.Errorf(`%s: %.80q must be a list of values, found %s; [] stands for any value`, what, name, n.Kind)
	}
	if name == "*" && len(n.List) > 0 {
		return nil, n.At.Errorf(`%s: "*" cannot have values, they would apply to no parameter; write "*" = []`, what)
	}
	values := make([]parameter.Value, 0, len(n.List))
	for _, e := range n.List {
		if e.Kind == syntax.String && e.Text == "*" {
			return nil, e.At.Errorf(`%s: %.80q: a lone "*" would match only an asterisk; write [] for any value`, what, name)
		}
		if err := literal(e); err != nil {
			return nil, err
		}
		v, err := parameter.New(e)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// duration reads seconds, as a number or digits in a string, or a Go duration
// with d for days.
func duration(what string, n syntax.Node) (time.Duration, error) {
	bad := func() (time.Duration, error) {
		return 0, n.At.Errorf(`%s must be a time of 0 or more such as 300, "5m" or "1d"`, what)
	}
	if n.Kind != syntax.Number && n.Kind != syntax.String {
		return bad()
	}
	text, unit := n.Text, time.Second
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text, unit = days, 24*time.Hour
	}
	if count, err := strconv.ParseInt(text, 10, 64); err == nil {
		if count < 0 || count > int64(math.MaxInt64/unit) {
			return bad()
		}
		return time.Duration(count) * unit, nil
	}
	d, err := time.ParseDuration(n.Text)
	if err != nil || d < 0 {
		return bad()
	}
	return d, nil
}
