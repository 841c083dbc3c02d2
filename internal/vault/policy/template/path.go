package template

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy/pattern"
)

// maxVariables bounds what one path costs to expand; no real one has more than three.
const maxVariables = 16

// Path is a path with variables in it. It is immutable.
type Path struct {
	text  string
	parts []part
}

// part is a piece of text and the variable behind it, which the last one lacks.
type part struct {
	text     string
	variable *Variable
}

// In reports whether text has variables, or braces that look like them.
func In(text string) bool { return strings.Contains(text, "{{") || strings.Contains(text, "}}") }

// Parse reads a path. Kind Invalid: braces that do not match, a variable that
// does not exist, or a path that would not be one whatever the values.
func Parse(text string) (*Path, error) {
	p := &Path{text: strings.TrimPrefix(text, "/")}
	sample := ""
	for rest := p.text; ; {
		before, after, found := strings.Cut(rest, "{{")
		if strings.Contains(before, "}}") {
			return nil, errs.New(errs.Invalid, "}} without {{ before it")
		}
		sample += before
		if !found {
			p.parts = append(p.parts, part{text: before})
			break
		}
		inner, behind, closed := strings.Cut(after, "}}")
		if !closed || strings.Contains(inner, "{{") {
			return nil, errs.New(errs.Invalid, "{{ without }} behind it")
		}
		v, err := parseVariable(inner)
		if err != nil {
			return nil, err
		}
		if len(p.parts) == maxVariables {
			return nil, errs.Newf(errs.Invalid, "more than %d templates in one path", maxVariables)
		}
		p.parts = append(p.parts, part{before, &v})
		sample += "x"
		rest = behind
	}
	_, err := pattern.New(sample)
	return p, err
}

// String returns the path as it was written, without its leading slash.
func (p *Path) String() string { return p.text }

// Outcome says what became of a path.
type Outcome uint8

// The outcomes.
const (
	Expanded Outcome = iota + 1
	Missing          // a variable stands for nothing
	Unsafe           // a value could mean more than itself
)

// Expand puts values for the variables; value returns "" for what is not there.
// Of an Unsafe path it returns the pattern that takes all the path could have
// meant, for the sake of rules that deny.
func (p *Path) Expand(value func(Variable) string) (pattern.Pattern, Outcome) {
	var b strings.Builder
	for _, part := range p.parts {
		b.WriteString(part.text)
		if part.variable == nil {
			break
		}
		v := value(*part.variable)
		if v == "" {
			return pattern.Pattern{}, Missing
		}
		if strings.ContainsAny(v, "+*/") {
			return widened(b.String()), Unsafe
		}
		b.WriteString(v)
	}
	expanded, err := pattern.New(b.String())
	if err != nil { // too long, a segment "..", control characters
		return widened(p.parts[0].text), Unsafe
	}
	return expanded, Expanded
}

// widened takes every path in the folder that begin lies in.
func widened(begin string) pattern.Pattern {
	w, err := pattern.New(begin[:strings.LastIndexByte(begin, '/')+1] + "*")
	if err != nil {
		w, _ = pattern.New("*") // cannot fail
	}
	return w
}

// Widest returns a pattern that takes every path that p could come to stand for,
// where value returns "" for what is not known. What denies could come to stand
// for all that its folder holds; see Expand. exact: everything was known.
func (p *Path) Widest(value func(Variable) string, denies bool) (wide pattern.Pattern, exact bool) {
	const unknown = "\x00"
	var b strings.Builder
	for _, part := range p.parts {
		b.WriteString(part.text)
		if part.variable == nil {
			break
		}
		v := value(*part.variable)
		switch {
		case v != "":
		case denies:
			return widened(p.parts[0].text), false
		default:
			v = unknown
		}
		b.WriteString(v)
	}
	segments := strings.Split(b.String(), "/")
	exact = true
	for i, s := range segments {
		if !strings.Contains(s, unknown) {
			continue
		}
		if exact = false; strings.HasSuffix(s, "*") { // + and * cannot be together
			segments = append(segments[:i:i], "*")
			break
		}
		segments[i] = "+"
	}
	wide, err := pattern.New(strings.Join(segments, "/"))
	if err != nil {
		wide, _ = pattern.New("*") // cannot fail
		return wide, false
	}
	return wide, exact
}
