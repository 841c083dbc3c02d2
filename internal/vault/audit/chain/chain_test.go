package chain

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func testLog(t testing.TB, change func(*Config)) *Log {
	t.Helper()
	c := Config{Log: slog.New(slog.DiscardHandler), Name: "file/", Key: redact.New(bytes.Repeat([]byte{7}, 32)), Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }}
	if change != nil {
		change(&c)
	}
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The right edge gives the same roots as tlog's whole tree, at every size, and
// survives being written down.
func TestTreeIsTlogs(t *testing.T) {
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	var tree Tree
	for n := range int64(300) {
		want, err := tlog.TreeHash(n, read)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Size() != n || tree.Root() != want {
			t.Fatalf("size %d: root %v, want %v", n, tree.Root(), want)
		}
		again, err := treeOf(n, tree.appendEdge(nil))
		if err != nil || again.Root() != want {
			t.Fatalf("size %d, by its edge: %v", n, err)
		}
		if n%3 == 0 {
			tree = again
		}
		line := fmt.Appendf(nil, "line %d", n)
		more, err := tlog.StoredHashes(n, line, read)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
		tree.Add(Leaf(line))
	}
	if _, err := treeOf(5, make([]byte, 3*tlog.HashSize)); !errs.Is(err, errs.Invalid) {
		t.Errorf("an edge that does not fit: %v", err)
	}
	if _, err := treeOf(-1, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("a negative size: %v", err)
	}
}

func TestExtendPutsCheckpointsWhereTheyAreDue(t *testing.T) {
	l := testLog(t, nil)
	if err := l.Resume(bytes.NewReader(nil), 0); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Repeat([]byte("{}\n"), 2*EveryLines+5)
	if !l.Due(lines) {
		t.Error("the first line brings no checkpoint")
	}
	out, err := l.Extend(lines)
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	n := 0
	for line := range bytes.Lines(out) {
		if IsCheckpoint(line) {
			at = append(at, n)
			continue
		}
		n++
	}
	if fmt.Sprint(at) != fmt.Sprint([]int{0, EveryLines, 2 * EveryLines}) || n != 2*EveryLines+5 {
		t.Errorf("%d lines with checkpoints after %v", n, at)
	}
	l.Settle(nil)
	if c := l.Latest(); c == nil || c.Size != 2*EveryLines {
		t.Errorf("latest %+v", c)
	}
	if few := []byte("{}\n"); l.Due(few) {
		t.Error("a checkpoint is due right after one")
	} else if out, err := l.Extend(few); err != nil || !bytes.Equal(out, few) {
		t.Errorf("%q %v", out, err)
	}
	// A write that failed is as if it had never been.
	before := l.cur.tree.Root()
	l.Settle(errors.New("disk full"))
	if l.cur.tree.Root() != before || l.cur.tree.Size() != 2*EveryLines+5 {
		t.Error("a failed write moved the tree")
	}
	big := append(bytes.Repeat([]byte("x"), EveryBytes), '\n')
	if !l.Due(big) {
		t.Error("many bytes bring no checkpoint")
	}
}

func TestKeys(t *testing.T) {
	a, b := testLog(t, nil), testLog(t, func(c *Config) { c.Key = redact.New(bytes.Repeat([]byte{8}, 32)) })
	named := testLog(t, func(c *Config) { c.Name = "other/" })
	if a.PublicKey() == b.PublicKey() || a.PublicKey() == named.PublicKey() || a.PublicKey() != testLog(t, nil).PublicKey() {
		t.Error("keys do not follow the device's key and name")
	}
	if !strings.HasPrefix(a.PublicKey(), "strongkeep-audit/file+") {
		t.Errorf("key %q", a.PublicKey())
	}
	if err := (Keys{a.PublicKey(), b.PublicKey()}).Check(); err != nil {
		t.Error(err)
	}
	if err := (Keys{"x"}).Check(); !errs.Is(err, errs.Invalid) {
		t.Errorf("a bad key: %v", err)
	}
}

