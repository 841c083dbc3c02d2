package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy/parameter"
	"github.com/strongkeep/strongkeep/internal/vault/policy/pattern"
)

// Question is a Query and whether the path needs sudo besides.
type Question struct {
	Query
	Sudo bool
}

// Explanation says why a question is answered as it is, and what would change
// the answer. It shows the text of rules, so it is for those who may read policies.
type Explanation struct {
	Allowed   bool     `json:"allowed"`
	Reason    string   `json:"reason"`
	Path      string   `json:"path"`
	Wanted    []string `json:"wanted"`              // capabilities
	Parameter string   `json:"parameter,omitempty"` // that a condition failed on
	Rule      string   `json:"rule"`                // the path pattern that decided; "" = none matched
	Granted   []string `json:"granted"`             // what that rule grants, all policies together
	Blocks    []Block  `json:"blocks"`              // the blocks that match, those that decided first
	Missing   []string `json:"missing_policies"`    // names of the subject's that no policy has
	// Helpful are policies that would allow it if the subject had one of them too.
	Helpful    []string `json:"policies_that_would_allow"`
	Suggestion string   `json:"suggestion"` // the smallest rule to add, as HCL; "" = no rule that is added helps
	Advice     string   `json:"advice"`
}

// Block is one block of a policy that matches the path.
type Block struct {
	Policy       string   `json:"policy"`
	Line         int      `json:"line"` // in the policy's text
	Path         string   `json:"path"`
	Capabilities []string `json:"capabilities"`
	Conditions   []string `json:"conditions,omitempty"`
	Decides      bool     `json:"decides"` // false: a block with a more special path goes before it
}

// Bounds of what Book.Explain looks at and shows.
const (
	maxSearched = 2000 // stored policies
	maxHelpful  = 20
)

// Explain answers q for the subject and says why. It reads policies anew: it is
// for people, not for every request. q.Path is absolute; what is shown is as the
// subject's namespace has it, whose policies speak of nothing else. Kinds are
// those of ACLFor.
func (b *Book) Explain(ctx context.Context, r Reader, who Subject, q Question) (*Explanation, error) {
	inside := false
	if q.Path, inside = strings.CutPrefix(strings.TrimLeft(q.Path, "/"), who.Namespace.Path); !inside {
		x := Explain(nil, nil, q)
		x.Suggestion, x.Advice = "", "the path lies outside the namespace of the token, whose policies cannot grant it"
		return x, nil
	}
	held, missing, err := b.held(ctx, r, who)
	if err != nil {
		return nil, err
	}
	names := normalSet(who.Names)
	x := Explain(who.Identity, held, q)
	x.Missing = append(x.Missing, missing...)
	if x.Allowed {
		return x, nil
	}
	all, err := b.List(ctx, r, who.Namespace)
	if err != nil {
		return nil, err
	}
	for _, name := range all[:min(len(all), maxSearched)] {
		if slices.Contains(names, name) || len(x.Helpful) == maxHelpful {
			continue
		}
		p, err := b.Get(ctx, r, who.Namespace, name)
		if err != nil {
			continue // gone since, or damaged: it helps nobody
		}
		if p.speaksOf(who.Identity, q.Query) && q.answer(CompileFor(who.Identity, append(slices.Clip(held), p)...)).Allowed {
			x.Helpful = append(x.Helpful, name)
		}
	}
	return x, nil
}

// held reads the subject's policies, and which of their names do not exist.
func (b *Book) held(ctx context.Context, r Reader, who Subject) (held []*Policy, missing []string, err error) {
	names := normalSet(who.Names)
	for _, name := range names {
		p, err := b.Get(ctx, r, who.Namespace, name)
		switch {
		case errs.Is(err, errs.NotExist) || errs.Is(err, errs.Invalid):
			missing = append(missing, name)
		case err != nil:
			return nil, nil, err
		case p.root && len(names) > 1:
			return nil, nil, errs.Newf(errs.Invalid, "policy %q cannot be combined with others", RootName)
		default:
			held = append(held, p)
		}
	}
	return held, missing, nil
}

// Grant is what the policies of a subject say of one path pattern, all together.
type Grant struct {
	Path         string
	Exact        bool     // without wildcards
	Capabilities []string // sorted
}

// Grants returns what the subject's policies say, sorted by path, and whether it
// is root, of which there is nothing to say. Kinds are those of ACLFor.
func (b *Book) Grants(ctx context.Context, r Reader, who Subject) (grants []Grant, root bool, err error) {
	held, _, err := b.held(ctx, r, who)
	if err != nil {
		return nil, false, err
	}
	if len(held) == 1 && held[0].root {
		return nil, true, nil
	}
	merged := mergeRules(who.Identity, held)
	for _, path := range slices.Sorted(maps.Keys(merged)) {
		grants = append(grants, Grant{path, merged[path].path.Exact(), merged[path].caps.Names()})
	}
	return grants, false, nil
}

