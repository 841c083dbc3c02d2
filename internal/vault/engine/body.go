package engine

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Body is a request's parameters: a JSON object whose top level is split
// without decoding the values, so that a KV payload stays the bytes it came
// as. The zero Body has no fields.
type Body struct {
	raw    jsontext.Value
	fields map[string]jsontext.Value
	binary []byte
}

// BinaryBody is a body that is no JSON, such as an OCSP request in DER. It has
// no fields. Only the wire makes it, for content types that it knows.
func BinaryBody(raw []byte) Body { return Body{binary: raw} }

// Binary returns a body that is no JSON, nil for all others.
func (b Body) Binary() []byte { return b.binary }

// MaxDepth bounds how deep a value in a body may nest: an attacker's brackets
// must not cost stack or time.
const MaxDepth = 200

// MaxTokens bounds the names, values and brackets of a body. Each costs many
// times its own length, mostly to find names that come twice: without a bound
// one body of 32 MiB, from anybody, took 5 s and 900 MiB (the class of
// CVE-2025-6203). No secret comes near it: there are 4 bytes of the longest
// value to a token.
const MaxTokens = 1 << 18

// decoders are kept between requests; each is emptied before it goes back, so
// that none holds on to a request's bytes.
var decoders = sync.Pool{New: func() any { return &decoder{Decoder: new(jsontext.Decoder)} }}

type decoder struct {
	*jsontext.Decoder
	buf    bytes.Buffer
	raw    []byte
	tokens int // read so far
	limit  int // of tokens, where skip looks
}

// keepTokens is up to what a decoder is kept: what it grew to stays with it.
const keepTokens = 1 << 12

func newDecoder(raw []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.buf, d.raw, d.tokens = *bytes.NewBuffer(raw), raw, 0
	d.Reset(&d.buf)
	return d
}

func freeDecoder(d *decoder) {
	if d.tokens > keepTokens {
		return
	}
	d.buf, d.raw = bytes.Buffer{}, nil
	d.Reset(&d.buf)
	decoders.Put(d)
}

// ParseBody checks that raw is one JSON object, in valid UTF-8, without
// duplicate names at any depth, nested at most MaxDepth deep and of at most
// MaxTokens, and splits its top level. Empty input and null are the zero Body. It keeps raw: the caller must not
// change it. Errors are of kind Invalid and never quote raw.
//
// Vault itself takes the last of duplicate names and replaces invalid UTF-8. A
// secret that is silently not what was sent is worse than a clear refusal.
func ParseBody(raw []byte) (Body, error) {
	raw = bytes.Trim(raw, " \t\r\n")
	if len(raw) == 0 || string(raw) == "null" {
		return Body{}, nil // null is what the official client sends for a nil map
	}
	if raw[0] != '{' {
		return Body{}, errs.New(errs.Invalid, "error parsing JSON: the body must be a JSON object")
	}
	fields := make(map[string]jsontext.Value, 4)
	err := members(raw, MaxTokens, func(name string, value jsontext.Value) error {
		fields[name] = value
		return nil
	})
	if err != nil {
		return Body{}, err
	}
	return Body{raw: raw, fields: fields}, nil
}

// Members calls each with every member of the JSON object raw, in order; the
// value aliases raw. It checks all that ParseBody checks but MaxTokens, and stops
// at the first error of its own or of each.
func Members(raw jsontext.Value, each func(name string, value jsontext.Value) error) error {
	return members(raw, math.MaxInt, each)
}

func members(raw jsontext.Value, limit int, each func(name string, value jsontext.Value) error) error {
	dec := newDecoder(raw)
	defer freeDecoder(dec)
	dec.limit = limit
	if dec.PeekKind() != '{' {
		return errs.New(errs.Invalid, "error parsing JSON: expected an object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return badJSON(dec, err)
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return badJSON(dec, err)
		}
		dec.tokens++
		key := name.String()
		start := dec.InputOffset()
		if err := dec.skip(); err != nil {
			return err
		}
		value := bytes.TrimLeft(raw[start:dec.InputOffset()], " \t\r\n:")
		if err := each(key, value[:len(value):len(value)]); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return badJSON(dec, err)
	}
	if len(bytes.Trim(raw[dec.InputOffset():], " \t\r\n")) != 0 {
		return errs.Newf(errs.Invalid, "error parsing JSON: there is more after the object, from byte %d", dec.InputOffset())
	}
	return nil
}

// skip moves d behind the next value, checking syntax, depth and size.
func (d *decoder) skip() error {
	base := d.StackDepth()
	for {
		if _, err := d.ReadToken(); err != nil {
			return badJSON(d, err)
		}
		d.tokens++
		switch depth := d.StackDepth() - base; {
		case depth > MaxDepth:
			return errs.Newf(errs.Invalid, "error parsing JSON: nested deeper than %d", MaxDepth)
		case d.tokens > d.limit:
			return errs.Newf(errs.Invalid, "error parsing JSON: more than %d names and values", d.limit)
		case depth == 0:
			return nil
		}
	}
}

// badJSON tells where and which rule was broken, never what stood there: the
// decoder's own error quotes the input.
func badJSON(d *decoder, err error) error {
	at, what := d.InputOffset(), "malformed"
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = max(at, syntax.ByteOffset)
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		what = "a name appears twice in one object"
	case !utf8.Valid(d.raw):
		what = "not valid UTF-8"
	}
	return errs.Newf(errs.Invalid, "error parsing JSON: %s, at byte %d", what, at)
}

// NewBody makes a Body of fields that are already valid JSON.
func NewBody(fields map[string]jsontext.Value) Body {
	b := Body{fields: fields}
	o := NewObject()
	for _, name := range b.sorted() {
		o = o.Raw(name, fields[name])
	}
	b.raw = o.Value()
	return b
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

// IsNull reports whether the field is present and null: in a merge patch, that
// it is to be removed.
func (b Body) IsNull(name string) bool {
	v, present := b.fields[name]
	return present && (v == nil || v.Kind() == 'n')
}

// Names returns the top-level names in no particular order.
func (b Body) Names() []string {
	names := make([]string, 0, len(b.fields))
	for name := range b.fields {
		names = append(names, name)
	}
	return names
}

func (b Body) sorted() []string {
	names := b.Names()
	slices.Sort(names)
	return names
}

// Len returns the number of top-level fields.
func (b Body) Len() int { return len(b.fields) }
