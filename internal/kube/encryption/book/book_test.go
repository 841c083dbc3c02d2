package book_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/book"
)

func key(t testing.TB, path string) *book.Key {
	t.Helper()
	if _, err := book.GenerateKey(path); err != nil && !errs.Is(err, errs.Exist) {
		t.Fatal(err)
	}
	k, err := book.ReadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	k.Name, k.By = "encryption/c1", "node-1"
	return k
}

func folder(t testing.TB) *book.Book {
	t.Helper()
	dir := t.TempDir()
	return &book.Book{Dir: filepath.Join(dir, "reports"), Signer: key(t, filepath.Join(dir, "key"))}
}

func add(t testing.TB, b *book.Book, statement string) (attest.Verified, error) {
	t.Helper()
	last, err := b.Last(t.Context())
	if err != nil {
		return attest.Verified{}, err
	}
	v, _, err := b.Add(t.Context(), last, []byte(statement))
	return v, err
}

// verify reads all files of a folder and verifies their chain.
func verify(t testing.TB, b *book.Book) []attest.Verified {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.Dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.TrimSuffix(raw, []byte("\n")))
	}
	keys, err := b.Signer.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chain, err := attest.VerifyChain(keys, all)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func TestChain(t *testing.T) {
	b := folder(t)
	for i := range 12 {
		v, err := add(t, b, fmt.Sprintf(`{"n":%d}`, i))
		if err != nil || v.Seq != int64(i+1) {
			t.Fatalf("%d: %+v, %v", i, v, err)
		}
	}
	chain := verify(t, b)
	if len(chain) != 12 || chain[0].Log == "" || chain[11].Log != chain[0].Log || string(chain[11].Statement) != `{"n":11}` {
		t.Errorf("%+v", chain)
	}
}

// The clock of a machine that goes back does not end the chain.
func TestClockBack(t *testing.T) {
	b := folder(t)
	k, ok := b.Signer.(*book.Key)
	if !ok {
		t.Fatal("no key")
	}
	now := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	k.Now = func() time.Time { return now }
	for range 3 {
		if _, err := add(t, b, `{}`); err != nil {
			t.Fatal(err)
		}
		now = now.AddDate(-5, 0, 0)
	}
	if chain := verify(t, b); len(chain) != 3 || !chain[2].Time.Before(chain[1].Time) {
		t.Errorf("%+v", chain)
	}
}

// Of several runs at once each report is in the chain once, or its run says that it is not.
func TestManyAtOnce(t *testing.T) {
	b := folder(t)
	var wait sync.WaitGroup
	good := make(chan int64, 20)
	for i := range 20 {
		wait.Go(func() {
			v, err := add(t, b, fmt.Sprintf(`{"n":%d}`, i))
			switch {
			case err == nil:
				good <- v.Seq
			case errs.KindOf(err) != errs.Conflict && errs.KindOf(err) != errs.Unavailable:
				t.Errorf("%v", err)
			}
		})
	}
	wait.Wait()
	if chain := verify(t, b); len(chain) != len(good) || len(good) == 0 {
		t.Errorf("%d reports of %d runs that went well", len(chain), len(good))
	}
}

