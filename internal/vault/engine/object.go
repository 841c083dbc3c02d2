package engine

import (
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Builder builds a JSON object by appending, without reflection, for answers on
// hot paths. Members keep the order of the calls; giving a name twice is the
// caller's fault and not noticed. A Builder is a value: use what the last call
// returned.
//
//	NewObject().Str("type", "kv").Int("version", 3).Value()
type Builder struct{ buf []byte }

// NewObject begins an object with room for a few short members.
func NewObject() Builder { return NewObjectSize(192) }

// NewObjectSize begins an object with room for size bytes.
func NewObjectSize(size int) Builder { return Builder{append(make([]byte, 0, size+2), '{')} }

func (o Builder) name(name string) Builder {
	if o.buf[len(o.buf)-1] != '{' {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(appendString(o.buf, name), ':')
	return o
}

// appendString quotes s; invalid UTF-8 becomes U+FFFD, for an answer that
// cannot be decoded helps nobody.
func appendString(buf []byte, s string) []byte {
	buf, _ = jsontext.AppendQuote(buf, s)
	return buf
}

// Str adds a string.
func (o Builder) Str(name, v string) Builder {
	o = o.name(name)
	o.buf = appendString(o.buf, v)
	return o
}

// Int adds a number.
func (o Builder) Int(name string, v int64) Builder {
	o = o.name(name)
	o.buf = strconv.AppendInt(o.buf, v, 10)
	return o
}

// Uint adds a number.
func (o Builder) Uint(name string, v uint64) Builder {
	o = o.name(name)
	o.buf = strconv.AppendUint(o.buf, v, 10)
	return o
}

// Bool adds true or false.
func (o Builder) Bool(name string, v bool) Builder {
	o = o.name(name)
	o.buf = strconv.AppendBool(o.buf, v)
	return o
}

// Null adds null.
func (o Builder) Null(name string) Builder {
	o = o.name(name)
	o.buf = append(o.buf, "null"...)
	return o
}

// Raw adds v, which must be valid JSON; nil is null.
func (o Builder) Raw(name string, v jsontext.Value) Builder {
	if v == nil {
		return o.Null(name)
	}
	o = o.name(name)
	o.buf = append(o.buf, v...)
	return o
}

// Obj adds an object.
func (o Builder) Obj(name string, v Builder) Builder {
	o = o.name(name)
	o.buf = append(append(o.buf, v.buf...), '}')
	return o
}

// Open adds an object whose members are what is added until Close.
func (o Builder) Open(name string) Builder {
	o = o.name(name)
	o.buf = append(o.buf, '{')
	return o
}

// Close ends what Open began.
func (o Builder) Close() Builder {
	o.buf = append(o.buf, '}')
	return o
}

// Time adds t in UTC as RFC 3339 with nanoseconds, "" for the zero time.
func (o Builder) Time(name string, t time.Time) Builder {
	o = o.name(name)
	o.buf = append(o.buf, '"')
	if !t.IsZero() {
		o.buf = t.UTC().AppendFormat(o.buf, time.RFC3339Nano)
	}
	o.buf = append(o.buf, '"')
	return o
}

// Strs adds a list; nil is [].
func (o Builder) Strs(name string, v []string) Builder {
	o = o.name(name)
	o.buf = append(o.buf, '[')
	for i, s := range v {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = appendString(o.buf, s)
	}
	o.buf = append(o.buf, ']')
	return o
}

// StrMap adds an object of strings, sorted by name; nil is null.
func (o Builder) StrMap(name string, v map[string]string) Builder {
	if v == nil {
		return o.Null(name)
	}
	names := make([]string, 0, len(v))
	for k := range v {
		names = append(names, k)
	}
	slices.Sort(names)
	inner := NewObjectSize(64)
	for _, k := range names {
		inner = inner.Str(k, v[k])
	}
	return o.Obj(name, inner)
}

// Value closes the object and returns it. The Builder must not be used after.
func (o Builder) Value() jsontext.Value { return append(o.buf, '}') }

// JSON encodes v by reflection, maps sorted: for cold paths. An error is of
// kind Internal, for it is the caller who made v.
func JSON(v any) (jsontext.Value, error) {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding an answer of type %T: unsupported value", v)
	}
	return raw, nil
}

// NotFound is the wire's plain 404, {"errors":[]}, for operations whose nil
// Response would mean 204.
func NotFound() *Response {
	return &Response{Raw: &Raw{Status: 404, ContentType: "application/json", Body: []byte(`{"errors":[]}` + "\n")}}
}
