package verify_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/chain"
	"github.com/strongkeep/strongkeep/internal/vault/audit/file"
	"github.com/strongkeep/strongkeep/internal/vault/audit/verify"
)

// keeper writes an audit log as a server does.
type keeper struct {
	t    testing.TB
	dir  string
	path string
	key  byte
	now  time.Time
	*audit.Broker
	n int
}

func newKeeper(t testing.TB) *keeper {
	k := &keeper{t: t, dir: t.TempDir(), key: 7, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	k.path = filepath.Join(k.dir, "a.log")
	t.Cleanup(k.stop)
	return k
}

func (k *keeper) start() *keeper {
	k.t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	k.Broker = audit.NewBroker(audit.Config{Log: log, Types: map[string]audit.Factory{
		"file": file.New(file.Config{Dir: k.dir, Log: log, Now: func() time.Time { return k.now }}),
	}})
	err := k.Restore(audit.Spec{Path: "file", Type: "file", Options: map[string]string{"file_path": "a.log", "prefix": "@cee: "}, Key: redact.New(bytes.Repeat([]byte{k.key}, audit.KeySize))})
	if err != nil {
		k.t.Fatal(err)
	}
	return k
}

func (k *keeper) stop() {
	if k.Broker != nil {
		if err := k.Close(); err != nil {
			k.t.Error(err)
		}
		k.Broker = nil
	}
}

// lines writes n lines, with a checkpoint after each tenth.
func (k *keeper) lines(n int) {
	k.t.Helper()
	for range n {
		k.n++
		if k.n%10 == 0 {
			k.now = k.now.Add(chain.Every)
		}
		e := &audit.Entry{Type: audit.TypeRequest, Time: k.now, Request: &audit.Request{ID: fmt.Sprint(k.n), Operation: "read", Path: "secret/data/x"}}
		if err := k.Append(e, audit.Ticket{}).Wait(context.Background()); err != nil {
			k.t.Fatal(err)
		}
	}
}

func (k *keeper) proof() audit.Proof {
	k.t.Helper()
	p, err := k.Proof("file")
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

func (k *keeper) read() []string {
	k.t.Helper()
	raw, err := os.ReadFile(k.path)
	if err != nil {
		k.t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")
}

func check(t testing.TB, cfg verify.Config, lines []string) *verify.Report {
	t.Helper()
	r, err := verify.Reader(cfg, "a.log", strings.NewReader(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func isCheckpoint(line string) bool { return chain.IsCheckpoint([]byte(line)) }

// at returns the index of the n-th line of a request, from 1.
func at(lines []string, n int) int {
	for i, l := range lines {
		if !isCheckpoint(l) {
			if n--; n == 0 {
				return i
			}
		}
	}
	panic("no such line")
}

func TestAnIntactLogIsProven(t *testing.T) {
	k := newKeeper(t).start()
	k.lines(57)
	p := k.proof()
	open, err := verify.Files(verify.Config{Keys: chain.Keys{p.Key}}, k.path)
	if err != nil || !open.OK() || open.Lines != 57 || open.Unproven != 7 || open.Size != 57 || open.From != 0 || len(open.Torn) > 0 {
		t.Errorf("while it is written: %+v %v", open, err)
	}
	k.stop()
	r, err := verify.Files(verify.Config{Keys: chain.Keys{p.Key}, Elsewhere: []string{p.Note}}, k.path)
	if err != nil || !r.OK() || r.Unproven != 0 || r.Checkpoints != 7 || len(r.Unchecked) > 0 || r.Unchained != 0 {
		t.Errorf("closed: %+v %v", r, err)
	}
	bare, err := verify.Files(verify.Config{}, k.path)
	if err != nil || !bare.OK() || bare.KeyGiven || bare.Key != p.Key {
		t.Errorf("without a key: %+v %v", bare, err)
	}
}

// Every way to tamper with lines is found, and the first wrong line is named.
func TestTampering(t *testing.T) {
	k := newKeeper(t).start()
	k.lines(100)
	p := k.proof()
	k.stop()
	good := k.read()
	forge := strings.Replace(good[at(good, 35)], `"id":"35"`, `"id":"53"`, 1)
	for name, c := range map[string]struct {
		change func(l []string) []string
		kind   verify.Kind
		line   int // index in good of the line that is named, as a line of the changed file
	}{
		"changed":            {func(l []string) []string { l[at(l, 35)] = forge; return l }, verify.Changed, at(good, 35)},
		"one byte":           {func(l []string) []string { i := at(l, 42); l[i] = strings.Replace(l[i], "read", "reae", 1); return l }, verify.Changed, at(good, 42)},
		"removed":            {func(l []string) []string { i := at(l, 35); return slices.Delete(l, i, i+1) }, verify.Removed, at(good, 35)},
		"three removed":      {func(l []string) []string { i := at(l, 33); return slices.Delete(l, i, i+3) }, verify.Removed, at(good, 33)},
		"first removed":      {func(l []string) []string { i := at(l, 1); return slices.Delete(l, i, i+1) }, verify.Removed, at(good, 2) - 1},
		"last of a run":      {func(l []string) []string { i := at(l, 40); return slices.Delete(l, i, i+1) }, verify.Removed, at(good, 40)},
		"added":              {func(l []string) []string { return slices.Insert(l, at(l, 35), forge) }, verify.Added, at(good, 35)},
		"repeated":           {func(l []string) []string { i := at(l, 35); return slices.Insert(l, i, l[i]) }, verify.Added, at(good, 35) + 1},
		"added to the end":   {func(l []string) []string { return slices.Insert(l, at(l, 40)+1, forge) }, verify.Added, at(good, 40) + 1},
		"swapped":            {func(l []string) []string { i := at(l, 35); l[i], l[i+1] = l[i+1], l[i]; return l }, verify.Reordered, at(good, 35)},
		"checkpoint gone":    {func(l []string) []string { i := at(l, 31) - 1; return slices.Delete(l, i, i+1) }, verify.Removed, at(good, 22) - 1},
		"ten and checkpoint": {func(l []string) []string { return slices.Delete(l, at(l, 40), at(l, 50)) }, verify.Removed, at(good, 31)},
		"checkpoint forged": {func(l []string) []string {
			i := at(l, 31) - 1
			l[i] = strings.Replace(l[i], `note":"strongkeep-audit/file\n`, `note":"strongkeep-audit/file\n1`, 1)
			return l
		}, verify.Forged, at(good, 31) - 1},
		"list forged": {func(l []string) []string {
			i := at(l, 31) - 1
			j := strings.Index(l[i], `"lines":"`) + 9
			l[i] = l[i][:j] + "AAAA" + l[i][j+4:]
			return l
		}, verify.Forged, at(good, 31) - 1},
		"old checkpoint put in": {func(l []string) []string {
			return slices.Insert(l, at(l, 65), l[at(l, 31)-1])
		}, verify.Reordered, at(good, 65)},
	} {
		t.Run(name, func(t *testing.T) {
			changed := c.change(slices.Clone(good))
			if slices.Equal(changed, good) {
				t.Fatal("nothing was changed")
			}
			r := check(t, verify.Config{Keys: chain.Keys{p.Key}}, changed)
			if len(r.Problems) == 0 || r.OK() {
				t.Fatalf("not found: %+v", r)
			}
			if first := r.Problems[0]; first.Kind != c.kind || first.Line != int64(c.line)+1 {
				t.Errorf("%v, want %s of line %d", r.Problems, c.kind, c.line+1)
			}
			if name != "old checkpoint put in" && len(r.Problems) > 2 {
				t.Errorf("one change is reported as %v", r.Problems)
			}
		})
	}
}

// What was cut off the end only a newer checkpoint from elsewhere can tell.
func TestTruncation(t *testing.T) {
	k := newKeeper(t).start()
	k.lines(30)
	early := k.proof()
	k.lines(30)
	late := k.proof()
	k.stop()
	cut := k.read()
	cut = cut[:at(cut, 41)]
	keys := chain.Keys{early.Key}
	if r := check(t, verify.Config{Keys: keys, Elsewhere: []string{early.Note}}, cut); !r.OK() || len(r.Unchecked) > 0 {
		t.Errorf("an older checkpoint: %+v", r)
	}
	r := check(t, verify.Config{Keys: keys, Elsewhere: []string{late.Note}}, cut)
	if len(r.Problems) != 1 || r.Problems[0].Kind != verify.Truncated || !strings.Contains(r.Problems[0].Detail, "knows 60 lines; the files end after 40") {
		t.Errorf("a newer checkpoint: %+v", r)
	}
	// The side file is such a checkpoint, for who forgets about it.
	if err := os.WriteFile(k.path, []byte(strings.Join(cut, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := verify.Files(verify.Config{Keys: keys}, k.path); err != nil || len(r.Problems) == 0 || r.Problems[0].Kind != verify.Truncated {
		t.Errorf("by the side file: %+v %v", r, err)
	}
	// A server that starts on it does not go on as if nothing had been.
	k.start().lines(3)
	k.stop()
	if r, err := verify.Files(verify.Config{Keys: keys}, k.path); err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != verify.Removed {
		t.Errorf("after a start: %+v %v", r, err)
	}
}

// Whoever rewrites everything with a key of his own is found by who has the key.
func TestAnotherKey(t *testing.T) {
	k := newKeeper(t).start()
	k.lines(20)
	p := k.proof()
	k.stop()
	other := newKeeper(t)
	other.key = 8
	other.start().lines(20)
	other.stop()
	r := check(t, verify.Config{Keys: chain.Keys{p.Key}, Elsewhere: []string{p.Note}}, other.read())
	if r.OK() || len(r.Problems) == 0 || r.Problems[0].Kind != verify.Foreign || r.Unchained != 20 {
		t.Errorf("%+v", r)
	}
	fork := newKeeper(t).start()
	fork.now = fork.now.Add(time.Hour)
	fork.lines(20)
	fork.stop()
	r = check(t, verify.Config{Keys: chain.Keys{p.Key}, Elsewhere: []string{p.Note}}, fork.read())
	if len(r.Problems) != 1 || r.Problems[0].Kind != verify.Forked {
		t.Errorf("a log of the same length and key: %+v", r)
	}
}

// Files that were rotated verify as one log, in any of the usual ways to rotate.
func TestRotation(t *testing.T) {
	k := newKeeper(t).start()
	k.lines(25)
	rotate := func(n int) {
		if err := os.Rename(k.path, fmt.Sprintf("%s.%d", k.path, n)); err != nil {
			t.Fatal(err)
		}
	}
	rotate(1) // and SIGHUP
	if err := k.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.lines(12)
	rotate(2) // noticed without
	k.lines(12)
	k.stop()
	rotate(3) // while the server is down
	k.start().lines(12)
	if err := os.WriteFile(k.path+".4", []byte(strings.Join(k.read(), "")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(k.path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	k.lines(12)
	p := k.proof()
	k.stop()
	names := []string{k.path + ".1", k.path + ".2", k.path + ".3", k.path + ".4", k.path}
	keys := verify.Config{Keys: chain.Keys{p.Key}}
	r, err := verify.Files(keys, names...)
	if err != nil || !r.OK() || r.Size != 73 || r.Unproven != 0 || r.Lines != 73 {
		t.Fatalf("%+v %v", r, err)
	}
	// A part of them is proven too, and says which part it is.
	r, err = verify.Files(keys, names[2:4]...)
	if err != nil || !r.OK() || r.From != 37 || r.Size != 61 {
		t.Errorf("a part: %+v %v", r, err)
	}
	for name, c := range map[string]struct {
		files []string
		kind  verify.Kind
	}{
		"one is missing": {append(slices.Clone(names[:2]), names[3:]...), verify.Removed},
		"wrong order":    {[]string{names[0], names[2], names[1]}, verify.Removed},
	} {
		r, err := verify.Files(keys, c.files...)
		if err != nil || len(r.Problems) == 0 || r.Problems[0].Kind != c.kind {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	// And compressed.
	raw, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(raw)
	_ = w.Close()
	if err := os.WriteFile(names[0]+".gz", z.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	names[0] += ".gz"
	if r, err := verify.Files(keys, names...); err != nil || !r.OK() || r.Lines != 73 {
		t.Errorf("compressed: %+v %v", r, err)
	}
}

// A crash leaves lines without a checkpoint and a line without end: reported as
// what they are, also when the next start has ended that line and gone on.
func TestCrash(t *testing.T) {
	for name, torn := range map[string]string{
		"line":                        `@cee: {"time":"2026-03-01T12:00:00Z","type":"requ`,
		"checkpoint, before its type": `@cee: {"time":"2026-03-01T12:00:00Z","type":"check`,
		"checkpoint":                  `@cee: {"time":"2026-03-01T12:00:00Z","type":"checkpoint","checkpoint":{"note":"strongk`,
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t).start()
			k.lines(37)
			key := chain.Keys{k.proof().Key}
			crashed := newKeeper(t)
			crashed.now, crashed.n = k.now, k.n
			content := strings.Join(k.read(), "") + "\n" + torn
			if err := os.WriteFile(crashed.path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := verify.Files(verify.Config{Keys: key}, crashed.path)
			if err != nil || !r.OK() || len(r.Torn) != 1 || r.Unproven != 7 {
				t.Errorf("after the crash: %+v %v", r, err)
			}
			crashed.start().lines(5)
			crashed.stop()
			r, err = verify.Files(verify.Config{Keys: key}, crashed.path)
			if err != nil || !r.OK() || len(r.Torn) != 1 || r.Unproven != 0 || r.Lines < 42 {
				t.Errorf("after the next start: %+v %v", r, err)
			}
		})
	}
}

// Lines that somebody adds, while the server runs or is stopped, are no part of
// the log; after a crash nobody can tell them from the server's.
func TestLinesOfOthers(t *testing.T) {
	add := func(k *keeper) {
		f, err := os.OpenFile(k.path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"time":"2026-03-01T12:00:00Z","type":"response"}` + "\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	k := newKeeper(t).start()
	k.lines(10)
	add(k)
	k.lines(10)
	k.stop()
	key := verify.Config{Keys: chain.Keys{chain.KeyIn([]byte(k.read()[0]))}}
	if r := check(t, key, k.read()); len(r.Problems) != 1 || r.Problems[0].Kind != verify.Added {
		t.Errorf("while it runs: %+v", r)
	}
	add(k)
	k.start().lines(10)
	k.stop()
	if r := check(t, key, k.read()); len(r.Problems) != 2 || r.Problems[1].Kind != verify.Added {
		t.Errorf("while it is stopped: %+v", r)
	}
}

// A device that is disabled and enabled again on its file begins a chain of its
// own, with a key of its own.
func TestTwoChainsInAFile(t *testing.T) {
	k := newKeeper(t).start()
	k.lines(15)
	first := k.proof().Key
	k.stop()
	k.key = 9
	k.start().lines(15)
	second := k.proof().Key
	k.stop()
	r := check(t, verify.Config{Keys: chain.Keys{first, second}}, k.read())
	if !r.OK() || r.Lines != 30 || r.Size != 15 {
		t.Errorf("with both keys: %+v", r)
	}
	if r := check(t, verify.Config{Keys: chain.Keys{second}}, k.read()); r.OK() || r.Problems[0].Kind != verify.Foreign || r.Unchained != 15 {
		t.Errorf("with one: %+v", r)
	}
}

// Lines from before there was a chain are counted, not vouched for.
func TestLinesBeforeTheChain(t *testing.T) {
	k := newKeeper(t)
	if err := os.WriteFile(k.path, []byte("{\"type\":\"request\"}\n{\"type\":\"response\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.start().lines(5)
	k.stop()
	if r := check(t, verify.Config{}, k.read()); r.OK() || !r.Intact() || r.Unchained != 2 {
		t.Errorf("%+v", r)
	}
	if r := check(t, verify.Config{}, nil); r.OK() || r.Checkpoints != 0 {
		t.Errorf("an empty file proves %+v", r)
	}
}

func TestCheckpointsInText(t *testing.T) {
	k := newKeeper(t).start()
	k.lines(10)
	p := k.proof()
	line := k.read()[0]
	got, err := verify.Checkpoints("junk\n" + p.Note + "\nmore\n" + line + "end")
	if err != nil || len(got) != 2 || got[0] != p.Note {
		t.Errorf("%q %v", got, err)
	}
	if _, err := verify.Checkpoints("nothing"); err == nil {
		t.Error("a checkpoint was found in nothing")
	}
}

// However lines are damaged, the damage is found; nothing hangs or panics.
func FuzzVerify(f *testing.F) {
	k := newKeeper(f).start()
	k.lines(40)
	key := chain.Keys{k.proof().Key}
	k.stop()
	good := strings.Join(k.read(), "") + "\n"
	f.Add(uint32(5), byte('x'), uint8(1))
	f.Add(uint32(700), byte('\n'), uint8(40))
	f.Fuzz(func(t *testing.T, pos uint32, with byte, cut uint8) {
		i := int(pos) % len(good)
		bad := good[:i] + string(with) + good[min(len(good), i+int(cut)):]
		r, err := verify.Reader(verify.Config{Keys: key}, "a.log", strings.NewReader(bad))
		if err != nil {
			return
		}
		if bad != good && r.OK() && r.Lines == 40 && len(r.Torn) == 0 && !strings.Contains(good[i:], "closed") {
			t.Errorf("changing %d bytes at %d into %q is not found: %+v", cut, i, with, r)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k := newKeeper(b).start()
	pad := make([]byte, 300)
	for i := range pad {
		pad[i] = 'a' + byte(rand.IntN(26))
	}
	var last audit.Ticket
	for i := range 60_000 {
		e := &audit.Entry{Type: audit.TypeRequest, Time: k.now, Request: &audit.Request{ID: fmt.Sprint(i), Operation: "read", Path: "secret/data/" + string(pad), ClientToken: "x"}}
		last = k.Append(e, audit.Ticket{})
	}
	if err := last.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	k.stop()
	info, err := os.Stat(k.path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		if r, err := verify.Files(verify.Config{}, k.path); err != nil || !r.OK() {
			b.Fatalf("%+v %v", r, err)
		}
	}
}
