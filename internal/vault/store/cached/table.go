package cached

import (
	"bytes"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// table is a hash table whose readers take no lock: buckets are linked lists
// that writers change under the shard's lock, one pointer at a time. A reader
// that runs at the same moment may miss an entry, which costs a read of the
// store, but finds none that was removed before it began.
type table struct {
	seed   maphash.Seed
	mask   uint64        // buckets per shard - 1
	epoch  atomic.Uint64 // counts resets
	shards [shardCount]shard
}

const (
	shardCount = 16
	stampCount = 256 // stamps per shard
	itemCost   = 256 // bytes that an item costs besides key and value
)

type shard struct {
	buckets []atomic.Pointer[item]
	hits    atomic.Uint64
	misses  atomic.Uint64
	// stamps count what was dropped, by hash: a fill that finds another count
	// than before its read has read something that may be old.
	stamps [stampCount]atomic.Uint64

	mu     sync.Mutex // held by whoever changes what follows, and buckets
	clock  []*item    // every item, in the order the hand goes
	hand   int
	bytes  int
	limit  int
	writes map[string]*write // keys with a write under way
	_      [64]byte          // keeps the counters of two shards on different cache lines
}

// item is one kept entry. All but used, next and slot never change.
type item struct {
	hash  uint64
	entry store.Entry
	asOf  store.Revision // the entry is right for everything up to this revision
	size  int
	memo  store.Memo
	used  atomic.Bool // since the hand passed last
	next  atomic.Pointer[item]
	slot  int // in clock
}

func newTable(maxBytes int) *table {
	buckets := uint64(1)
	for buckets < uint64(maxBytes/shardCount/1024) {
		buckets *= 2
	}
	t := &table{seed: maphash.MakeSeed(), mask: buckets - 1}
	for i := range t.shards {
		t.shards[i].buckets = make([]atomic.Pointer[item], buckets)
		t.shards[i].limit = maxBytes / shardCount
		t.shards[i].writes = map[string]*write{}
	}
	return t
}

func (t *table) hash(key string) uint64 { return maphash.String(t.seed, key) }

// The top bits choose the shard, the low ones the bucket, those between the stamp.
func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>60] }

func (s *shard) stamp(hash uint64) *atomic.Uint64 { return &s.stamps[hash>>48%stampCount] }

func (t *table) bucket(s *shard, hash uint64) *atomic.Pointer[item] { return &s.buckets[hash&t.mask] }

// find returns the item of key, or nil. It takes no lock and allocates nothing.
func (t *table) find(hash uint64, key string) *item {
	s := t.shard(hash)
	for it := t.bucket(s, hash).Load(); it != nil; it = it.next.Load() {
		if it.hash == hash && it.entry.Key == key {
			if !it.used.Load() {
				it.used.Store(true)
			}
			return it
		}
	}
	return nil
}

// moment is what a fill notes before it reads the store.
type moment struct{ epoch, stamp uint64 }

func (t *table) now(hash uint64) moment {
	return moment{t.epoch.Load(), t.shard(hash).stamp(hash).Load()}
}

// fill keeps e, which was read from the store after m, unless something may
// have changed since or keep says that the table is not to be believed.
//
// Somebody is about to be shown e. So what is in the table must not be older,
// nor may another fill under way put something older there: whatever of e is
// not kept changes the stamp.
func (t *table) fill(hash uint64, e store.Entry, m moment, keep bool) {
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.writes[e.Key]; w != nil {
		w.asked, w.seen = true, max(w.seen, e.Revision)
		w.spoiled = w.spoiled || !e.Exists() // older or newer than what is written? no telling
		return
	}
	it, current := t.find(hash, e.Key), keep && t.now(hash) == m
	if it != nil {
		if same := it.entry.Revision == e.Revision; same || e.Exists() && it.asOf > e.Revision {
			return
		}
		t.remove(s, it)
	}
	if !current || !t.insert(s, hash, e, e.Revision) {
		s.stamp(hash).Add(1)
	}
}

// drop removes key if what is kept is older than rev, and spoils fills under way.
func (t *table) drop(key string, rev store.Revision) {
	hash := t.hash(key)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp(hash).Add(1) // also when nothing is kept: a fill may be under way
	if w := s.writes[key]; w != nil {
		w.seen = max(w.seen, rev)
	}
	if it := t.find(hash, key); it != nil && it.asOf < rev {
		t.remove(s, it)
	}
}

// reset forgets everything, and whatever is under way.
func (t *table) reset() {
	t.epoch.Add(1)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for b := range s.buckets {
			s.buckets[b].Store(nil)
		}
		s.clock, s.hand, s.bytes = nil, 0, 0
		s.mu.Unlock()
	}
}

// insert keeps e in s, whose lock is held and which has no item of that key.
// It reports false if e is too large to be kept.
func (t *table) insert(s *shard, hash uint64, e store.Entry, asOf store.Revision) bool {
	size := cost(e)
	if size > s.limit/4 {
		return false
	}
	it := &item{hash: hash, asOf: asOf, size: size, slot: len(s.clock)}
	e.Key, e.Value = strings.Clone(e.Key), tight(e.Value)
	it.entry = e.WithMemo(&it.memo)
	bucket := t.bucket(s, hash)
	it.next.Store(bucket.Load())
	bucket.Store(it)
	s.clock = append(s.clock, it)
	s.bytes += size
	for s.bytes > s.limit {
		t.evict(s)
	}
	return true
}

// cost counts a value twice: its decoded form is kept with it and is about as large.
func cost(e store.Entry) int { return itemCost + len(e.Key) + 2*len(e.Value) }

// tight returns value, copied if it holds on to a much larger buffer.
func tight(value []byte) []byte {
	if cap(value)-len(value) > 64+len(value)/4 {
		return bytes.Clone(value)
	}
	return value
}

// evict removes one item: the first that was not used since the hand passed it last.
func (t *table) evict(s *shard) {
	for {
		if s.hand >= len(s.clock) {
			s.hand = 0
		}
		it := s.clock[s.hand]
		if !it.used.Load() {
			t.remove(s, it)
			return
		}
		it.used.Store(false)
		s.hand++
	}
}

// remove takes it out of s, whose lock is held.
func (t *table) remove(s *shard, it *item) {
	s.stamp(it.hash).Add(1)
	link := t.bucket(s, it.hash)
	for link.Load() != it {
		link = &link.Load().next
	}
	link.Store(it.next.Load())
	last := len(s.clock) - 1
	moved := s.clock[last]
	s.clock[it.slot], moved.slot = moved, it.slot
	s.clock[last] = nil
	s.clock = s.clock[:last]
	s.bytes -= it.size
}