// Explain answers q for whoever has these policies and says why.
func Explain(who *Identity, policies []*Policy, q Question) *Explanation {
	a := CompileFor(who, policies...)
	d := q.answer(a)
	x := &Explanation{
		Allowed: d.Allowed, Reason: d.Reason.String(), Path: strings.TrimLeft(q.Path, "/"), Wanted: q.wanted().Names(),
		Parameter: d.Parameter, Rule: d.Rule, Granted: d.Granted().Names(),
		Blocks: []Block{}, Missing: []string{}, Helpful: []string{},
	}
	if d.Reason == ByRule && !d.Allowed {
		x.Reason = "the path needs the capability sudo, which the policies do not grant"
	}
	for _, p := range policies {
		for _, r := range p.rules {
			if own := r.of(who); own != nil && own.matches(q.Query) {
				x.Blocks = append(x.Blocks, own.block(p.name, d.Rule))
			}
		}
	}
	slices.SortStableFunc(x.Blocks, func(a, b Block) int { return compareBool(b.Decides, a.Decides) })
	if !d.Allowed {
		x.Suggestion, x.Advice = q.help(who, policies, a, d)
	}
	return x
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (q Question) wanted() Capability {
	if q.Sudo {
		return q.Want | Sudo
	}
	return q.Want
}

// answer is Decide with sudo asked for, too.
func (q Question) answer(a *ACL) Decision {
	d := a.Decide(q.Query)
	d.Allowed = d.Allowed && (d.Sudo || !q.Sudo)
	return d
}

// speaksOf reports whether a block of p matches and grants something.
func (p *Policy) speaksOf(who *Identity, q Query) bool {
	return slices.ContainsFunc(p.rules, func(r *rule) bool {
		own := r.of(who)
		return own != nil && own.grants() && own.matches(q)
	})
}

// matches reports whether the rule, were it alone, would decide about q.
func (r *rule) matches(q Query) bool {
	var alone pattern.Index[rule]
	alone.Add(r.path, r, r.grants())
	alone.Freeze()
	return alone.Match(strings.TrimLeft(q.Path, "/"), q.Want&(List|Scan) != 0) != nil
}

func (r *rule) block(policy, decided string) Block {
	return Block{
		Policy: policy, Line: r.line, Path: r.path.String(), Capabilities: r.caps.Names(),
		Conditions: r.conditions(), Decides: r.path.String() == decided,
	}
}

// conditions names what the rule asks for besides capabilities.
func (r *rule) conditions() (all []string) {
	list := func(key string, names []string) {
		if len(names) > 0 {
			all = append(all, key+" "+strings.Join(names, ", "))
		}
	}
	names := func(m map[string][]parameter.Value) []string { return slices.Sorted(maps.Keys(m)) }
	list("required_parameters", r.required)
	list("allowed_parameters", names(r.allowed))
	list("denied_parameters", names(r.denied))
	for key, ttl := range map[string]time.Duration{"min_wrapping_ttl": r.minWrap, "max_wrapping_ttl": r.maxWrap} {
		if ttl > 0 {
			all = append(all, key+" "+ttl.String())
		}
	}
	slices.Sort(all)
	return all
}

// help returns the smallest rule that, added, allows what d refused, and what to do.
func (q Question) help(who *Identity, policies []*Policy, a *ACL, d Decision) (rule, advice string) {
	switch d.Reason {
	case ExplicitDeny:
		return "", "a deny is stronger than any grant on the same path: change the block that denies"
	case BadPath:
		return "", `write the path without "." and ".." segments`
	case WrapTTL:
		return "", "ask for a wrapped answer within the bounds: set VAULT_WRAP_TTL or the X-Vault-Wrap-TTL header"
	case RequiredMissing:
		return "", fmt.Sprintf("send the parameter %q", d.Parameter)
	case ParameterDenied, ParameterUnknown, ValueNotAllowed:
		return "", "send only the parameters and values that the conditions of the deciding blocks allow"
	}
	rule = q.smallest(a, d)
	if rule == "" {
		return "", "add the capability to the block that decides: a block with a more special path would drop its conditions, or cannot name this path alone"
	}
	added, err := Parse("suggested", rule)
	if err != nil || !q.answer(CompileFor(who, append(slices.Clip(policies), added)...)).Allowed {
		return "", "no single rule allows it: look at the blocks that match"
	}
	if d.Rule != "" && q.wanted()|d.Granted() != q.wanted() && d.Rule != q.exact() {
		return rule, fmt.Sprintf("add the rule to a policy of the caller; it repeats what %q grants already, because the more special path takes its place", d.Rule)
	}
	return rule, "add the rule to a policy of the caller"
}

func (q Question) exact() string { return strings.TrimLeft(q.Path, "/") }

// smallest is the rule for this one path that grants what is wanted and keeps
// what was granted before; "" if there is none.
func (q Question) smallest(a *ACL, d Decision) string {
	path, caps := q.exact(), q.wanted()
	// A listing may have been decided by another rule than the rest of the path.
	for _, r := range []*rule{d.rule, a.rules.Match(path, false)} {
		switch {
		case r == nil:
		case r.path.String() == path:
			caps &^= r.caps // blocks with one path add up
		case r.caps&Deny != 0 || len(r.conditions()) > 0:
			return ""
		default:
			caps |= r.caps
		}
	}
	p, err := pattern.New(path)
	if err != nil || !p.Exact() || strings.Contains(path, "${") {
		return ""
	}
	names := caps.Names()
	for i, name := range names {
		names[i] = strconv.Quote(name)
	}
	return fmt.Sprintf("path %s {\n  capabilities = [%s]\n}\n", strconv.Quote(path), strings.Join(names, ", "))
}
