package provider

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Property returns the part of v that name picks: the literal key of the JSON
// object when there is one, else the gjson path, else the literal key, with its
// dots, of an object within. No name is the whole. No such part is NotExist; no
// JSON object is Invalid.
func (v Value) Property(name string) (redact.Secret, error) {
	if name == "" {
		return v.Data, nil
	}
	object, err := v.object()
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "property %q: %w", name, err)
	}
	if raw, ok := object[name]; ok {
		return plain(raw), nil
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
