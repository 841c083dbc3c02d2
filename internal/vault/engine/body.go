package engine

import (
	"bytes"
	"sort"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Body is a request's parameters: a JSON object whose top level is split
// without decoding the values, so that a KV payload stays the bytes it came
// as. The zero Body has no fields.
type Body struct {
	raw    jsontext.Value
	fields map[string]jsontext.Value
}

// MaxDepth bounds how deep a body may nest: an attacker's brackets must not
// cost stack or time.
const MaxDepth = 200

// ParseBody checks that raw is one JSON object without duplicate names and
// nested at most MaxDepth deep, and splits its top level. Empty input is the
// zero Body. It keeps raw. Errors are of kind Invalid and never quote raw.
func ParseBody(raw []byte) (Body, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return Body{}, nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if dec.PeekKind() != '{' {
		return Body{}, errs.New(errs.Invalid, "error parsing JSON: the body must be a JSON object")
	}
	fields := map[string]jsontext.Value{}
	if _, err := dec.ReadToken(); err != nil {
		return Body{}, badJSON(dec)
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return Body{}, badJSON(dec)
		}
		key := name.String()
		start := int(dec.InputOffset())
		if err := skip(dec); err != nil {
			return Body{}, err
		}
		value := bytes.TrimLeft(raw[start:dec.InputOffset()], " \t\r\n:")
		fields[key] = value
	}
	if _, err := dec.ReadToken(); err != nil {
		return Body{}, badJSON(dec)
	}
	if len(bytes.TrimSpace(raw[dec.InputOffset():])) != 0 {
		return Body{}, errs.New(errs.Invalid, "error parsing JSON: there is more after the object")
	}
	return Body{raw: bytes.TrimSpace(raw), fields: fields}, nil
}

// skip moves dec behind the next value, checking syntax and depth.
func skip(dec *jsontext.Decoder) error {
	base := dec.StackDepth()
	for {
		if _, err := dec.ReadToken(); err != nil {
			return badJSON(dec)
		}
		if dec.StackDepth()-base > MaxDepth {
			return errs.Newf(errs.Invalid, "error parsing JSON: nested deeper than %d", MaxDepth)
		}
		if dec.StackDepth() == base {
			return nil
		}
	}
}

// badJSON tells where, never what: the decoder's own error quotes the input.
func badJSON(dec *jsontext.Decoder) error {
	return errs.Newf(errs.Invalid, "error parsing JSON: malformed at byte %d", dec.InputOffset())
}

// NewBody makes a Body of fields that are already valid JSON.
func NewBody(fields map[string]jsontext.Value) Body {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	raw := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw, _ = jsontext.AppendQuote(raw, name) // fails only on invalid UTF-8, which it replaces
		raw = append(raw, ':')
		raw = append(raw, fields[name]...)
	}
	return Body{raw: append(raw, '}'), fields: fields}
}

// Raw returns the whole object, nil for the zero Body. Do not change it.
func (b Body) Raw() jsontext.Value { return b.raw }

// Field returns one top-level value as it came, nil if absent or null.
func (b Body) Field(name string) jsontext.Value {
	v := b.fields[name]
	if v.Kind() == 'n' {
		return nil
	}
	return v
}

// Has reports whether the field is present and not null.
func (b Body) Has(name string) bool { return b.Field(name) != nil }

// Names returns the top-level names in no particular order.
func (b Body) Names() []string {
	names := make([]string, 0, len(b.fields))
	for name := range b.fields {
		names = append(names, name)
	}
	return names
}

// Len returns the number of top-level fields.
func (b Body) Len() int { return len(b.fields) }
