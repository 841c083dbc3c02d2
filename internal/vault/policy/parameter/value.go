package parameter

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/policy/syntax"
)

// Value is one value that a rule allows or denies for a parameter. A string
// matches as a glob with `*` at either end, anything else by equality.
//
// Two things go beyond Vault, which compares Go types and so lets `3600` pass
// where "3600" is denied. Scalars are compared by what they mean to an engine,
// which takes numbers and booleans as strings too. And where the request holds
// a list, a rule that does not name the whole list rules its elements: all must
// be allowed, none may be denied. A string is one value, also with commas in it.
type Value struct {
	kind  syntax.Kind
	text  string // scalars: as written
	num   string // the canonical number if text is one, else ""
	canon string // lists and objects: canonical JSON (RFC 8785)
}

// New reads a value of a policy.
func New(n syntax.Node) (Value, error) {
	v := Value{kind: n.Kind, text: n.Text}
	switch n.Kind {
	case syntax.String, syntax.Number:
		v.num = canonicalNumber(n.Text)
	case syntax.List, syntax.Object:
		raw := jsontext.Value(appendJSON(nil, n))
		if err := raw.Canonicalize(); err != nil {
			return Value{}, n.At.Errorf("this value cannot be compared: a name comes twice in an object, or a number is too large")
		}
		v.canon = string(raw)
	}
	return v, nil
}

// appendJSON writes n as JSON; strings and numbers of a node always can be.
func appendJSON(dst []byte, n syntax.Node) []byte {
	switch n.Kind {
	case syntax.String:
		dst, _ = jsontext.AppendQuote(dst, n.Text)
	case syntax.Null:
		dst = append(dst, "null"...)
	case syntax.List:
		dst = append(dst, '[')
		for i, e := range n.List {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		dst = append(dst, ']')
	case syntax.Object:
		dst = append(dst, '{')
		for i, f := range n.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst, _ = jsontext.AppendQuote(dst, f.Name)
			dst = append(append(dst, ':'), appendJSON(nil, f.Value)...)
		}
		dst = append(dst, '}')
	default:
		dst = append(dst, n.Text...)
	}
	return dst
}

// AllAllowed reports whether raw is among values, or is a list of which every
// element is. No values means any value.
func AllAllowed(raw jsontext.Value, values []Value) bool {
	if len(values) == 0 || anyMatches(raw, values) {
		return true
	}
	elements, isList := split(raw)
	for _, e := range elements {
		if !anyMatches(e, values) {
			return false
		}
	}
	return isList && len(elements) > 0
}

// AnyDenied reports whether raw is among values, or is a list of which one
// element is. No values means any value.
func AnyDenied(raw jsontext.Value, values []Value) bool {
	if len(values) == 0 || anyMatches(raw, values) {
		return true
	}
	elements, _ := split(raw)
	for _, e := range elements {
		if anyMatches(e, values) {
			return true
		}
	}
	return false
}

func anyMatches(raw jsontext.Value, values []Value) bool {
	got := read(raw, slices.ContainsFunc(values, func(v Value) bool { return v.canon != "" }))
	return slices.ContainsFunc(values, func(v Value) bool { return v.matches(got) })
}

// read decodes a value of a request as New does one of a policy; nil is null.
// The canonical form of a list or an object costs a copy, so it is made only
// if something is compared with it.
func read(raw jsontext.Value, canonical bool) Value {
	raw = bytes.TrimSpace(raw)
	v := Value{kind: syntax.Null}
	switch raw.Kind() {
	case '"':
		text, _ := jsontext.AppendUnquote(nil, raw)
		v = Value{kind: syntax.String, text: string(text), num: canonicalNumber(string(text))}
	case '0':
		v = Value{kind: syntax.Number, text: string(raw), num: canonicalNumber(string(raw))}
	case 't', 'f':
		v = Value{kind: syntax.Bool, text: string(raw)}
	case '[', '{':
		v.kind = syntax.List // or an object: canon tells
		if c := raw.Clone(); canonical && c.Canonicalize() == nil {
			v.canon = string(c)
		}
	}
	return v
}

// matches compares a value of a policy with one of a request.
func (v *Value) matches(got Value) bool {
	switch got.kind {
	case syntax.Null:
		return v.kind == syntax.Null
	case syntax.List:
		return v.canon != "" && v.canon == got.canon
	}
	switch v.kind {
	case syntax.Number:
		return v.num != "" && v.num == got.num
	case syntax.Bool:
		b, err := strconv.ParseBool(got.text) // as engines read a boolean that came as a string
		return err == nil && strconv.FormatBool(b) == v.text
	case syntax.String:
		return glob(v.text, got.text) || (got.kind == syntax.Number && v.num != "" && v.num == got.num)
	}
	return false
}

// glob matches as Vault does: `*` counts at the start and at the end only.
func glob(pattern, text string) bool {
	if len(pattern) < 2 {
		return pattern == text
	}
	tail, open := strings.CutPrefix(pattern, "*")
	body, ended := strings.CutSuffix(tail, "*")
	switch {
	case open && ended:
		return strings.Contains(text, body)
	case open:
		return strings.HasSuffix(text, tail)
	case ended:
		return strings.HasPrefix(text, body)
	}
	return pattern == text
}

// split returns the elements of a JSON list.
func split(raw jsontext.Value) (elements []jsontext.Value, isList bool) {
	if raw.Kind() != '[' {
		return nil, false
	}
	dec := jsontext.NewDecoder(strings.NewReader(string(raw)))
	if _, err := dec.ReadToken(); err != nil {
		return nil, false
	}
	for dec.PeekKind() != ']' {
		e, err := dec.ReadValue()
		if err != nil {
			return nil, false
		}
		elements = append(elements, e.Clone())
	}
	return elements, true
}

// canonicalNumber writes a decimal number so that equal numbers have equal
// texts: "36e2" for 3600, 3600.0 and 3.6e3. It returns "" for what is no number.
// It works on text because a float64 cannot tell large integers apart.
func canonicalNumber(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.ParseInt(s[i+1:], 10, 32)
		if err != nil {
			return ""
		}
		mantissa, exponent = s[:i], int(e)
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	exponent -= len(fraction)
	digits = strings.TrimLeft(digits, "0")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return "0"
	}
	return sign + trimmed + "e" + strconv.Itoa(exponent+len(digits)-len(trimmed))
}
