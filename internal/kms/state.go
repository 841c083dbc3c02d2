package kms

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// idPrefix begins every key id; idSize is how much of a hash follows.
const (
	idPrefix = "sk1-"
	idSize   = 16
)

// keyIDs match what keyID returns.
var keyIDs = regexp.MustCompile(`^` + idPrefix + `[0-9a-f]{32}$`)

// keyID is the key id of a version: opaque, the same on every node, and never of
// another key, lineage or version. When a version was made is in it, so that a key
// that was deleted and made anew under its name has other key ids.
func keyID(plugin string, k keystore.Key, lineage string, v keystore.Version) string {
	h := sha256.New()
	h.Write([]byte("strongkeep kms key id v1\x00"))
	for _, part := range []string{plugin, k.Name(), k.KeyID(), lineage, v.ID} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write([]byte(part))
	}
	made := int64(0)
	if !v.Made.IsZero() {
		made = v.Made.Unix()
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(made)))
	return idPrefix + hex.EncodeToString(h.Sum(nil)[:idSize])
}

// aad binds a blob to all that its key id is made of.
func aad(id string) []byte { return append([]byte("strongkeep kms v1\x00"), id...) }

// version is one that the store has.
type version struct {
	keystore.Version
	keyID string
	aad   []byte    // of its key id; never changed
	seen  time.Time // when this process saw it first
}

// state is what is known of the key. It is immutable, and swapped whole.
type state struct {
	lineage  string
	versions []version // by age
	active   int       // the one that API servers write with
	began    time.Time // when the store told its versions first
	floor    string    // key id of the newest version that was opened with while none had worked; "": none
	looked   time.Time // when the active one was last tried with success; zero: never
	failed   error     // why contacts since have failed; nil: they have not
	lost     error     // what waiting does not mend: the active version is gone
}

// current is the version that API servers write with.
func (s *state) current() *version { return &s.versions[s.active] }

// told reports whether API servers have been told the active version's key id: until
// then another may become active, and nothing is encrypted.
func (s *state) told() bool { return !s.looked.IsZero() }

func (s *state) find(id string) *version {
	for i := range s.versions {
		if s.versions[i].ID == id {
			return &s.versions[i]
		}
	}
	return nil
}

// rules of when a version becomes active.
type rules struct {
	name  string
	key   keystore.Key
	delay time.Duration
	known string // a key id that the key must have at the start; "": any
}

// next is the state after the store said h at now. What was active stays so: whether
// another works is not known yet (Plugin.prove). old may be nil.
func (r rules) next(old *state, h keystore.History, now time.Time) *state {
	s := &state{lineage: h.Lineage, active: -1, began: now}
	for _, v := range h.Versions {
		id := keyID(r.name, r.key, h.Lineage, v)
		s.versions = append(s.versions, version{Version: v, keyID: id, aad: aad(id), seen: now})
	}
	if old == nil {
		for i := range s.versions {
			s.versions[i].seen = time.Time{} // who starts with it does not know for how long others have
		}
	} else {
		s.looked, s.failed, s.began, s.floor = old.looked, old.failed, old.began, old.floor
		for i := range s.versions {
			if before := old.index(s.versions[i].keyID); before >= 0 {
				s.versions[i].seen = old.versions[before].seen
			}
		}
		if old.told() {
			if s.active = s.index(old.current().keyID); s.active < 0 {
				return old.losing(s)
			}
		}
	}
	best := r.choose(s, now)
	s.lost = r.unusable(s, best)
	if s.active < 0 {
		s.active = best
	}
	if s.active < 0 {
		s.active = len(s.versions) - 1
	}
	return s
}

// unusable is why nothing may be encrypted with what the store said, of which best is
// chosen; nil if nothing speaks against it.
func (r rules) unusable(s *state, best int) error {
	switch {
	case r.known != "" && !s.told() && s.index(r.known) < 0:
		return errs.Newf(errs.Conflict, "the key store has another key under this name, or the version that known_key_id tells is gone: no version of this key has key id %s", r.known)
	case best < 0:
		return errs.New(errs.Conflict, "the key store lets no version of the key encrypt: lower its least version for encryption")
	}
	return nil
}

// losing is the state when the active version is gone. It stays, and what the store
// says is not believed, until it is back: nothing is written with an older version,
// or another key, than what was written with before. What the store has beside still
// decrypts.
func (s *state) losing(found *state) *state {
	lost := *s
	lost.versions = slices.Clone(s.versions)
	for _, v := range found.versions {
		if s.find(v.ID) == nil {
			lost.versions = append(lost.versions, v)
		}
	}
	if found.lineage != s.lineage {
		lost.lost = errs.New(errs.Conflict, "under the name of the key there is another key now: bring back the old one, or start the plugin anew with this one, which opens nothing of before")
	} else {
		lost.lost = errs.Newf(errs.Conflict, "version %q of the key was active, and the key store has it no more: it was rolled back, trimmed or made anew; bring the version back", s.current().ID)
	}
	return &lost
}

func (s *state) index(keyID string) int {
	for i := range s.versions {
		if s.versions[i].keyID == keyID {
			return i
		}
	}
	return -1
}

// choose returns the newest version that every node has had the time to see, or is seen
// to have turned to, and never an older one than is active, unless that one may no
// longer encrypt. -1: none.
func (r rules) choose(s *state, now time.Time) int {
	first := -1
	for i := len(s.versions) - 1; i >= max(s.active, 0); i-- {
		v := &s.versions[i]
		if !v.Wraps {
			continue
		}
		if i == s.active || s.floor != "" && v.keyID == s.floor || !now.Before(r.ripe(v)) {
			return i
		}
		first = i
	}
	return first // none has ripened: nobody can have used another than the oldest
}

// oldest is the index of the oldest version that may become active now in the place of
// one that does not work. Only who has told API servers nothing since the start goes
// back, as a node that was not started anew would not have left the older version; and
// only after patience, since the newer one may have been active before the start; and
// never behind a version that something was opened with.
func (r rules) oldest(s *state, now time.Time, patience time.Duration) int {
	if s.told() || now.Sub(s.began) < patience {
		return s.active
	}
	return min(max(s.index(s.floor), 0), s.active)
}

// ripe is when a version may become active: the delay after the store says that it
// came to be one, or, where it does not, after it was seen.
func (r rules) ripe(v *version) time.Time {
	from := v.Since
	if from.IsZero() {
		from = v.Made
	}
	if from.IsZero() {
		from = v.seen
	}
	if from.IsZero() {
		return from
	}
	return from.Add(r.delay)
}

// due is when the next version after a time becomes active, zero if none waits for
// that.
func (r rules) due(s *state, after time.Time) time.Time {
	var at time.Time
	for i := s.active + 1; i < len(s.versions); i++ {
		v := &s.versions[i]
		if ripe := r.ripe(v); v.Wraps && ripe.After(after) && (at.IsZero() || ripe.Before(at)) {
			at = ripe
		}
	}
	return at
}
