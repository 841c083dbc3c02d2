package pebble_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
)

// breaker makes chosen operations of a file system fail while it is on.
type breaker struct {
	on    atomic.Bool
	hits  atomic.Int64
	kinds map[errorfs.OpKind]bool // nil = all that write
	err   error
}

func (b *breaker) MaybeError(op errorfs.Op) error {
	if !b.on.Load() {
		return nil
	}
	if b.kinds == nil && op.Kind.ReadOrWrite() == errorfs.OpIsRead || b.kinds != nil && !b.kinds[op.Kind] {
		return nil
	}
	b.hits.Add(1)
	return b.err
}

func (b *breaker) String() string { return "breaker" }

// faulty is errorfs.Wrap, which does not see what is written to reused files.
func faulty(inner vfs.FS, inj errorfs.Injector) vfs.FS {
	return &faultyFS{FS: errorfs.Wrap(inner, inj), inj: inj}
}

type faultyFS struct {
	*errorfs.FS
	inj errorfs.Injector
}

func (f *faultyFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	if err != nil {
		return nil, err
	}
	return errorfs.WrapFile(file, f.inj), nil
}

func only(kinds ...errorfs.OpKind) map[errorfs.OpKind]bool {
	set := map[errorfs.OpKind]bool{}
	for _, k := range kinds {
		set[k] = true
	}
	return set
}

// quick is how often the tests let a refused write be tried again.
const quick = time.Millisecond

// write applies one large change, so that few of them fill a memtable.
func write(ctx context.Context, s store.Store, i int) error {
	_, err := s.Apply(ctx, store.Put(fmt.Sprintf("f/%d", i), []byte(strings.Repeat("v", 8000))), store.Put("last", fmt.Append(nil, i)))
	return err
}

// TestDiskRefuses turns refusals on under load and off again: Apply must say
// Unavailable and what to do, reads must go on, the store must recover by
// itself, and nothing may be lost or half there.
func TestDiskRefuses(t *testing.T) {
	for name, b := range map[string]*breaker{
		"full":                    {err: syscall.ENOSPC, kinds: only(errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename)},
		"full for writes":         {err: syscall.ENOSPC, kinds: only(errorfs.OpFileWrite)},
		"full for new files":      {err: syscall.ENOSPC, kinds: only(errorfs.OpCreate)},
		"full for reused files":   {err: syscall.EDQUOT, kinds: only(errorfs.OpReuseForWrite)},
		"broken for writes":       {err: syscall.EIO, kinds: only(errorfs.OpFileWrite)},
		"read-only":               {err: syscall.EROFS, kinds: only(errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename)},
		"too many files are open": {err: syscall.EMFILE, kinds: only(errorfs.OpCreate, errorfs.OpReuseForWrite)},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			s := open(t, pebble.Config{Dir: "/store", FS: faulty(mem, b), Retry: quick, MemTableBytes: 256 << 10})
			last := 0
			for round := range 3 {
				for range 20 {
					last++
					if err := write(t.Context(), s, last); err != nil {
						t.Fatal(err)
					}
				}
				refuseUntilNoticed(t, s, b, &last)
				if e, err := s.Get(t.Context(), fmt.Sprintf("f/%d", last)); err != nil || !e.Exists() {
					t.Errorf("round %d: reading what was acknowledged: %v", round, err)
				}
				if s.Err() == nil {
					t.Error("Err is nil while the disk refuses writes")
				}
				b.on.Store(false)
				recovers(t, s)
			}
			holds(t, s, last)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			holds(t, open(t, pebble.Config{Dir: "/store", FS: mem.CrashClone(vfs.CrashCloneCfg{})}), last)
		})
	}
}

