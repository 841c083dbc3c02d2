package manifest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// step goes from an object to a field, or from a list to an item.
type step struct {
	field string
	index int // of the item; -1: it is a field
}

func (s step) String() string {
	if s.index >= 0 {
		return fmt.Sprintf("[%d]", s.index)
	}
	if strings.ContainsAny(s.field, `.["`) {
		return fmt.Sprintf("[%q]", s.field)
	}
	return "." + s.field
}

// path says where in an object something goes:
//
//	spec.rules[0].value
//	spec.files["app.yaml"]
//
// A field whose name has dots is in brackets and quotes; a name has no quotes, and
// no backslash.
type path []step

func (p path) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.String())
	}
	return strings.TrimPrefix(b.String(), ".")
}

// Limits of a path. An index is besides at most the number of items there are, so
// that nobody has a list of a million made.
const (
	longestPath  = 1024 // bytes
	mostSteps    = 64
	highestIndex = 999
)

// parsePath reads a path. Errors are Invalid, and quote it: it is no secret.
func parsePath(text string) (path, error) {
	wrong := func(why string) (path, error) {
		return nil, errs.Newf(errs.Invalid, "%.100q is no path: %s", text, why)
	}
	if len(text) > longestPath {
		return wrong(fmt.Sprintf("it is longer than %d bytes", longestPath))
	}
	var p path
	for rest := text; rest != "" || len(p) == 0; {
		s, after, why := nextStep(rest, len(p) == 0)
		if why != "" {
			return wrong(why)
		}
		if p = append(p, s); len(p) > mostSteps {
			return wrong(fmt.Sprintf("it has more than %d steps", mostSteps))
		}
		rest = after
	}
	return p, nil
}

// nextStep reads one step. why is not empty when there is none.
func nextStep(text string, first bool) (s step, rest, why string) {
	switch {
	case strings.HasPrefix(text, `["`):
		name, rest, ok := strings.Cut(text[2:], `"]`)
		if !ok || name == "" || strings.ContainsAny(name, "\"\\") {
			return s, "", `a name in brackets is ["NAME"]`
		}
		return step{name, -1}, rest, ""
	case strings.HasPrefix(text, "["):
		if first {
			return s, "", "it begins with a field"
		}
		return nextIndex(text[1:])
	}
	if !first {
		if text[0] != '.' {
			return s, "", "fields are separated by dots"
		}
		text = text[1:]
	}
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	name := text[:end]
	if name == "" || strings.ContainsAny(name, "]\"\\ \t\n") {
		return s, "", "a field has a name"
	}
	return step{name, -1}, text[end:], ""
}

// nextIndex reads an index behind its bracket.
func nextIndex(text string) (s step, rest, why string) {
	number, rest, ok := strings.Cut(text, "]")
	index, err := strconv.ParseUint(number, 10, 16)
	switch {
	case !ok || err != nil || number != strconv.FormatUint(index, 10):
		return s, "", "an index is [NUMBER], from 0"
	case index > highestIndex:
		return s, "", fmt.Sprintf("an index is at most %d", highestIndex)
	}
	return step{"", int(index)}, rest, ""
}

// set puts value at p in object, which it changes. Mappings are merged, field by
// field; anything else is replaced. Lists grow by one item at most.
func (p path) set(object map[string]any, value any) error {
	_, err := p.put(object, value, 0)
	return err
}

// put returns node with value at p[done:].
func (p path) put(node, value any, done int) (any, error) {
	if done == len(p) {
		return merged(node, value), nil
	}
	s := p[done]
	if s.index < 0 {
		fields, ok := node.(map[string]any)
		if node == nil {
			fields, ok = map[string]any{}, true
		}
		if !ok {
			return nil, errs.Newf(errs.Invalid, "%s is no object, and %s is to be in it", p[:done], p)
		}
		child, err := p.put(fields[s.field], value, done+1)
		fields[s.field] = child
		return fields, err
	}
	items, ok := node.([]any)
	if node == nil {
		ok = true
	}
	switch {
	case !ok:
		return nil, errs.Newf(errs.Invalid, "%s is no list, and %s is to be in it", p[:done], p)
	case s.index > len(items):
		return nil, errs.Newf(errs.Invalid, "%s: the list has %d items then, and would have a hole: name the index %d first", p, len(items), len(items))
	case s.index == len(items):
		items = append(items, nil)
	}
	child, err := p.put(items[s.index], value, done+1)
	items[s.index] = child
	return items, err
}

// merged returns value over what was there.
func merged(was, value any) any {
	fields, ok := was.(map[string]any)
	more, both := value.(map[string]any)
	if !ok || !both {
		return value
	}
	for name, v := range more {
		fields[name] = merged(fields[name], v)
	}
	return fields
}
