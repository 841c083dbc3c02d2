package shelf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Values are properties of a secret, each as JSON. They are not printed.
type Values map[string]json.RawMessage

// Text returns s as the JSON string that a property is.
func Text(s redact.Secret) json.RawMessage {
	raw, err := json.Marshal(s.RevealString())
	if err != nil {
		return nil // a string is always JSON
	}
	return raw
}

// String keeps values out of texts.
func (v Values) String() string { return fmt.Sprintf("%d properties", len(v)) }

// GoString keeps values out of texts.
func (v Values) GoString() string { return v.String() }

// Secret returns a property that is a JSON string.
func (v Values) Secret(property string) (redact.Secret, bool) {
	var s string
	raw, ok := v[property]
	if !ok || json.Unmarshal(raw, &s) != nil {
		return redact.Secret{}, false
	}
	return redact.FromString(s), true
}

// with returns v with the properties of change in it, and without those that
// change has as null.
func (v Values) with(change Values) Values {
	out := maps.Clone(v)
	if out == nil {
		out = Values{}
	}
	for property, value := range change {
		if isNull(value) {
			delete(out, property)
		} else {
			out[property] = value
		}
	}
	return out
}

// Has reports whether change would change nothing in v.
func (v Values) Has(change Values) bool {
	for property, value := range change {
		have, ok := v[property]
		if isNull(value) {
			if ok {
				return false
			}
		} else if !ok || !equal(have, value) {
			return false
		}
	}
	return true
}

// of returns what v has of the properties of change, null for what it has not.
func (v Values) of(change Values) Values {
	out := Values{}
	for property := range change {
		out[property] = json.RawMessage("null")
		if have, ok := v[property]; ok {
			out[property] = have
		}
	}
	return out
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// equal compares as JSON: servers write the same value in several ways.
func equal(a, b json.RawMessage) bool {
	return bytes.Equal(canonical(a), canonical(b))
}

func canonical(raw json.RawMessage) []byte {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if dec.Decode(&value) != nil {
		return raw
	}
	out, err := json.Marshal(value)
	if err != nil {
		return raw
	}
	return out
}