// refuseUntilNoticed breaks the disk and writes until Apply notices. last is
// set to the last write that was acknowledged; later numbers are not used again.
func refuseUntilNoticed(t *testing.T, s store.Store, b *breaker, last *int) {
	t.Helper()
	before := b.hits.Load()
	b.on.Store(true)
	for i := *last + 1; ; i++ {
		err := write(t.Context(), s, i)
		if err == nil {
			*last = i
			continue
		}
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), b.err.Error()) || !strings.Contains(err.Error(), "free space or repair") {
			t.Fatalf("Apply on a broken disk: %v", err)
		}
		if b.hits.Load() == before {
			t.Fatal("Apply failed before the disk did")
		}
		return
	}
}

// recovers waits until the store takes writes again.
func recovers(t *testing.T, s *pebble.Store) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := s.Apply(t.Context(), store.Put("again", nil))
		if err == nil {
			return
		}
		if !errs.Is(err, errs.Unavailable) || time.Now().After(deadline) {
			t.Fatalf("the store did not recover: %v", err)
		}
		<-time.After(quick)
	}
}

// holds checks that every write up to last is there.
func holds(t *testing.T, s store.Store, last int) {
	t.Helper()
	for i := 1; i <= last; i++ {
		e, err := s.Get(t.Context(), fmt.Sprintf("f/%d", i))
		if err != nil || len(e.Value) != 8000 {
			t.Fatalf("write %d of %d: %d bytes, %v", i, last, len(e.Value), err)
		}
	}
}

// TestSyncFails: the data behind a failed fsync may be gone, so the store must
// not take writes any more, but keep what it acknowledged.
func TestSyncFails(t *testing.T) {
	for name, kinds := range map[string]map[errorfs.OpKind]bool{
		"all": only(errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo),
		"all writes and syncs, as of a disk that is pulled out": nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := &breaker{err: syscall.EIO, kinds: kinds}
			mem := vfs.NewCrashableMem()
			s := open(t, pebble.Config{Dir: "/store", FS: faulty(mem, b), Retry: quick, MemTableBytes: 256 << 10})
			const last = 100
			for i := 1; i <= last; i++ {
				if err := write(t.Context(), s, i); err != nil {
					t.Fatal(err)
				}
			}
			b.on.Store(true)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					if err := write(t.Context(), s, last+1+i); !errs.Is(err, errs.Unavailable) {
						t.Errorf("Apply: %v", err)
					}
				})
			}
			wg.Wait()
			holds(t, s, last)
			if kinds != nil {
				b.on.Store(false) // too late
				for err := s.Err(); !strings.Contains(err.Error(), "restart strongkeep"); err = s.Err() {
					<-time.After(quick)
				}
				if err := write(t.Context(), s, last+20); !errs.Is(err, errs.Unavailable) {
					t.Errorf("Apply after a lost write: %v", err)
				}
			}
			if err := s.Close(); !errs.Is(err, errs.Unavailable) {
				t.Errorf("Close of a store that lost a write: %v", err)
			}
			if _, err := s.Get(t.Context(), "f/1"); !errs.Is(err, errs.Unavailable) {
				t.Errorf("Get after Close: %v", err)
			}
			after := open(t, pebble.Config{Dir: "/store", FS: mem.CrashClone(vfs.CrashCloneCfg{})})
			holds(t, after, last)
			if err := write(t.Context(), after, last+1); err != nil {
				t.Errorf("writing after the restart: %v", err)
			}
		})
	}
}

// TestCloseOfAFullDisk must end though the disk never takes another byte.
func TestCloseOfAFullDisk(t *testing.T) {
	b := &breaker{err: syscall.ENOSPC}
	mem := vfs.NewCrashableMem()
	s := open(t, pebble.Config{Dir: "/store", FS: faulty(mem, b), Retry: time.Hour, MemTableBytes: 256 << 10})
	last := 0
	for range 10 {
		last++
		if err := write(t.Context(), s, last); err != nil {
			t.Fatal(err)
		}
	}
	b.kinds = only(errorfs.OpFileWrite, errorfs.OpCreate)
	refuseUntilNoticed(t, s, b, &last)
	if err := s.Close(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Close: %v", err)
	}
	b.on.Store(false)
	holds(t, open(t, pebble.Config{Dir: "/store", FS: mem}), last)
}

