package engine

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Decoder reads fields of a request's body, in the weakly typed forms that
// FieldType tells of. A field that is absent or null has its default; so has
// an empty string where a number, boolean or duration is meant. The first field
// that does not fit is kept for Err, and its default is returned: a handler
// asks Err once, after the last field.
//
// Errors are of kind Invalid and name the field and what it must be. They
// never quote the value.
type Decoder struct {
	body Body
	err  error
}

// Decode begins decoding the request's body.
func (r *Request) Decode() Decoder { return Decoder{body: r.Body} }

// Decode begins decoding b.
func (b Body) Decode() Decoder { return Decoder{body: b} }

// Err returns what was wrong with the first bad field.
func (d *Decoder) Err() error { return d.err }

// Has reports whether the field is present and not null.
func (d *Decoder) Has(name string) bool { return d.body.Has(name) }

// Raw returns the field as it came, nil if absent or null.
func (d *Decoder) Raw(name string) jsontext.Value { return d.body.Field(name) }

func (d *Decoder) fail(name, want string, got jsontext.Value) {
	if d.err == nil {
		d.err = errs.Newf(errs.Invalid, "field %q must be %s, not %s", name, want, describe(got))
	}
}

// describe names a value's kind without showing it.
func describe(v jsontext.Value) string {
	switch v.Kind() {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "this string"
	case '0':
		return "this number"
	case 't', 'f':
		return "a boolean"
	}
	return "null"
}

// Object returns the field as it came if it is a JSON object, else nil.
func (d *Decoder) Object(name string) jsontext.Value {
	v := d.body.Field(name)
	if v != nil && v.Kind() != '{' {
		d.fail(name, "an object", v)
		return nil
	}
	return v
}

// ObjectOrText is Object, and takes a string with an object in it as well: a
// command line cannot say it otherwise.
func (d *Decoder) ObjectOrText(name string) jsontext.Value {
	if v := embedded(d.body.Field(name)); v != nil {
		return v
	}
	return d.Object(name)
}

// embedded returns the JSON object that v is a string of, else nil. The object
// keeps the bounds of a body: to the body it was but one token.
func embedded(v jsontext.Value) jsontext.Value {
	if v == nil || v.Kind() != '"' {
		return nil
	}
	text, ok := scalar(v)
	if !ok {
		return nil
	}
	inner := jsontext.Value(strings.TrimSpace(text))
	if inner.Kind() != '{' || members(inner, MaxTokens, func(string, jsontext.Value) error { return nil }) != nil {
		return nil
	}
	return inner
}

// String decodes a string; numbers and booleans are taken as they are written.
func (d *Decoder) String(name, def string) string {
	v := d.body.Field(name)
	if v == nil {
		return def
	}
	s, ok := scalar(v)
	if !ok {
		d.fail(name, "a string", v)
		return def
	}
	return s
}

// Int decodes a whole number.
func (d *Decoder) Int(name string, def int64) int64 {
	v := d.body.Field(name)
	s, ok := number(v)
	if s == "" {
		return def
	}
	n, err := parseInt(s)
	if !ok || err != nil {
		d.fail(name, "a whole number of at most 64 bits", v)
		return def
	}
	return n
}

// Float decodes a number that is finite.
func (d *Decoder) Float(name string, def float64) float64 {
	v := d.body.Field(name)
	s, ok := number(v)
	if s == "" {
		return def
	}
	f, err := strconv.ParseFloat(s, 64)
	if !ok || err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		d.fail(name, "a number", v)
		return def
	}
	return f
}

// Bool decodes true, false, 1, 0 and the strings strconv.ParseBool takes.
func (d *Decoder) Bool(name string, def bool) bool {
	v := d.body.Field(name)
	s, ok := scalar(v)
	if v == nil || ok && s == "" {
		return def
	}
	b, err := strconv.ParseBool(s)
	if !ok || err != nil {
		d.fail(name, "true or false", v)
		return def
	}
	return b
}

// Duration decodes seconds or a Go duration, see ParseDuration. It may be negative.
func (d *Decoder) Duration(name string, def time.Duration) time.Duration {
	v := d.body.Field(name)
	s, ok := number(v)
	if s == "" {
		return def
	}
	t, valid := ParseDuration(s)
	if !ok || !valid {
		d.fail(name, `a duration such as 30, "30s", "1h15m" or "2d"`, v)
		return def
	}
	return t
}

