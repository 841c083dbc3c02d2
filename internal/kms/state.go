package kms

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// idPrefix begins every key id; idSize is how much of a hash follows.
const (
	idPrefix = "sk1-"
	idSize   = 16
)

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
	seen  time.Time // when this process saw it first
}

// state is what is known of the key. It is immutable, and swapped whole.
type state struct {
	lineage  string
	versions []version // by age
	active   int       // the one that API servers write with
	looked   time.Time // the last good contact
	failed   error     // why contacts since have failed; nil: they have not
	lost     error     // what waiting does not mend: the active version is gone
}

// current is the version that API servers write with.
func (s *state) current() *version { return &s.versions[s.active] }

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
}

// next is the state after the store said h at now. old may be nil.
func (r rules) next(old *state, h keystore.History, now time.Time) *state {
	s := &state{lineage: h.Lineage, looked: now, active: -1}
	for _, v := range h.Versions {
		seen := version{Version: v, keyID: keyID(r.name, r.key, h.Lineage, v), seen: now}
		if old == nil {
			seen.seen = time.Time{} // who starts with it does not know for how long others have
		} else if before := old.find(v.ID); before != nil {
			seen.seen = before.seen
		}
		s.versions = append(s.versions, seen)
	}
	if old != nil {
		if s.active = s.index(old.current().keyID); s.active < 0 {
			return old.losing(h)
		}
	}
	if s.active = r.choose(s, now); s.active < 0 {
		s.active = len(s.versions) - 1
		s.lost = errs.New(errs.Conflict, "the key store lets no version of the key encrypt: lower its least version for encryption")
	}
	return s
}

// losing is the state when the active version is gone. It stays, and what the store
// says is not believed, until it is back: nothing is written with an older version,
// or another key, than what was written with before.
func (s *state) losing(h keystore.History) *state {
	lost := *s
	if h.Lineage != s.lineage {
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

// choose returns the newest version that every node has had the time to see, and
// never an older one than is active, unless that one may no longer encrypt. -1: none.
func (r rules) choose(s *state, now time.Time) int {
	first := -1
	for i := len(s.versions) - 1; i >= max(s.active, 0); i-- {
		v := &s.versions[i]
		if !v.Wraps {
			continue
		}
		if i == s.active || !now.Before(r.ripe(v)) {
			return i
		}
		first = i
	}
	return first // none has ripened: nobody can have used another than the oldest
}

// ripe is when a version may become active: the delay after the store says that it
// was made, or, where it does not, after it was seen.
func (r rules) ripe(v *version) time.Time {
	from := v.Made
	if from.IsZero() {
		from = v.seen
	}
	if from.IsZero() {
		return from
	}
	return from.Add(r.delay)
}

// due is when the next version becomes active, zero if none waits.
func (r rules) due(s *state) time.Time {
	var at time.Time
	for i := s.active + 1; i < len(s.versions); i++ {
		if v := &s.versions[i]; v.Wraps && (at.IsZero() || r.ripe(v).Before(at)) {
			at = r.ripe(v)
		}
	}
	return at
}
