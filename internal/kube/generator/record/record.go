package record

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Annotation holds the Record of a Secret that one ExternalSecret writes; of one
// that several merge into each has its own, Prefix and a name.
const (
	Annotation = "strongkeep.io/generated"
	Prefix     = "generated.strongkeep.io/"
)

// maxText bounds the annotation; all of an object's may have 256 KiB.
const maxText = 64 << 10

// Record is the annotation's value, as JSON: one entry for each use of a generator.
type Record []Entry

// Entry is one set of credentials.
type Entry struct {
	// Of tells the uses of generators of one ExternalSecret apart, and changes with
	// what the use says. Spec changes with the generator's spec. Both are MACs.
	Of   string `json:"of"`
	Spec string `json:"spec"`
	// Object is the generator as it was: "UID/GENERATION".
	Object string `json:"object"`
	// Asked is the MAC of the annotations by which new credentials are asked for.
	Asked string `json:"asked,omitempty"`
	// State is the GeneratorState; empty where there is nothing to be taken back.
	State string `json:"state,omitempty"`
	// Made and Expires are in seconds since 1970; Expires is 0 for never, or when
	// the state knows better.
	Made    int64 `json:"made"`
	Expires int64 `json:"expires,omitempty"`
	// Keys are those of the Secret, each with the MAC of its value.
	Keys map[string]string `json:"keys,omitempty"`
}

// Format returns the annotation's value, "" for nothing. Equal records give equal
// texts. TooLarge is one that has no place.
func (r Record) Format() (string, error) {
	if len(r) == 0 {
		return "", nil
	}
	text, err := json.Marshal(r) // sorts keys
	if err != nil {
		return "", errs.New(errs.Internal, "encoding what was generated")
	}
	if len(text) > maxText {
		return "", errs.New(errs.TooLarge, "generators make more keys than a Secret can account for: use fewer")
	}
	return string(text), nil
}

// Parse reads an annotation. What is no Record is an empty one.
func Parse(text string) Record {
	var r Record
	if text == "" || json.Unmarshal([]byte(text), &r) != nil {
		return nil
	}
	return r
}

// Find returns the entry of a use; false when there is none.
func (r Record) Find(of string) (Entry, bool) {
	for _, e := range r {
		if e.Of == of {
			return e, true
		}
	}
	return Entry{}, false
}

// Names reports whether the Secret with these annotations names a state.
func Names(annotations map[string]string, state string) bool {
	for key, text := range annotations {
		if Ours(key) && slices.ContainsFunc(Parse(text), func(e Entry) bool { return e.State == state }) {
			return true
		}
	}
	return false
}

// Ours reports whether key is an annotation of this package.
func Ours(key string) bool { return key == Annotation || strings.HasPrefix(key, Prefix) }

// Term is how long a credential lives, and when another must be made.
type Term struct {
	Since     time.Time // when it was made, or renewed last
	Expires   time.Time // zero: never
	Renewable bool
}

// Due returns when another credential must be made because this one ends, the zero
// time for never: at two thirds of its life, or where it is renewed at five sixths,
// so that renewing can fail for a while.
func (t Term) Due() time.Time {
	if t.Expires.IsZero() {
		return time.Time{}
	}
	life := t.Expires.Sub(t.Since)
	if t.Renewable {
		return t.Since.Add(life * 5 / 6)
	}
	return t.Since.Add(life * 2 / 3)
}

// Renew returns when the credential is to be renewed, the zero time for never.
func (t Term) Renew() time.Time {
	if t.Expires.IsZero() || !t.Renewable {
		return time.Time{}
	}
	return t.Since.Add(t.Expires.Sub(t.Since) * 2 / 3)
}

// Skew is by how much the clock of who wrote a Term may be ahead.
const Skew = time.Minute

// Ahead reports whether t began, by what it says, when it cannot have: after now.
func (t Term) Ahead(now time.Time) bool { return t.Since.After(now.Add(Skew)) }

// From returns t as if it had begun at since.
func (t Term) From(since time.Time) Term {
	if !t.Expires.IsZero() {
		t.Expires = since.Add(t.Expires.Sub(t.Since))
	}
	t.Since = since
	return t
}