// A caller who gives up while the disk is refusing must not find his write
// made afterwards, unless it was under way already.
func TestAbandonedWritesAreNotMade(t *testing.T) {
	b := &breaker{err: syscall.ENOSPC, kinds: only(errorfs.OpFileWrite)}
	s := open(t, pebble.Config{Dir: "/store", FS: faulty(vfs.NewCrashableMem(), b), Retry: quick})
	b.on.Store(true)
	if err := write(t.Context(), s, 1); !errs.Is(err, errs.Unavailable) { // this one is under way
		t.Fatal(err)
	}
	for i := 2; i < 20; i++ {
		if err := write(t.Context(), s, i); !errs.Is(err, errs.Unavailable) {
			t.Fatal(err)
		}
	}
	b.on.Store(false)
	recovers(t, s)
	for i := 2; i < 20; i++ {
		if e, err := s.Get(t.Context(), fmt.Sprintf("f/%d", i)); err != nil || e.Exists() {
			t.Errorf("a write that was refused was made (%v)", err)
		}
	}
}

// TestOpenOnABrokenDisk fails at every operation in turn: Open must say so,
// never panic, and leave a directory that can be opened later.
func TestOpenOnABrokenDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, pebble.Config{Dir: "/store", FS: mem, MemTableBytes: 256 << 10})
	const last = 50
	for i := 1; i <= last; i++ {
		if err := write(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	random := rand.New(rand.NewPCG(5, 5))
	failures := 0
	for n := int32(0); n < 60; n++ {
		fs := crashed.CrashClone(vfs.CrashCloneCfg{})
		broken := faulty(fs, nthWrite(n, syscall.ENOSPC))
		s, err := pebble.Open(pebble.Config{Dir: "/store", FS: broken, Retry: quick})
		if err == nil {
			_ = s.Close()
			continue
		}
		failures++
		if errs.Is(err, errs.Internal) {
			t.Errorf("operation %d: %v: a full disk is not a damaged store", n, err)
		}
		left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: random})
		again := open(t, pebble.Config{Dir: "/store", FS: left})
		holds(t, again, last)
		_ = again.Close()
	}
	if failures < 10 {
		t.Errorf("%d of 60 opens failed: this test shows little", failures)
	}
}

// nthWrite fails the nth writing operation and all that follow.
func nthWrite(n int32, err error) errorfs.Injector {
	var seen atomic.Int32
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && seen.Add(1) > n {
			return err
		}
		return nil
	})
}

// A caller whose context ends need not wait for a slow disk.
func TestContextEndsWhileTheDiskIsSlow(t *testing.T) {
	hold := make(chan struct{})
	var slow atomic.Bool
	syncing := make(chan struct{}, 100)
	fs := faulty(vfs.NewCrashableMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if slow.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			syncing <- struct{}{}
			<-hold
		}
		return nil
	}))
	s := open(t, pebble.Config{Dir: "/store", FS: fs})
	if err := write(t.Context(), s, 1); err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	slow.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- write(ctx, s, 2) }()
	<-syncing
	// The transaction is in pebble and not durable: nobody may see it.
	if e, err := s.Get(t.Context(), "f/2"); err != nil || e.Exists() {
		t.Errorf("Get shows what is not durable: %v, %v", e.Exists(), err)
	}
	if names, err := s.List(t.Context(), "f/", "", 0); err != nil || len(names) != 1 {
		t.Errorf("List shows what is not durable: %q, %v", names, err)
	}
	if len(w.Events()) != 0 {
		t.Error("a watch shows what is not durable")
	}
	cancel()
	if err := <-answer; !errs.Is(err, errs.Unavailable) {
		t.Errorf("Apply: %v", err)
	}
	slow.Store(false)
	close(hold)
	if e := <-w.Events(); len(e.Changes) != 2 {
		t.Errorf("event %+v", e)
	}
	if e, err := s.Get(t.Context(), "f/2"); err != nil || !e.Exists() {
		t.Errorf("after the sync: %v, %v", e.Exists(), err)
	}
}
