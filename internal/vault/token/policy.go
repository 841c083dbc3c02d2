package token

import (
	"path"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Names of policies that are more than names.
const (
	RootPolicy    = "root"              // everything; only root gives it on
	DefaultPolicy = "default"           // added unless it was declined
	wrapPolicy    = "response-wrapping" // for wrapping tokens, which only the vault makes
)

// NormalizePolicies returns names trimmed, in lower case, sorted and without
// duplicates or empty ones. With root among them there is nothing else.
func NormalizePolicies(names []string) []string {
	out := make([]string, 0, len(names)+1)
	for _, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		switch n {
		case "":
		case RootPolicy:
			return []string{RootPolicy}
		default:
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// withDefault is NormalizePolicies with the default policy added, except to root.
func withDefault(names []string) []string {
	return NormalizePolicies(append(slices.Clone(names), DefaultPolicy))
}

// LoginPolicies decides what a token gets that an auth method gives. Kind
// Invalid: a method must not make root tokens.
func LoginPolicies(names []string, noDefault bool) ([]string, error) {
	out := NormalizePolicies(names)
	if err := assignable(out); err != nil {
		return nil, err
	}
	if slices.Contains(out, RootPolicy) {
		return nil, errs.New(errs.Invalid, "auth methods cannot create root tokens: remove the policy \"root\" from the role")
	}
	if noDefault {
		return without(out, DefaultPolicy), nil
	}
	return withDefault(out), nil
}

// PolicyLimits are what a token role says of policies. Globs are those of Glob.
type PolicyLimits struct {
	Allowed, AllowedGlobs       []string
	Disallowed, DisallowedGlobs []string
}

func (l PolicyLimits) none() bool {
	return len(l.Allowed)+len(l.AllowedGlobs)+len(l.Disallowed)+len(l.DisallowedGlobs) == 0
}

// PolicyRequest is the question which policies a new token gets.
type PolicyRequest struct {
	Requested []string     // as asked for; empty = none named
	Parent    []string     // of the token that asks
	Sudo      bool         // it has sudo on the path, or is root
	NoDefault bool         // asked by the request or set by the role
	Foreign   bool         // the token is for another namespace than Parent's, whose policies mean nothing there
	Limits    PolicyLimits // of the role; zero without one
}

// Decide returns the policies of the new token. Kind Invalid: it may not have
// them; the texts are those that clients know.
func (r PolicyRequest) Decide() ([]string, error) {
	var (
		out []string
		err error
	)
	if r.Foreign {
		r.Parent = nil
	}
	if r.Limits.none() {
		out, err = r.byParent()
	} else {
		out, err = r.byRole()
	}
	if err != nil {
		return nil, err
	}
	if r.NoDefault {
		out = without(out, DefaultPolicy)
	}
	if err := assignable(out); err != nil {
		return nil, err
	}
	if slices.Contains(out, RootPolicy) && !slices.Contains(r.Parent, RootPolicy) {
		return nil, errs.New(errs.Invalid, "root tokens may not be created without parent token being root")
	}
	return out, nil
}

// byParent: who has no sudo may hand on a part of what it has. The default
// policy comes along if the parent has it, or by sudo.
func (r PolicyRequest) byParent() ([]string, error) {
	parent := NormalizePolicies(r.Parent)
	switch {
	case r.Foreign && !r.Sudo:
		return nil, errs.New(errs.Invalid, "root or sudo privileges required to create a token in another namespace than that of the token that asks; without them use a role of that namespace")
	case r.Foreign:
		return withDefault(r.Requested), nil
	}
	if len(r.Requested) == 0 {
		return parent, nil
	}
	out := NormalizePolicies(r.Requested)
	if r.Sudo || slices.Contains(parent, RootPolicy) {
		return withDefault(out), nil
	}
	for _, p := range out {
		if !slices.Contains(parent, p) {
			return nil, errs.New(errs.Invalid, "child policies must be subset of parent")
		}
	}
	if slices.Contains(parent, DefaultPolicy) {
		return withDefault(out), nil
	}
	return out, nil
}

// byRole: the role's lists take the place of the parent's policies.
func (r PolicyRequest) byRole() ([]string, error) {
	l := r.Limits
	add := NormalizePolicies
	if !r.NoDefault && !matches(DefaultPolicy, l.Disallowed, l.DisallowedGlobs) {
		add = withDefault
	}
	var out []string
	if len(r.Requested) > 0 {
		out = add(r.Requested)
	}
	if len(l.Allowed)+len(l.AllowedGlobs) > 0 {
		allowed := add(l.Allowed)
		if len(out) == 0 {
			out = allowed
		}
		for _, p := range out {
			if !matches(p, allowed, l.AllowedGlobs) {
				return nil, errs.Newf(errs.Invalid, "token policies must be subset of the role's allowed policies (%q) or glob policies (%q)",
					allowed, l.AllowedGlobs)
			}
		}
	} else if len(out) == 0 {
		out = add(r.Parent)
	}
	for _, p := range out {
		if matches(p, l.Disallowed, l.DisallowedGlobs) {
			return nil, errs.Newf(errs.Invalid, "token policy %q is disallowed by this role", p)
		}
	}
	return out, nil
}

func matches(policy string, names, globs []string) bool {
	for _, n := range names {
		if strings.EqualFold(strings.TrimSpace(n), policy) {
			return true
		}
	}
	return slices.ContainsFunc(globs, func(g string) bool { return Glob(strings.ToLower(g), policy) })
}

// Glob reports whether s matches pattern, in which * stands for any run of
// characters and nothing else is special.
func Glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// assignable rejects what nobody may be given and names that could never be
// those of a policy.
func assignable(names []string) error {
	for _, n := range names {
		switch {
		case n == wrapPolicy:
			return errs.Newf(errs.Invalid, "cannot assign policy %q", n)
		case len(n) > 512 || path.Clean("/"+n) != "/"+n || strings.ContainsFunc(n, func(c rune) bool { return c < ' ' || c == 0x7f }):
			return errs.New(errs.Invalid, "a policy name may have at most 512 bytes, no control characters and no \"..\"")
		}
	}
	return nil
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
