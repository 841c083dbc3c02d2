package engine

import (
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// pattern is a compiled Route.Pattern.
type pattern struct {
	text  string
	segs  []segment
	rest  string // name of a final {name...}, "" if there is none
	names int    // how many parameters a match has
}

// segment is one part of a pattern: a literal, or a parameter for one segment.
type segment struct{ literal, param string }

func compile(text string) (pattern, error) {
	p := pattern{text: text}
	if text == "" {
		return p, nil
	}
	parts := strings.Split(text, "/")
	for i, part := range parts {
		if err := p.add(part, i == len(parts)-1); err != nil {
			return p, err
		}
	}
	return p, nil
}

// add compiles one segment.
func (p *pattern) add(part string, last bool) error {
	name, isParam := strings.CutPrefix(part, "{")
	if !isParam {
		if !validLiteral(part) {
			return errs.Newf(errs.Internal, "route %q: %q is not a literal segment", p.text, part)
		}
		p.segs = append(p.segs, segment{literal: part})
		return nil
	}
	name, closed := strings.CutSuffix(name, "}")
	name, isRest := strings.CutSuffix(name, "...")
	switch {
	case !closed || !validName(name):
		return errs.Newf(errs.Internal, "route %q: %q is not a parameter like {name}", p.text, part)
	case slices.Contains(p.segs, segment{param: name}):
		return errs.Newf(errs.Internal, "route %q: the parameter %q appears twice", p.text, name)
	case isRest && !last:
		return errs.Newf(errs.Internal, "route %q: {%s...} must be the last segment", p.text, name)
	case isRest:
		p.rest = name
	default:
		p.segs = append(p.segs, segment{param: name})
	}
	p.names++
	return nil
}

func validLiteral(part string) bool {
	return part != "" && part != "." && part != ".." && !strings.ContainsAny(part, "{}*+?#%")
}

func validName(name string) bool {
	for _, c := range []byte(name) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// first returns the literal that every match begins with, "" if there is none.
func (p *pattern) first() string {
	if len(p.segs) == 0 {
		return ""
	}
	return p.segs[0].literal
}

// match reports whether path has the pattern's shape, and fills params if it
// is not nil.
func (p *pattern) match(path string, params map[string]string) bool {
	more := path != "" // whether a segment, possibly empty, is left in path
	for i := range p.segs {
		if !more {
			return false
		}
		var part string
		part, path, more = strings.Cut(path, "/")
		s := &p.segs[i]
		if s.param == "" && part != s.literal || part == "" {
			return false
		}
		if s.param != "" && params != nil {
			params[s.param] = part
		}
	}
	if p.rest == "" {
		return !more
	}
	if params != nil {
		params[p.rest] = path
	}
	return true
}

// covers reports whether p matches everything that q matches.
func (p *pattern) covers(q *pattern) bool {
	for i := range p.segs {
		if i >= len(q.segs) {
			return false
		}
		if lit := p.segs[i].literal; lit != "" && lit != q.segs[i].literal {
			return false
		}
	}
	return p.rest != "" || len(p.segs) == len(q.segs) && q.rest == ""
}

// overlaps reports whether some path matches both.
func (p *pattern) overlaps(q *pattern) bool {
	for i := range min(len(p.segs), len(q.segs)) {
		a, b := p.segs[i].literal, q.segs[i].literal
		if a != "" && b != "" && a != b {
			return false
		}
	}
	switch {
	case len(p.segs) < len(q.segs):
		return p.rest != ""
	case len(p.segs) > len(q.segs):
		return q.rest != ""
	}
	return true
}
