package provider

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Finder is a Store that can search. A Store without it cannot answer
// dataFrom.find, which is then refused by name.
type Finder interface {
	// Find returns every secret that matches q, in the order of the keys. All
	// pages are read; a search that the store cut short is an error. No match is
	// no error.
	Find(ctx context.Context, q Query) ([]Found, error)
}

// Query says which secrets are searched for. A secret must match all that is
// given. It is comparable, as Request is.
type Query struct {
	Path string // a prefix or folder, as the store understands it
	Name string // a regular expression of package regexp, anywhere in the key
	Tags Tags
	For  string `json:"-"` // as in Request
}

// Found is one match.
type Found struct {
	Key string // what Read takes
	// Value is nil when the search did not bring it; then Read does.
	Value *Value
}

// Tags are pairs of name and value that a secret must have, as text that can be
// compared. The zero Tags are none.
type Tags string

// TagsOf returns tags for m.
func TagsOf(m map[string]string) Tags {
	if len(m) == 0 {
		return ""
	}
	raw, err := json.Marshal(m) // keys come sorted
	if err != nil {
		return "" // strings always encode
	}
	return Tags(raw)
}

// Map returns the pairs.
func (t Tags) Map() map[string]string {
	var m map[string]string
	if json.Unmarshal([]byte(t), &m) != nil {
		return nil
	}
	return m
}

// In reports whether have holds every pair of t.
func (t Tags) In(have map[string]string) bool {
	for name, value := range t.Map() {
		if got, ok := have[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// maxExpression bounds what a person may have compiled, in bytes.
const maxExpression = 4096

// Matcher returns what tells whether a key matches q.Name. The expressions are
// those of package regexp, whose time is linear in the key.
func (q Query) Matcher() (func(key string) bool, error) {
	if q.Name == "" {
		return func(string) bool { return true }, nil
	}
	if len(q.Name) > maxExpression {
		return nil, errs.Newf(errs.Invalid, "find.name.regexp has %d bytes: at most %d are allowed", len(q.Name), maxExpression)
	}
	re, err := regexp.Compile(q.Name)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "find.name.regexp %q: %w", q.Name, err)
	}
	return re.MatchString, nil
}
