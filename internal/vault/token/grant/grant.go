package grant

import (
	"path"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Names of policies that are more than names.
const (
	Root     = "root"              // everything; only root gives it on
	Default  = "default"           // added unless it was declined
	Wrapping = "response-wrapping" // for wrapping tokens, which only the vault makes
)

// Normalize returns names trimmed, in lower case, sorted and without
// duplicates or empty ones. With root among them there is nothing else.
func Normalize(names []string) []string {
	out := make([]string, 0, len(names)+1)
	for _, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		switch n {
		case "":
		case Root:
			return []string{Root}
		default:
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// withDefault is Normalize with the default policy added, except to root.
func withDefault(names []string) []string {
	return Normalize(append(slices.Clone(names), Default))
}

// Login decides what a token gets that an auth method gives. Kind
// Invalid: a method must not make root tokens.
func Login(names []string, noDefault bool) ([]string, error) {
	out := Normalize(names)
	if err := Assignable(out); err != nil {
		return nil, err
	}
	if slices.Contains(out, Root) {
		return nil, errs.New(errs.Invalid, "auth methods cannot create root tokens: remove the policy \"root\" from the role")
	}
	if noDefault {
		return without(out, Default), nil
	}
	return withDefault(out), nil
}

// Limits are what a token role says of policies. Globs are those of Glob.
type Limits struct {
	Allowed, AllowedGlobs       []string
	Disallowed, DisallowedGlobs []string
}

func (l Limits) none() bool {
	return len(l.Allowed)+len(l.AllowedGlobs)+len(l.Disallowed)+len(l.DisallowedGlobs) == 0
}

// Request is the question which policies a new token gets.
type Request struct {
	Requested []string // as asked for; empty = none named
	Parent    []string // of the token that asks
	Sudo      bool     // it has sudo on the path, or is root
	NoDefault bool     // asked by the request or set by the role
	Foreign   bool     // the token is for another namespace than Parent's, whose policies mean nothing there
	Limits    Limits   // of the role; zero without one
}

// Decide returns the policies of the new token. Kind Invalid: it may not have
// them; the texts are those that clients know.
func (r Request) Decide() ([]string, error) {
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
		out = without(out, Default)
	}
	if err := Assignable(out); err != nil {
		return nil, err
	}
	if slices.Contains(out, Root) && !slices.Contains(r.Parent, Root) {
		return nil, errs.New(errs.Invalid, "root tokens may not be created without parent token being root")
	}
	return out, nil
}

// byParent: who has no sudo may hand on a part of what it has. The default
// policy comes along if the parent has it, or by sudo.
func (r Request) byParent() ([]string, error) {
	parent := Normalize(r.Parent)
	switch {
	case r.Foreign && !r.Sudo:
		return nil, errs.New(errs.Invalid, "root or sudo privileges required to create a token in another namespace than that of the token that asks; without them use a role of that namespace")
	case r.Foreign:
		return withDefault(r.Requested), nil
	}
	if len(r.Requested) == 0 {
		return parent, nil
	}
	out := Normalize(r.Requested)
	if r.Sudo || slices.Contains(parent, Root) {
		return withDefault(out), nil
	}
	for _, p := range out {
		if !slices.Contains(parent, p) {
			return nil, errs.New(errs.Invalid, "child policies must be subset of parent")
		}
	}
	if slices.Contains(parent, Default) {
		return withDefault(out), nil
	}
	return out, nil
}

// byRole: the role's lists take the place of the parent's policies.
func (r Request) byRole() ([]string, error) {
	l := r.Limits
	add := Normalize
	if !r.NoDefault && !matches(Default, l.Disallowed, l.DisallowedGlobs) {
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

// Assignable rejects what nobody may be given and names that could never be
// those of a policy.
func Assignable(names []string) error {
	for _, n := range names {
		switch {
		case n == Wrapping:
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