// What is not as it was signed is not continued.
func TestNotContinued(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"changed": {func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)/2] ^= 1
			write(t, path, raw)
		}, "not one that this key signed"},
		"cut":     {func(t *testing.T, path string) { write(t, path, nil) }, "not one that this key signed"},
		"renamed": {func(t *testing.T, path string) { rename(t, path, "report-000009.json") }, "has number 2"},
		"another's": {func(t *testing.T, path string) {
			other := folder(t)
			for range 2 {
				if _, err := add(t, other, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			raw, err := os.ReadFile(filepath.Join(other.Dir, "report-000002.json"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, raw)
		}, "not one that this key signed"},
	} {
		b := folder(t)
		for range 2 {
			if _, err := add(t, b, `{}`); err != nil {
				t.Fatal(err)
			}
		}
		c.spoil(t, filepath.Join(b.Dir, "report-000002.json"))
		if _, err := add(t, b, `{}`); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Reports of two clusters are not mixed.
func TestOtherCluster(t *testing.T) {
	b := folder(t)
	if _, err := add(t, b, `{}`); err != nil {
		t.Fatal(err)
	}
	if k, ok := b.Signer.(*book.Key); ok {
		k.Name = "encryption/c2"
	}
	if _, err := add(t, b, `{}`); !errs.Is(err, errs.Conflict) {
		t.Errorf("%v", err)
	}
}

// Without room, or rights, nothing is there, and with them the chain goes on.
func TestNoRoom(t *testing.T) {
	b := folder(t)
	if _, err := add(t, b, `{}`); err != nil {
		t.Fatal(err)
	}
	dir := b.Dir
	b.Dir = "/dev/full/reports"
	if _, err := add(t, b, `{}`); err == nil {
		t.Error("a report is written where nothing can be")
	}
	b.Dir = dir
	if v, err := add(t, b, `{}`); err != nil || v.Seq != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	verify(t, b)
}

// The variables of a child that adds reports until it is killed, or has no room.
const childDir, childKey = "STRONGKEEP_BOOK_DIR", "STRONGKEEP_BOOK_KEY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, write1000(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func write1000(dir string) error {
	k, err := book.ReadKey(os.Getenv(childKey))
	if err != nil {
		return err
	}
	k.Name = "encryption/c1"
	b := &book.Book{Dir: dir, Signer: k}
	ctx := context.Background()
	for range 1000 {
		last, err := b.Last(ctx)
		if err != nil {
			return err
		}
		if _, _, err := b.Add(ctx, last, []byte(`{"pad":"`+strings.Repeat("x", 100<<10)+`"}`)); err != nil {
			return err
		}
		fmt.Println("added")
	}
	return errors.New("all are written")
}

// Killed between any two acts of writing and chaining, the chain is whole, and goes on.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	b := &book.Book{Dir: filepath.Join(dir, "reports"), Signer: key(t, filepath.Join(dir, "key"))}
	for round := range 8 {
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Env = append(os.Environ(), childDir+"="+b.Dir, childKey+"="+filepath.Join(dir, "key"))
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// It goes on while it is killed: at another moment each round.
		if _, err := out.Read(make([]byte, 1+round)); err != nil {
			t.Error(err)
		}
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = c.Wait()
		before := len(verify(t, b))
		if v, err := add(t, b, `{}`); err != nil || v.Seq != int64(before+1) {
			t.Fatalf("round %d: %+v behind %d, %v", round, v, before, err)
		}
	}
}

// A disk that is full amid a report leaves none of it.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	b := &book.Book{Dir: filepath.Join(dir, "reports"), Signer: key(t, filepath.Join(dir, "key"))}
	if _, err := add(t, b, `{}`); err != nil {
		t.Fatal(err)
	}
	// A file may have 64 KiB, and the report has more.
	c := exec.CommandContext(t.Context(), "/bin/bash", "-c", "ulimit -f 64; exec "+os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+b.Dir, childKey+"="+filepath.Join(dir, "key"))
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "writing report 2") {
		t.Fatalf("%v: %s", err, out)
	}
	if chain := verify(t, b); len(chain) != 1 {
		t.Errorf("%d reports", len(chain))
	}
	left, err := os.ReadDir(b.Dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if v, err := add(t, b, `{}`); err != nil || v.Seq != 2 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	public, err := book.GenerateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.ParseKeys([]byte(public)); err != nil {
		t.Error(err)
	}
	if _, err := book.GenerateKey(path); !errs.Is(err, errs.Exist) {
		t.Errorf("a key is replaced: %v", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	write(t, open, raw)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(dir, "junk")
	write(t, junk, []byte("canary-19ab"))
	for path, kind := range map[string]errs.Kind{open: errs.Denied, junk: errs.Invalid, dir: errs.Denied, filepath.Join(dir, "none"): errs.NotExist} {
		if _, err := book.ReadKey(path); errs.KindOf(err) != kind || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, path, name string) {
	t.Helper()
	if err := os.Rename(path, filepath.Join(filepath.Dir(path), name)); err != nil {
		t.Fatal(err)
	}
}

// restored signs behind another report than the last one, as a vault does that was restored
// from a backup and has signed since.
type restored struct{ *book.Key }

func (r restored) Sign(ctx context.Context, last *attest.Verified, statement []byte) ([]byte, error) {
	other := *last
	other.Digest = "sha256:00"
	return r.Key.Sign(ctx, &other, statement)
}

// What does not continue the newest report here is not put behind it.
func TestRestored(t *testing.T) {
	b := folder(t)
	for range 2 {
		if _, err := add(t, b, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	if k, ok := b.Signer.(*book.Key); ok {
		b.Signer = restored{k}
	}
	if _, err := add(t, b, `{}`); !errs.Is(err, errs.Conflict) {
		t.Errorf("%v", err)
	}
	if n := len(verify(t, b)); n != 2 {
		t.Errorf("%d reports", n)
	}
}