// Strings decodes a list of strings, or one string split at commas. Blanks
// around the items are cut off, and the comma form drops empty items. It is
// nil only if the field is absent.
func (d *Decoder) Strings(name string) []string {
	v := d.body.Field(name)
	if v == nil {
		return nil
	}
	items := []string{}
	if v.Kind() == '[' {
		if !d.list(name, v, func(item jsontext.Value) bool {
			s, ok := scalar(item)
			items = append(items, strings.TrimSpace(s))
			return ok
		}) {
			return nil
		}
		return items
	}
	s, ok := scalar(v)
	if !ok {
		d.fail(name, "a list of strings", v)
		return nil
	}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// Ints decodes a list of whole numbers, one number, or a string of them split
// at commas.
func (d *Decoder) Ints(name string) []int64 {
	var numbers []int64
	for _, s := range d.Strings(name) {
		n, err := parseInt(s)
		if err != nil {
			d.fail(name, "a list of whole numbers", d.body.Field(name))
			return nil
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// list calls each with the items of a JSON list until it returns false, which
// is a failure of the field.
func (d *Decoder) list(name string, v jsontext.Value, each func(jsontext.Value) bool) bool {
	dec := newDecoder(v)
	defer freeDecoder(dec)
	if _, err := dec.ReadToken(); err != nil {
		d.fail(name, "a list", v)
		return false
	}
	for dec.PeekKind() != ']' {
		item, err := dec.ReadValue()
		if err != nil || !each(item) {
			d.fail(name, "a list of strings", v)
			return false
		}
	}
	return true
}

// StringMap decodes an object whose values are strings; numbers and booleans
// are taken as they are written. "a=b,c=d", a list of such, and an object within
// a string are accepted as command lines send them. It is nil only if the field
// is absent.
func (d *Decoder) StringMap(name string) map[string]string {
	v := d.body.Field(name)
	if v == nil {
		return nil
	}
	if inner := embedded(v); inner != nil {
		v = inner
	}
	m := map[string]string{}
	if v.Kind() != '{' {
		for _, pair := range d.Strings(name) {
			k, val, ok := strings.Cut(pair, "=")
			if !ok {
				d.fail(name, "an object of strings", v)
				return nil
			}
			m[k] = val
		}
		return m
	}
	err := Members(v, func(key string, val jsontext.Value) error {
		s, ok := scalar(val)
		if !ok {
			d.fail(name, "an object of strings", v)
		}
		m[key] = s
		return d.err
	})
	if err != nil {
		d.fail(name, "an object of strings", v)
		return nil
	}
	return m
}

// scalar returns a string, number or boolean as text.
func scalar(v jsontext.Value) (string, bool) {
	v = bytes.TrimSpace(v)
	switch v.Kind() {
	case '"':
		if s := v[1:max(1, len(v)-1)]; plain(s) {
			return string(s), true
		}
		s, err := jsontext.AppendUnquote(nil, v)
		return string(s), err == nil
	case '0', 't', 'f':
		return string(v), true
	}
	return "", false
}

// plain reports whether s holds neither an escape nor anything but ASCII.
func plain(s []byte) bool {
	for _, c := range s {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// number is scalar without booleans. An absent or empty value is "" and true;
// what is not a scalar comes back as a text that is no number.
func number(v jsontext.Value) (string, bool) {
	if v == nil {
		return "", true
	}
	s, ok := scalar(v)
	if !ok || v.Kind() == 't' || v.Kind() == 'f' {
		return "?", false
	}
	return strings.TrimSpace(s), true
}

// parseInt reads a whole number; 3.0 and 3e2 are whole too, as long as a
// float64 holds them exactly.
func parseInt(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return n, nil
	}
	f, ferr := strconv.ParseFloat(s, 64)
	if ferr != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, err
	}
	return int64(f), nil
}

// ParseDuration reads a duration as Vault's clients write it: whole seconds
// ("90"), a Go duration ("1h30m"), and either with days in front ("7d",
// "1d12h"). It may be negative.
func ParseDuration(s string) (time.Duration, bool) {
	if n, err := parseInt(s); err == nil {
		return days(n, time.Second)
	}
	unsigned, negative := strings.CutPrefix(s, "-")
	whole, rest, hasDays := strings.Cut(unsigned, "d")
	if !hasDays {
		t, err := time.ParseDuration(s)
		return t, err == nil
	}
	n, err := strconv.ParseUint(whole, 10, 31)
	if err != nil {
		return 0, false
	}
	total, ok := days(int64(n), 24*time.Hour)
	if rest != "" && ok {
		more, err := time.ParseDuration(rest)
		ok = err == nil && more >= 0 && rest[0] != '+' && more <= math.MaxInt64-total
		total += more
	}
	if negative {
		total = -total
	}
	return total, ok
}

// days returns n units unless that overflows.
func days(n int64, unit time.Duration) (time.Duration, bool) {
	if limit := int64(math.MaxInt64 / unit); n > limit || n < -limit {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
