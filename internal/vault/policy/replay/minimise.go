package replay

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// Rule is one rule of a least policy.
type Rule struct {
	Path         string // a policy's: with + for segments that many uses differ in
	Capabilities policy.Capability
	Count        int64 // requests that it covers
	Paths        int   // different paths that it covers
	Last         time.Time
}

// Minimise returns the rules that allow all that was allowed, and as little
// else as can be: without fold every path has a rule of its own; with fold > 0
// more than that many paths that differ in one segment and need the same share
// a rule with + for that segment. What default grants to all needs no rule.
func (l *Log) Minimise(fold int) ([]Rule, error) {
	rules := map[string]*Rule{}
	homes := map[string]bool{}
	for _, t := range l.all() {
		if !t.Allowed || len(t.Granting) == 1 && t.Granting[0] == policy.DefaultName {
			continue
		}
		homes[t.Home] = true
		path := strings.TrimPrefix(t.Path, t.Home)
		r := rules[path]
		if r == nil {
			r = &Rule{Path: path, Paths: 1}
			rules[path] = r
		}
		r.Capabilities |= capabilities[t.Operation]
		r.Count += t.Count
		if t.Last.After(r.Last) {
			r.Last = t.Last
		}
	}
	if len(homes) > 1 {
		return nil, errs.Newf(errs.Invalid, "the uses are by tokens of %d namespaces, and a policy belongs to one: say whose they are", len(homes))
	}
	all := slices.Collect(maps.Values(rules))
	if fold > 0 {
		all = folded(all, fold)
	}
	slices.SortFunc(all, func(a, b *Rule) int { return strings.Compare(a.Path, b.Path) })
	out := make([]Rule, len(all))
	for i, r := range all {
		out[i] = *r
	}
	return out, l.covered(out)
}

// folded merges rules that differ in one segment, from the last segment on.
func folded(rules []*Rule, fold int) []*Rule {
	deepest := 0
	for _, r := range rules {
		deepest = max(deepest, strings.Count(r.Path, "/")+1)
	}
	for at := deepest - 1; at > 0; at-- { // the first segment is a mount: never merged
		groups := map[string][]*Rule{}
		for _, r := range rules {
			groups[withPlus(r, at)] = append(groups[withPlus(r, at)], r)
		}
		rules = rules[:0:0]
		for key, group := range groups {
			if len(group) <= fold || key == "" || !strings.HasPrefix(key, "+") {
				rules = append(rules, group...)
				continue
			}
			merged := &Rule{Path: key[1:strings.LastIndexByte(key, '\x00')], Capabilities: group[0].Capabilities}
			for _, r := range group {
				merged.Count += r.Count
				merged.Paths += r.Paths
				if r.Last.After(merged.Last) {
					merged.Last = r.Last
				}
			}
			rules = append(rules, merged)
		}
	}
	return rules
}

// withPlus is what rules have in common that differ in segment at alone; one
// that cannot be merged there has a key of its own.
func withPlus(r *Rule, at int) string {
	segments := strings.Split(r.Path, "/")
	if at >= len(segments) || segments[at] == "" {
		return "=" + r.Path
	}
	segments[at] = "+"
	return "+" + strings.Join(segments, "/") + "\x00" + strconv.Itoa(int(r.Capabilities))
}

// covered checks the result by the real thing: the policy made of rules must
// allow every use. Kind Internal: it does not, which is a fault of this package.
func (l *Log) covered(rules []Rule) error {
	if len(rules) == 0 {
		return nil // nothing was allowed that default does not grant: there is no empty policy
	}
	p, err := policy.Parse("least", HCL(rules))
	if err != nil {
		return errs.Newf(errs.Internal, "the least policy is none: %w", err)
	}
	acls := map[string]*policy.ACL{} // by namespace; Minimise lets but one through
	for _, t := range l.all() {
		if !t.Allowed || len(t.Granting) == 1 && t.Granting[0] == policy.DefaultName {
			continue
		}
		if acls[t.Home] == nil {
			acls[t.Home] = policy.CompileIn(t.Home, nil, p)
		}
		if !acls[t.Home].Decide(t.query()).Allowed {
			return errs.Newf(errs.Internal, "the least policy does not allow %s of %q", t.Operation, t.Path)
		}
	}
	return nil
}

func plural(n int64) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// HCL writes rules as a policy, each with what it rests on.
func HCL(rules []Rule) string {
	var b strings.Builder
	for i, r := range rules {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %d request%s", r.Count, plural(r.Count))
		if r.Paths > 1 {
			fmt.Fprintf(&b, " to %d paths", r.Paths)
		}
		if !r.Last.IsZero() {
			fmt.Fprintf(&b, ", the last at %s", r.Last.UTC().Format(time.RFC3339))
		}
		if r.wild() {
			b.WriteString("\n# CAREFUL: this very path was used, and a policy takes it for a pattern that covers others too")
		}
		fmt.Fprintf(&b, "\npath %s {\n  capabilities = [", quote(r.Path))
		for n, name := range r.Capabilities.Names() {
			if n > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strconv.Quote(name))
		}
		b.WriteString("]\n}\n")
	}
	return b.String()
}

// wild reports whether the path of one use is a pattern as a rule's: a path that
// was really used may hold a + or end in a *, and cannot be named alone. Whoever
// wants more than they have may have asked for it to stand in the log.
func (r *Rule) wild() bool {
	return r.Paths <= 1 && (strings.HasSuffix(r.Path, "*") || slices.Contains(strings.Split(r.Path, "/"), "+"))
}

func quote(path string) string { return strconv.Quote(path) }
