package state

import (
	"crypto/hmac"
	"encoding/json"
)

// Seal returns a keyed digest of a text, with a key that only operators have. nil gives
// none, and vouches for nothing.
//
// Whoever may write GeneratorStates in a namespace could say that a credential was made
// through a ClusterGenerator, which may use the operator's own identity, and at which
// server; or have a credential taken back that is another's.
type Seal func(text []byte) string

// of returns the digest of what a credential was made by, in which namespace, and what is
// known of it; "" where there is none.
func (s Seal) of(namespace string, from resource, known json.RawMessage) string {
	if s == nil {
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
	return s(text)
}

// vouches reports whether an operator wrote this of a state.
func (s Seal) vouches(namespace string, from resource, e envelope) bool {
	want := s.of(namespace, from, e.Known)
	return want != "" && hmac.Equal([]byte(want), []byte(e.Seal))
}
