package hashing

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what is walked in one value of Data. They keep the price of a line
// proportional to small numbers whatever a client sends (Vault's CVE-2025-6203:
// a body of very many small strings kept a server busy hashing).
const (
	// MaxDepth is how deep objects and lists are walked. What lies deeper is
	// hashed as one: {"hmac_of_json":"hmac-sha256:...","bytes":n}, the hash being over
	// the JSON text as it came.
	MaxDepth = 60
	// MaxStrings is how many strings of one value are hashed singly. A value
	// with more is hashed as one, the whole of it.
	MaxStrings = 4096
	// MaxTokens is the same for everything: names, numbers, brackets.
	MaxTokens = 32768
)

// Options say how a value is copied.
type Options struct {
	Raw   bool     // strings as they are
	Elide bool     // keys and key_info of the top level as their lengths
	Plain []string // names whose strings are written as they are
	// Known spares making hashes again.
	Known [2]Known
}

// Known is a value whose hash was made before. The zero Known is none.
type Known struct {
	Clear string // not empty
	Hash  []byte // quoted, as AppendHash has it
}

// AppendValue appends v, a JSON text, with its strings hashed. What is no valid
// JSON, or over the bounds, is hashed as a whole.
func (s *State) AppendValue(dst []byte, v jsontext.Value, o Options) []byte {
	w := walker{s: s, raw: o.Raw, elide: o.Elide, plain: o.Plain, known: o.Known}
	return w.appendData(dst, v)
}

// walker copies one JSON value into a line with its strings hashed.
type walker struct {
	s       *State
	raw     bool     // log_raw: strings as they are
	elide   bool     // write keys and key_info of the top level as their lengths
	counted bool     // the next value is one of those
	plain   []string // names whose strings are written as they are
	known   [2]Known
	mask    uint64 // bit d: a string at depth d is written as it is; MaxDepth < 64
	strings int
	tokens  int
}

// appendData appends value, a JSON text. What is no valid JSON, or over the
// bounds, is hashed as a whole; nothing of it is lost from sight of who knows it.
func (w *walker) appendData(dst []byte, value jsontext.Value) []byte {
	start := len(dst)
	w.s.in = *bytes.NewBuffer(value)
	w.s.dec.Reset(&w.s.in, jsontext.AllowDuplicateNames(true))
	dst, ok := w.walk(dst)
	if ok {
		return dst
	}
	return w.appendOpaque(dst[:start], value)
}

// appendOpaque appends the hash of a JSON text (or what should have been one) as a whole.
func (w *walker) appendOpaque(dst []byte, text []byte) []byte {
	dst = append(dst, `{"hmac_of_json":`...)
	dst = w.s.AppendHash(dst, text)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	return append(dst, '}')
}

// walk reports false if the value is not one valid JSON text or over the bounds.
func (w *walker) walk(dst []byte) ([]byte, bool) {
	dec := w.s.dec
	for {
		var ok bool
		if dst, ok = w.token(dst); !ok {
			return dst, false
		}
		if dec.StackDepth() == 0 {
			break
		}
	}
	return dst, dec.PeekKind() == 0 && atEnd(dec)
}

// atEnd reports whether nothing but white space follows.
func atEnd(dec *jsontext.Decoder) bool {
	return len(bytes.TrimLeft(dec.UnreadBuffer(), " \t\r\n")) == 0
}

// token copies the next token or, where it is hashed as one, the next value.
func (w *walker) token(dst []byte) ([]byte, bool) {
	dec := w.s.dec
	if w.tokens++; w.tokens > MaxTokens {
		return dst, false
	}
	kind := dec.PeekKind()
	depth := dec.StackDepth()
	parent, count := dec.StackIndex(depth)
	isName := parent == '{' && count%2 == 0
	if kind == '}' || kind == ']' {
		_, err := dec.ReadToken()
		return append(dst, byte(kind)), err == nil
	}
	dst = separate(dst, parent == '{' && !isName, depth > 0 && count > 0)
	if kind == '{' || kind == '[' {
		return w.open(dst, kind, depth)
	}
	return w.scalar(dst, depth, isName)
}

// scalar copies a name, a number, a boolean or null, and hashes a string value.
func (w *walker) scalar(dst []byte, depth int, isName bool) ([]byte, bool) {
	v, err := w.s.dec.ReadValue()
	if err != nil {
		return dst, false
	}
	switch {
	case isName:
		w.name(depth, v)
	case v.Kind() == '"' && !w.raw && w.mask>>uint(depth)&1 == 0:
		return w.hashed(dst, v)
	}
	return append(dst, v...), true
}

// separate writes what stands before a value that is a member's, or not the first.
func separate(dst []byte, member, later bool) []byte {
	switch {
	case member:
		return append(dst, ':')
	case later:
		return append(dst, ',')
	}
	return dst
}

// open begins an object or a list at depth+1.
func (w *walker) open(dst []byte, kind jsontext.Kind, depth int) ([]byte, bool) {
	dec := w.s.dec
	if depth == MaxDepth {
		v, err := dec.ReadValue()
		if err != nil {
			return dst, false
		}
		return w.appendOpaque(dst, v), true
	}
	if _, err := dec.ReadToken(); err != nil {
		return dst, false
	}
	if w.counted && depth == 1 {
		return w.length(dst, kind)
	}
	w.set(depth+1, kind == '[' && w.mask>>uint(depth)&1 == 1)
	return append(dst, byte(kind)), true
}

// length appends how many members the object or list just begun has, and ends it.
func (w *walker) length(dst []byte, kind jsontext.Kind) ([]byte, bool) {
	dec := w.s.dec
	n := int64(0)
	for k := dec.PeekKind(); k != '}' && k != ']'; k = dec.PeekKind() {
		if err := dec.SkipValue(); err != nil {
			return dst, false
		}
		n++
	}
	if _, err := dec.ReadToken(); err != nil {
		return dst, false
	}
	if kind == '{' {
		n /= 2 // a name counts as a value
	}
	return strconv.AppendInt(dst, n, 10), true
}

// name notes what an object member's name means for the strings of its value.
func (w *walker) name(depth int, quoted jsontext.Value) {
	if len(w.plain) == 0 && !w.elide {
		return
	}
	w.s.scratch, _ = jsontext.AppendUnquote(w.s.scratch[:0], quoted) // the decoder checked it
	w.set(depth, contains(w.plain, w.s.scratch))
	w.counted = w.elide && depth == 1 && (string(w.s.scratch) == "keys" || string(w.s.scratch) == "key_info")
}

func contains(names []string, name []byte) bool {
	return slices.ContainsFunc(names, func(n string) bool { return n == string(name) })
}

func (w *walker) set(depth int, plain bool) {
	w.mask &^= 1 << uint(depth)
	if plain {
		w.mask |= 1 << uint(depth)
	}
}

// hashed appends the hash of a quoted string.
func (w *walker) hashed(dst []byte, quoted jsontext.Value) ([]byte, bool) {
	if w.strings++; w.strings > MaxStrings {
		return dst, false
	}
	var err error
	w.s.scratch, err = jsontext.AppendUnquote(w.s.scratch[:0], quoted)
	if err != nil {
		return dst, false
	}
	for i := range w.known {
		if k := &w.known[i]; k.Clear != "" && k.Clear == string(w.s.scratch) {
			return append(dst, k.Hash...), true
		}
	}
	return w.s.AppendHash(dst, w.s.scratch), true
}
