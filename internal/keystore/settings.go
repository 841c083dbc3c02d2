package keystore

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Open opens the key that settings name: a JSON object whose only member is the
// kind of store, {"transit":{…}}. Kind Invalid if it is anything else.
func Open(kinds map[string]Opener, settings []byte) (Versioned, error) {
	known := strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")
	var named map[string]jsontext.Value
	if err := json.Unmarshal(settings, &named); err != nil {
		return nil, errs.Newf(errs.Invalid, "a key store is named by its kind, with its settings below it: kinds are %s", known)
	}
	if len(named) != 1 {
		return nil, errs.Newf(errs.Invalid, "%d key stores are named, not one: kinds are %s", len(named), known)
	}
	for kind, own := range named {
		open, ok := kinds[kind]
		if !ok {
			return nil, errs.Newf(errs.Invalid, "there is no kind of key store %q: kinds are %s", kind, known)
		}
		key, err := open(own)
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "key store %s: %w", kind, err)
		}
		return key, nil
	}
	return nil, nil // not reached: there is one
}

// Decode reads the settings of one kind into v, and refuses what v does not know.
func Decode(settings []byte, v any) error {
	if err := json.Unmarshal(settings, v, json.RejectUnknownMembers(true)); err != nil {
		return errs.Newf(errs.Invalid, "reading the settings: %w", err)
	}
	return nil
}
