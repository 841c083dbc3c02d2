// Package push is what writing to stores has in common: the mark of what an
// operator wrote, the metadata of a PushSecret, and putting one property into an
// object that others may be writing.
//
// Start reading at Set, or at With for stores that can write on condition.
package push

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// What an operator wrote has this tag, whichever operator of External Secrets it was.
const (
	TagManaged = "managed-by"
	Manager    = "external-secrets"
)

// Managed reports whether an operator wrote what has these tags.
func Managed(tags map[string]string) bool { return tags[TagManaged] == Manager }

// Foreign is the refusal to write where somebody else has written.
func Foreign(name string) error {
	return errs.Newf(errs.Conflict, "%q exists and was not written by an operator (it lacks %s=%s): push to another key, or add that to hand it over",
		name, TagManaged, Manager)
}

// Metadata reads the metadata of a PushSecret into spec, which holds the defaults.
// Unknown fields are refused by name.
func Metadata(raw json.RawMessage, spec any) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(&struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       any    `json:"spec"`
	}{Spec: spec})
	if err != nil {
		return errs.Newf(errs.Invalid, "metadata of the PushSecret: %w", err)
	}
	return nil
}

// Tags adds the mark to the tags that a PushSecret wants.
func Tags(wanted map[string]string) (map[string]string, error) {
	tags := map[string]string{TagManaged: Manager}
	for name, value := range wanted {
		if name == TagManaged {
			return nil, errs.Newf(errs.Invalid, "metadata of the PushSecret: the tag %q is the operator's own", TagManaged)
		}
		tags[name] = value
	}
	return tags, nil
}

// Missing returns the tags of wanted that have lacks or has otherwise.
func Missing(wanted, have map[string]string) map[string]string {
	missing := map[string]string{}
	for name, value := range wanted {
		if got, ok := have[name]; !ok || got != value {
			missing[name] = value
		}
	}
	return missing
}

// Versions is one secret whose every write makes a version.
type Versions interface {
	// Get returns a version; the current one for "".
	Get(ctx context.Context, version string) (provider.Value, error)
	// Put stores data. It returns the version it made and the one that was current.
	Put(ctx context.Context, data redact.Secret) (made, replaced string, err error)
}

// tries is how often a write that crossed another is put right.
const tries = 4

// Set puts value at property of v, or in place of the whole. What is there already
// makes no version. It is for services that cannot write on condition that nobody
// else did; when another's write was replaced unseen, its content is taken in and written
// again.
func Set(ctx context.Context, v Versions, property string, value redact.Secret) error {
	_, err := apply(ctx, v, property, func(base redact.Secret) (redact.Secret, error) {
		if property == "" {
			return value, nil
		}
		return With(base, property, value)
	})
	return err
}

// Unset takes property out of v. empty means that nothing is left and that nothing
// was written: the secret can go.
func Unset(ctx context.Context, v Versions, property string) (empty bool, err error) {
	left, err := apply(ctx, v, property, func(base redact.Secret) (redact.Secret, error) { return Without(base, property) })
	return err == nil && left.Empty(), err
}

// apply writes change of the current version; a change to nothing is not written.
func apply(ctx context.Context, v Versions, property string, change func(redact.Secret) (redact.Secret, error)) (redact.Secret, error) {
	base, err := present(ctx, v)
	if err != nil {
		return redact.Secret{}, err
	}
	there, expected := base.Data, base.Version
	for range tries {
		data, err := change(base.Data)
		if nothing := data.Empty() && property != ""; err != nil || nothing || data.Equal(there) {
			return data, err
		}
		made, replaced, err := v.Put(ctx, data)
		if err != nil || property == "" || replaced == expected {
			return data, err
		}
		if replaced == made {
			break // and yet another came behind: who that was takes this one in
		}
		if base, err = v.Get(ctx, replaced); err != nil {
			return data, err
		}
		there, expected = data, made
	}
	return redact.Secret{}, errs.New(errs.Conflict, "others write to the same secret at the same time: it is tried again")
}

// present returns the current version; one that is empty when there is none.
func present(ctx context.Context, v Versions) (provider.Value, error) {
	base, err := v.Get(ctx, "")
	if errs.Is(err, errs.NotExist) {
		return provider.Value{}, nil
	}
	return base, err
}

// With returns the JSON object base, which may be empty, with value as text at
// property. What is so already is returned as it came.
func With(base redact.Secret, property string, value redact.Secret) (redact.Secret, error) {
	if !utf8.ValidString(property) {
		return redact.Secret{}, errs.Newf(errs.Invalid, "property %q is not text", property)
	}
	if !utf8.Valid(value.Reveal()) {
		return redact.Secret{}, errs.Newf(errs.Invalid, "property %q: the value is not text, which a JSON object cannot hold: push it without property", property)
	}
	object, err := objectOf(base, property)
	if err != nil {
		return redact.Secret{}, err
	}
	if have, err := (provider.Value{Data: base}).Map(); err == nil {
		if now, ok := have[property]; ok && now.Equal(value) {
			return base, nil
		}
	}
	raw, err := encode(value.RevealString())
	if err != nil {
		return redact.Secret{}, err
	}
	object[property] = raw
	data, err := encode(object)
	return redact.New(data), err
}

// Without returns the JSON object base without property; nothing when that was all.
func Without(base redact.Secret, property string) (redact.Secret, error) {
	object, err := objectOf(base, property)
	if err != nil {
		return redact.Secret{}, err
	}
	if _, ok := object[property]; !ok && len(object) > 0 {
		return base, nil
	}
	delete(object, property)
	if len(object) == 0 {
		return redact.Secret{}, nil
	}
	data, err := encode(object)
	return redact.New(data), err
}

// Has reports whether a secret has property; every secret has the whole, "".
func Has(data redact.Secret, property string) bool {
	if property == "" {
		return true
	}
	parts, err := provider.Value{Data: data}.Map()
	_, ok := parts[property]
	return err == nil && ok
}

func objectOf(base redact.Secret, property string) (map[string]json.RawMessage, error) {
	object := map[string]json.RawMessage{}
	if base.Empty() {
		return object, nil
	}
	if !utf8.Valid(base.Reveal()) || json.Unmarshal(base.Reveal(), &object) != nil || object == nil { // the error may quote the value
		return nil, errs.Newf(errs.Invalid, "property %q: the secret that is there is not a JSON object", property)
	}
	return object, nil
}

func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return nil, errs.New(errs.Internal, "encoding a secret as JSON")
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
