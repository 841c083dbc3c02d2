package state

import (
	"crypto/cipher"
	"crypto/hmac"
	"encoding/json"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Seal vouches for what operators write into states, and hides what is not for who may
// read them. The zero one does neither.
//
// Whoever may write GeneratorStates in a namespace could say that a credential was made
// through a ClusterGenerator, which may use the operator's own identity, and at which
// server; or have a credential taken back that is another's. Whoever may read them would
// read what a ClusterGenerator says, which is not for tenants.
type Seal struct {
	// Digest returns a keyed digest of a text, with a key that only operators have.
	Digest func(text []byte) string
	// Cipher encrypts with such a key, and draws its nonces itself. nil: nothing is hidden.
	Cipher cipher.AEAD
}

// of returns the digest of what a credential was made by, in which namespace, and what is
// known of it; "" where there is none.
func (s Seal) of(namespace string, from resource, known json.RawMessage) string {
	if s.Digest == nil {
		return ""
	}
	var parts [2]any // as values: the API server writes objects in its own way
	for i, raw := range []json.RawMessage{from.Spec, known} {
		if len(raw) > 0 && json.Unmarshal(raw, &parts[i]) != nil {
			return ""
		}
	}
	text, err := json.Marshal([]any{namespace, from.Kind, from.Through, from.Metadata["name"], parts})
	if err != nil {
		return ""
	}
	return s.Digest(text)
}

// vouches reports whether an operator wrote this of a state.
func (s Seal) vouches(namespace string, from resource, e envelope) bool {
	want := s.of(namespace, from, e.Known)
	return want != "" && hmac.Equal([]byte(want), []byte(e.Seal))
}

// hides reports whether from is shown although it need not be.
func (s Seal) hides(from resource) bool {
	return s.Cipher != nil && from.Through == v1alpha1.KindClusterGenerator && len(from.Spec) > 0
}

// shown returns from as it stands in a state of namespace.
func (s Seal) shown(namespace string, from resource) (resource, error) {
	if !s.hides(from) {
		return from, nil
	}
	place, err := placeOf(namespace, from)
	if err != nil {
		return from, err
	}
	from.Hidden, from.Spec = s.Cipher.Seal(nil, nil, from.Spec, place), nil //nolint:gosec // the cipher draws the nonce
	return from, nil
}

// opened returns from as it was before it was shown. Invalid: it was written by nobody who
// has the key, or of another credential.
func (s Seal) opened(namespace string, from resource, e envelope) (resource, error) {
	if len(from.Hidden) == 0 {
		return from, nil
	}
	if s.Cipher == nil {
		return from, errs.New(errs.Unsupported, "what it was made by is hidden, and this operator has no key")
	}
	place, err := placeOf(namespace, from)
	if err != nil {
		return from, err
	}
	out := from
	out.Hidden = nil
	if out.Spec, err = s.Cipher.Open(nil, nil, from.Hidden, place); err != nil || !s.vouches(namespace, out, e) {
		return from, errs.New(errs.Invalid, "what it was made by cannot be told: the GeneratorState was changed by hand, or the operator's key of marks (Secret strongkeep-operator-key) is another one now; take the credential back at its server")
	}
	return out, nil
}

// placeOf is what a hidden spec is bound to.
func placeOf(namespace string, from resource) ([]byte, error) {
	text, err := json.Marshal([]string{"generatorstate", namespace, from.Kind, from.Through, from.Metadata["name"]})
	if err != nil {
		return nil, errs.New(errs.Internal, "encoding a GeneratorState")
	}
	return text, nil
}
