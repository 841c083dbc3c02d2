package pebble

import "github.com/strongkeep/strongkeep/internal/vault/store"

// recentKeys is how many keys a generation of recent takes before the next
// commit begins a new one.
const recentKeys = 4096

// recent remembers the revisions of keys that were written or checked of late,
// deleted and absent ones with 0. Only the committer changes the database, so
// what it remembers is what a look would find; a transaction that writes what
// it has read, as most do, is checked without one.
//
// It has two generations. What is not asked for while one fills is forgotten.
type recent struct{ young, old map[string]store.Revision }

// forget empties it: what the database holds is not known any more.
func (r *recent) forget() {
	clear(r.young)
	clear(r.old)
}

// age begins a new generation when the young one is full. It is called between
// commits: all that a commit writes is remembered until its end.
func (r *recent) age() {
	if len(r.young) < recentKeys && r.young != nil {
		return
	}
	r.young, r.old = make(map[string]store.Revision, recentKeys/4), r.young
}

func (r *recent) put(key string, rev store.Revision) { r.young[key] = rev }

func (r *recent) get(key string) (store.Revision, bool) {
	if rev, ok := r.young[key]; ok {
		return rev, true
	}
	rev, ok := r.old[key]
	if ok {
		r.young[key] = rev
	}
	return rev, ok
}
