package pebble_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
)

// childDir is set in the environment of the process that is to be killed.
const childDir = "STRONGKEEP_TEST_PEBBLE_CHILD"

const (
	crashWriters = 8
	crashKeys    = 3 // keys that one transaction of a writer writes
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child writes until it is killed, and prints "writer counter revision" after
// each transaction that was acknowledged.
func child(dir string) error {
	s, err := pebble.Open(pebble.Config{Dir: dir, MemTableBytes: 256 << 10})
	if err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error)
	for w := range crashWriters {
		go func() {
			failed <- crashWriter(context.Background(), s, w, func(n uint64, rev store.Revision) {
				fmt.Printf("%d %d %d\n", w, n, rev)
			})
		}()
	}
	return <-failed
}

// crashWriter makes transactions of crashKeys keys, all with the same counter,
// which goes on from what is stored, and a log entry, until one fails.
func crashWriter(ctx context.Context, s store.Store, w int, acknowledged func(n uint64, rev store.Revision)) error {
	e, err := s.Get(ctx, crashKey(w, 0))
	if err != nil {
		return err
	}
	for n := counter(e) + 1; ; n++ {
		value := binary.BigEndian.AppendUint64(nil, n)
		value = append(value, strings.Repeat("x", int(n%700))...)
		changes := []store.Change{store.Put(fmt.Sprintf("log/%d/%08d", w, n), value)}
		for k := range crashKeys {
			changes = append(changes, store.Put(crashKey(w, k), value))
		}
		rev, err := s.Apply(ctx, changes...)
		if err != nil {
			return err
		}
		acknowledged(n, rev)
	}
}

func crashKey(w, k int) string { return fmt.Sprintf("w/%d/%d", w, k) }

func counter(e store.Entry) uint64 {
	if len(e.Value) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(e.Value)
}

// acked is what the writers were told.
type acked struct {
	mu   sync.Mutex
	last [crashWriters]uint64
	rev  store.Revision // newest
}

func (a *acked) note(w int, n uint64, rev store.Revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last[w] = max(a.last[w], n)
	a.rev = max(a.rev, rev)
}

// verify checks a store that was opened after a crash.
func (a *acked) verify(t *testing.T, s store.Store) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	now, err := s.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now < a.rev {
		t.Errorf("the revision went back from %d to %d", a.rev, now)
	}
	for w := range crashWriters {
		first, err := s.Get(t.Context(), crashKey(w, 0))
		if err != nil {
			t.Fatal(err)
		}
		n := counter(first)
		if n < a.last[w] {
			t.Errorf("writer %d was told that %d is stored, found %d", w, a.last[w], n)
		}
		for k := 1; k < crashKeys; k++ {
			e, err := s.Get(t.Context(), crashKey(w, k))
			if err != nil || counter(e) != n || e.Revision != first.Revision {
				t.Errorf("half a transaction: key 0 of writer %d holds %d (revision %d), key %d holds %d (revision %d), %v",
					w, n, first.Revision, k, counter(e), e.Revision, err)
			}
		}
		if first.Revision > now {
			t.Errorf("an entry of revision %d in a store at %d", first.Revision, now)
		}
		names, err := s.List(t.Context(), fmt.Sprintf("log/%d/", w), "", 0)
		if err != nil || uint64(len(names)) != n {
			t.Errorf("writer %d: %d of %d transactions are there (%v)", w, len(names), n, err)
		}
		a.last[w] = n
	}
	a.rev = now
}

// TestKill kills a writing process again and again: whatever was acknowledged
// must be there, nothing may be half there, revisions must not go back.
func TestKill(t *testing.T) {
	dir, told := t.TempDir()+"/store", &acked{}
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	random := rand.New(rand.NewPCG(7, 7))
	for round := range rounds {
		killOne(t, dir, told, 1+random.IntN(400))
		s := open(t, pebble.Config{Dir: dir})
		told.verify(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	t.Logf("%d kills, revision %d", rounds, told.rev)
}

// killOne runs a child until it has acknowledged lines transactions.
func killOne(t *testing.T, dir string, told *acked, lines int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := 0
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		var w int
		var n, rev uint64
		if line := scanner.Text(); line != "open" {
			if _, err := fmt.Sscan(line, &w, &n, &rev); err != nil {
				break // the last line can be cut by the kill
			}
			told.note(w, n, store.Revision(rev))
			read++
		}
		if read == lines {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if read < lines {
		t.Fatalf("the child ended by itself after %d of %d transactions", read, lines)
	}
}