// sample is a checkpoint line and the key it is signed with.
func sample(t testing.TB) (line []byte, keys Keys) {
	t.Helper()
	l := testLog(t, func(c *Config) { c.Prefix = "@cee: " })
	if err := l.Resume(bytes.NewReader(nil), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Extend([]byte("{}\n{}\n{}\n")); err != nil {
		t.Fatal(err)
	}
	l.Settle(nil)
	out, err := l.Checkpoint(true)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(bytes.Clone(out), []byte("\n")), Keys{l.PublicKey()}
}

func TestParseLine(t *testing.T) {
	line, keys := sample(t)
	c, err := ParseLine(line, keys)
	if err != nil || !IsCheckpoint(line) || c.Size != 3 || c.From() != 0 || !c.Full || !c.Listed || !c.Closed || c.Key != keys[0] || KeyIn(line) != keys[0] {
		t.Fatalf("%+v %v", c, err)
	}
	if n, err := ParseNote([]byte(c.Note), keys); err != nil || n.Size != 3 || n.Full {
		t.Errorf("its note: %+v %v", n, err)
	}
	for name, c := range map[string]struct {
		old, new string
		kind     errs.Kind
	}{
		"size":        {`\n3\n`, `\n4\n`, errs.Invalid},
		"time":        {`time 2026`, `time 2027`, errs.Invalid},
		"closed":      {`\nclosed`, ``, errs.Invalid},
		"list":        {`"lines":"`, `"lines":"AAAA`, errs.Invalid},
		"edge":        {`"edge":"`, `"edge":"AAAA`, errs.Invalid},
		"type":        {`"type":"checkpoint"`, `"type":"request"`, errs.Invalid},
		"no note":     {`"note"`, `"nope"`, errs.Invalid},
		"other's key": {"strongkeep-audit/file", "strongkeep-audit/elif", errs.Unauthenticated},
	} {
		bad := bytes.ReplaceAll(line, []byte(c.old), []byte(c.new))
		if bytes.Equal(bad, line) {
			t.Errorf("%s: nothing changed", name)
		}
		if _, err := ParseLine(bad, keys); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	if _, err := ParseLine(line, Keys{testLog(t, func(c *Config) { c.Name = "x/" }).PublicKey()}); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("with another key: %v", err)
	}
	for _, l := range []string{`{"time":"t","type":"request","request":{"path":"\",\"type\":\"checkpoint\",\"checkpoint\":{\"note\":"}}`, `","type":"checkpoint","checkpoint":{"note":`, ""} {
		if IsCheckpoint([]byte(l)) {
			t.Errorf("%q is taken for a checkpoint", l)
		}
	}
}

// The log is told of checkpoints now and then, and others get them without what
// only the file needs.
func TestPublishing(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var got []string
	l := testLog(t, func(c *Config) {
		c.Now = func() time.Time { return now }
		c.Publish = func(line []byte) { got = append(got, string(line)) }
	})
	if err := l.Resume(bytes.NewReader(nil), 0); err != nil {
		t.Fatal(err)
	}
	for range 20 * 60 {
		now = now.Add(time.Second)
		if _, err := l.Extend([]byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		l.Settle(nil)
	}
	if len(got) != 2 {
		t.Errorf("%d checkpoints published in 20 minutes, want 2", len(got))
	}
	for _, line := range got {
		c, err := ParseNote([]byte(Published([]byte(line))), Keys{l.PublicKey()})
		if err != nil || IsCheckpoint([]byte(line)) || len(line) > 1000 {
			t.Errorf("%+v %v %q", c, err, line)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	line, keys := sample(f)
	good, err := ParseLine(line, keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte(`{"time":"x","type":"checkpoint","checkpoint":{"note":"strongkeep-audit/file\n-1\nAA==\n"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		IsCheckpoint(line)
		KeyIn(line)
		c, err := ParseLine(line, keys)
		if err == nil && (c.Size != good.Size || c.Root != good.Root) {
			t.Errorf("a checkpoint that was never signed is accepted: %q", line)
		}
		if c, err = ParseNote(line, keys); err == nil && c.Root != good.Root {
			t.Errorf("a note that was never signed is accepted: %q", line)
		}
	})
}
