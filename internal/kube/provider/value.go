package provider

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Property returns the part of v that name picks: the literal key of the JSON
// object when there is one, else the gjson path, else the literal key, with its
// dots, of an object within. Of Parts it is the literal key, or what stands in front
// of a dot, and behind it what picks within that part. No name is the whole. No such
// part is NotExist; no JSON object is Invalid.
func (v Value) Property(name string) (redact.Secret, error) {
	switch {
	case v.Picked:
		return v.Data, nil
	case name == "":
		return v.whole()
	case v.Parts != nil:
		return v.part(name)
	}
	object, err := v.object()
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "property %q: %w", name, err)
	}
	if raw, ok := object[name]; ok {
		return plain(raw), nil
	}
	if err := checkGPath(name, v.Data.Len()); err != nil {
		return redact.Secret{}, err
	}
	found := gjson.GetBytes(v.Data.Reveal(), name)
	if !found.Exists() {
		if raw, ok := within(object, name); ok {
			return plain(raw), nil
		}
		return redact.Secret{}, errs.Newf(errs.NotExist, "property %q does not exist", name)
	}
	if found.Type == gjson.String {
		return redact.FromString(found.Str), nil
	}
	return plain(json.RawMessage(found.Raw)), nil
}

// whole returns all of v as one value.
func (v Value) whole() (redact.Secret, error) {
	if v.Data.Empty() && v.Parts != nil {
		for _, name := range slices.Sorted(maps.Keys(v.Parts)) {
			if !utf8.Valid(v.Parts[name].Reveal()) {
				return redact.Secret{}, errs.Newf(errs.Invalid, "its part %q is not text, which one JSON object of all parts cannot hold: name a part by property, or take all by dataFrom.extract", name)
			}
		}
	}
	return v.Data, nil
}

// part picks from Parts.
func (v Value) part(name string) (redact.Secret, error) {
	if part, ok := v.Parts[name]; ok {
		return part, nil
	}
	for i := 1; i < len(name)-1; i++ {
		if name[i] != '.' {
			continue
		}
		if part, ok := v.Parts[name[:i]]; ok {
			if found, err := (Value{Data: part}).Property(name[i+1:]); err == nil {
				return found, nil
			}
		}
	}
	return redact.Secret{}, errs.Newf(errs.NotExist, "property %q does not exist", name)
}

// Len is how many bytes v has.
func (v Value) Len() int {
	n := v.Data.Len()
	for name, part := range v.Parts {
		n += len(name) + part.Len()
	}
	return n
}

// within finds "labels.example.com/owner" in {"labels":{"example.com/owner":…}}.
func within(object map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	head, rest, dotted := strings.Cut(name, ".")
	var inner map[string]json.RawMessage
	if !dotted || json.Unmarshal(object[head], &inner) != nil {
		return nil, false
	}
	if raw, ok := inner[rest]; ok {
		return raw, true
	}
	return within(inner, rest)
}

// Map returns every key of the JSON object that v is.
func (v Value) Map() (map[string]redact.Secret, error) {
	if v.Parts != nil {
		return maps.Clone(v.Parts), nil
	}
	object, err := v.object()
	if err != nil {
		return nil, err
	}
	out := make(map[string]redact.Secret, len(object))
	for key, raw := range object {
		out[key] = plain(raw)
	}
	return out, nil
}

// object decodes one level. Errors of encoding/json may quote the input, so
// they are not passed on.
func (v Value) object() (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(v.Data.Reveal(), &object); err != nil || object == nil {
		return nil, errs.New(errs.Invalid, "the secret is not a JSON object")
	}
	return object, nil
}

// plain returns the bytes a Secret gets for one JSON value: a string without
// its quotes, nothing for null, anything else as compact JSON.
func plain(raw json.RawMessage) redact.Secret {
	switch {
	case len(raw) > 0 && raw[0] == '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return redact.FromString(s)
		}
	case string(raw) == "null":
		return redact.New(nil)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) == nil {
		return redact.New(compact.Bytes())
	}
	return redact.New(bytes.Clone(raw))
}

// DecodeSettings reads raw into settings, refusing unknown fields by name.
// provider is the key under spec.provider.
func DecodeSettings(provider string, raw json.RawMessage, settings any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(settings); err != nil {
		return errs.Newf(errs.Invalid, "spec.provider.%s: %s", provider, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
