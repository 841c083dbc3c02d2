package cached

import (
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// write is what is known of a key while Applies that change it are under way.
// While it exists, nothing is kept for the key.
type write struct {
	running int
	epoch   uint64         // of the table when the first began
	best    store.Entry    // what the newest of those that ended wrote
	bestRev store.Revision // 0 = none ended well yet
	seen    store.Revision // newest revision the watch showed meanwhile
	spoiled bool           // one ended without saying whether it wrote
	asked   bool           // somebody read the key before: what is written will be read too
}

// begin takes the keys that changes write out of the table.
func (t *table) begin(changes []store.Change) {
	for i := range changes {
		if c := &changes[i]; c.Op != store.OpCheck {
			t.beginKey(c.Key)
		}
	}
}

func (t *table) beginKey(key string) {
	hash := t.hash(key)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writes[key]
	if w == nil {
		w = &write{epoch: t.epoch.Load()}
		s.writes[key] = w
	}
	w.running++
	s.stamp(hash).Add(1)
	if it := t.find(hash, key); it != nil {
		w.asked = true
		t.remove(s, it)
	}
}

// end follows every begin, with the outcome of Apply. keep says whether the
// table may be believed at all.
func (t *table) end(changes []store.Change, rev store.Revision, err error, keep bool) {
	unknown := err != nil && !unwritten(err)
	for i := range changes {
		c := &changes[i]
		switch {
		case c.Op != store.OpCheck:
			t.endKey(c, rev, unknown, keep)
		case errs.Is(err, errs.Conflict):
			// What was read is old and the watch has not said so yet: without
			// this the caller would read it again and conflict again.
			t.drop(c.Key, ^store.Revision(0))
		}
	}
}

// unwritten reports whether an error of Apply says that nothing was written.
func unwritten(err error) bool {
	switch errs.KindOf(err) {
	case errs.Conflict, errs.Invalid, errs.TooLarge:
		return true
	default:
		return false
	}
}

func (t *table) endKey(c *store.Change, rev store.Revision, unknown, keep bool) {
	hash := t.hash(c.Key)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writes[c.Key]
	w.running--
	w.spoiled = w.spoiled || unknown
	if rev > w.bestRev {
		w.bestRev, w.best = rev, store.Entry{Key: c.Key}
		if c.Op == store.OpPut {
			w.best.Value, w.best.Revision = c.Value, rev
		}
	}
	if w.running > 0 {
		return
	}
	delete(s.writes, c.Key)
	s.stamp(hash).Add(1)
	if keep && w.asked && !w.spoiled && w.bestRev > 0 && w.bestRev >= w.seen && w.epoch == t.epoch.Load() {
		t.insert(s, hash, w.best, w.bestRev)
	}
}
