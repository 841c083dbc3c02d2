package v1

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// SecretStoreProvider is the object that names one provider and holds its
// settings. The settings stay the JSON they came as, whatever the provider,
// until that provider's own package reads them; so an object survives a round
// trip through an operator that does not know its provider.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:MaxProperties=1
// +kubebuilder:object:generate=false
type SecretStoreProvider struct {
	settings map[string]json.RawMessage
}

// NewProvider returns the provider name with settings encoded as JSON.
func NewProvider(name string, settings any) (SecretStoreProvider, error) {
	raw, err := json.Marshal(settings)
	if err != nil {
		return SecretStoreProvider{}, errs.Newf(errs.Invalid, "encoding settings of provider %q: %w", name, err)
	}
	return SecretStoreProvider{map[string]json.RawMessage{name: raw}}, nil
}

// One returns the name and settings of the one provider. The caller must not
// change the settings. None or several is Invalid.
func (p SecretStoreProvider) One() (string, json.RawMessage, error) {
	names := make([]string, 0, len(p.settings))
	for name := range p.settings {
		names = append(names, name)
	}
	switch len(names) {
	case 1:
		return names[0], p.settings[names[0]], nil
	case 0:
		return "", nil, errs.New(errs.Invalid, "spec.provider names no provider: add one, such as vault")
	}
	slices.Sort(names)
	return "", nil, errs.Newf(errs.Invalid, "spec.provider names %s: a store has exactly one provider", strings.Join(names, " and "))
}

// DeepCopyInto copies p into out.
func (p *SecretStoreProvider) DeepCopyInto(out *SecretStoreProvider) {
	out.settings = nil
	if p.settings == nil {
		return
	}
	out.settings = make(map[string]json.RawMessage, len(p.settings))
	for name, raw := range p.settings {
		out.settings[name] = bytes.Clone(raw)
	}
}

// MarshalJSON writes the object as it came.
func (p SecretStoreProvider) MarshalJSON() ([]byte, error) {
	if p.settings == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(p.settings)
}

// UnmarshalJSON keeps every key.
func (p *SecretStoreProvider) UnmarshalJSON(b []byte) error {
	p.settings = nil
	return json.Unmarshal(b, &p.settings)
}
