package placetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
)

// World is a place in a test.
type World struct {
	Place   place.Place // empty
	Wrong   place.Place // the same, asked with credentials that are wrong; nil: it has none
	Missing place.Place // a bucket that is not there; nil: it would be made
	Store   *Store      // what lies behind; nil: a file system
	Forgets bool        // its client does not ask again when an answer is lost
}

// Run runs the suite; each part gets a World of its own.
func Run(t *testing.T, world func(t *testing.T) World) {
	for name, part := range map[string]func(*testing.T, World){
		"Names": names, "Elsewhere": elsewhere, "Taken": taken, "Answer lost": answerLost, "Torn": torn, "Refused": refused, "Interrupted": interrupted, "Broken": broken, "Large": large, "Pages": pages,
	} {
		t.Run(name, func(t *testing.T) { part(t, world(t)) })
	}
}

func put(t *testing.T, p place.Place, name, content string) {
	t.Helper()
	if err := p.Put(t.Context(), name, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, p place.Place, name string) string {
	t.Helper()
	f, err := p.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func lists(t *testing.T, p place.Place, prefix string, want ...string) {
	t.Helper()
	got, err := p.List(t.Context(), prefix)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("under %q are %q, not %q (%v)", prefix, got, want, err)
	}
}

// What is put is there under its name, in order, and nothing else is touched.
func names(t *testing.T, w World) {
	p := w.Place
	lists(t, p, "")
	odd := "v-ö +%20&=?#~'(1)@:;,!$.snapshot"
	for _, name := range []string{"v-2", "v-1", "w-1", odd} {
		put(t, p, name, "of "+name)
	}
	lists(t, p, "v-", "v-1", "v-2", odd)
	lists(t, p, "", "v-1", "v-2", odd, "w-1")
	lists(t, p, "x")
	for _, name := range []string{"v-1", odd} {
		if got := get(t, p, name); got != "of "+name {
			t.Errorf("%q", got)
		}
	}
	put(t, p, "empty", "")
	if got := get(t, p, "empty"); got != "" {
		t.Errorf("%q", got)
	}
	for range 2 {
		for _, name := range []string{"v-1", odd, "empty"} {
			if err := p.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := p.Get(t.Context(), "v-1"); !errs.Is(err, errs.NotExist) {
		t.Error(err)
	}
	lists(t, p, "", "v-2", "w-1")
}

// Names that lead elsewhere are none.
func elsewhere(t *testing.T, w World) {
	p := w.Place
	for _, name := range []string{"", "../x", "a/b", ".hidden", "..", "a\x00b"} {
		_, err := p.Get(t.Context(), name)
		for _, err := range []error{err, p.Put(t.Context(), name, strings.NewReader(""), 0), p.Delete(t.Context(), name)} {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

// What has a name keeps it, also if it got it while another was on its way, and whatever the
// size.
func taken(t *testing.T, w World) {
	put(t, w.Place, "v", "first")
	for n, content := range []string{"second", strings.Repeat("x", 36<<20)} {
		if err := w.Place.Put(t.Context(), "v", strings.NewReader(content), int64(len(content))); !errs.Is(err, errs.Exist) {
			t.Errorf("a name that is taken: %v", err)
		}
		if w.Store == nil {
			continue
		}
		w.Store.OnUpload(n+1, func() { w.Store.Set(Folder+"/late", []byte("another's")) })
		if err := w.Place.Put(t.Context(), "late", strings.NewReader(content), int64(len(content))); !errs.Is(err, errs.Exist) {
			t.Errorf("a name that was taken meanwhile: %v", err)
		}
		if got := get(t, w.Place, "late"); got != "another's" {
			t.Errorf("%d bytes are there", len(got))
		}
		if err := w.Place.Delete(t.Context(), "late"); err != nil {
			t.Error(err)
		}
	}
	if got := get(t, w.Place, "v"); got != "first" {
		t.Errorf("%d bytes are there", len(got))
	}
	if w.Store != nil && w.Store.Unfinished() != 0 {
		t.Errorf("%d uploads were left", w.Store.Unfinished())
	}
}

// What was put by a request whose answer was lost is not taken for another's.
func answerLost(t *testing.T, w World) {
	if w.Store == nil {
		return
	}
	for name, size := range map[string]int{"small": 9, "large": 36 << 20} {
		content := strings.Repeat("x", size)
		w.Store.LoseAnswer()
		err := w.Place.Put(t.Context(), name, strings.NewReader(content), int64(size))
		if err != nil && !(w.Forgets && errs.Is(err, errs.Unavailable)) {
			t.Errorf("%s: %v", name, err)
		}
		if got := get(t, w.Place, name); got != content {
			t.Errorf("%s: %d bytes are there", name, len(got))
		}
	}
}

// half is a source that fails when so much of it was read.
type half struct {
	io.ReadSeeker
	left int
}

func (h *half) Read(b []byte) (int, error) {
	if h.left <= 0 {
		return 0, errs.New(errs.Unavailable, "the disk is gone")
	}
	n, err := h.ReadSeeker.Read(b[:min(len(b), h.left)])
	h.left -= n
	return n, err
}

// What is not written whole is not there.
func torn(t *testing.T, w World) {
	put(t, w.Place, "w", "whole")
	content := strings.Repeat("x", 20<<20)
	for what, from := range map[string]struct {
		io.ReadSeeker
		size int64
	}{
		"short":                  {strings.NewReader("short"), 9},
		"unreadable":             {&half{strings.NewReader("unreadable"), 4}, 10},
		"unreadable amid a part": {&half{strings.NewReader(content), 50 << 20}, 20 << 20},
	} {
		if what == "unreadable amid a part" {
			from.ReadSeeker.(*half).left = 17 << 20
		}
		if err := w.Place.Put(t.Context(), "v", from.ReadSeeker, from.size); err == nil {
			t.Errorf("%s: it was put", what)
		}
	}
	lists(t, w.Place, "", "w")
	if got := get(t, w.Place, "w"); got != "whole" {
		t.Errorf("%d bytes are there", len(got))
	}
	if w.Store != nil && w.Store.Unfinished() != 0 {
		t.Errorf("%d uploads were left", w.Store.Unfinished())
	}
}

// Who may not is told so, and that the bucket is not there; neither reads as an empty place.
func refused(t *testing.T, w World) {
	for what, c := range map[string]struct {
		p    place.Place
		kind errs.Kind
		says string
	}{
		"wrong credentials": {w.Wrong, errs.Unauthenticated, "credentials"},
		"no bucket":         {w.Missing, errs.Invalid, "no such bucket"},
	} {
		if c.p == nil {
			continue
		}
		_, listing := c.p.List(t.Context(), "")
		_, getting := c.p.Get(t.Context(), "v")
		for doing, err := range map[string]error{
			"listing": listing, "getting": getting, "putting": c.p.Put(t.Context(), "v", strings.NewReader("v"), 1), "deleting": c.p.Delete(t.Context(), "v"),
		} {
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %s: %v", what, doing, err)
			}
			if err != nil && (strings.Contains(err.Error(), Canary) || len(err.Error()) > 400) {
				t.Errorf("%s, %s: the error tells a secret, or too much: %.40s", what, doing, err)
			}
		}
	}
}

// An upload that is cancelled leaves nothing that counts, and is no obstacle.
func interrupted(t *testing.T, w World) {
	if w.Store == nil {
		return
	}
	content := bytes.Repeat([]byte("x"), 36<<20)
	ctx, cancel := context.WithCancel(t.Context())
	w.Store.OnUpload(2, cancel)
	if err := w.Place.Put(ctx, "v", bytes.NewReader(content), int64(len(content))); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v", err)
	}
	lists(t, w.Place, "")
	if _, err := w.Place.Get(t.Context(), "v"); !errs.Is(err, errs.NotExist) {
		t.Error(err)
	}
	if _, err := w.Place.List(ctx, ""); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a cancelled listing: %v", err)
	}
	put(t, w.Place, "v", "again")
	lists(t, w.Place, "", "v")
}

// Reading goes on where the network broke.
func broken(t *testing.T, w World) {
	if w.Store == nil {
		return
	}
	content := make([]byte, 3<<20)
	chacha := rand.NewChaCha8([32]byte{1})
	_, _ = chacha.Read(content)
	put(t, w.Place, "v", string(content))
	w.Store.CutDownloads(3, 1<<20)
	if got := get(t, w.Place, "v"); got != string(content) {
		t.Errorf("%d bytes came, and others than were put", len(got))
	}
	if n := w.Store.Downloads(); n < 3 {
		t.Errorf("%d downloads: nothing broke", n)
	}
	w.Store.CutDownloads(100, 0)
	ctx, cancel := context.WithCancel(t.Context())
	f, err := w.Place.Get(ctx, "v")
	if err == nil {
		cancel()
		_, err = io.ReadAll(f)
		_ = f.Close()
	}
	cancel()
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("a read that never comes to its end: %v", err)
	}
}

// What is larger than a part goes in parts, and comes back as it was.
func large(t *testing.T, w World) {
	content := make([]byte, 40<<20+7)
	chacha := rand.NewChaCha8([32]byte{2})
	_, _ = chacha.Read(content)
	if err := w.Place.Put(t.Context(), "v", bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	f, err := w.Place.Get(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(f, 10)))
	rest, err2 := io.ReadAll(f)
	if err := errors.Join(err, err2, f.Close()); err != nil || !bytes.Equal(append(got, rest...), content) {
		t.Errorf("%d bytes came back of %d: %v", len(got)+len(rest), len(content), err)
	}
	if w.Store != nil && w.Store.LargestRequest() > 16<<20 {
		t.Errorf("a request had %d bytes", w.Store.LargestRequest())
	}
}

// A place with more names than a page of any store has.
func pages(t *testing.T, w World) {
	if w.Store == nil {
		return
	}
	var want []string
	for n := range 2345 {
		name := "v-" + strings.Repeat("0", 4-len(itoa(n))) + itoa(n)
		w.Store.Set(Folder+"/"+name, []byte("x"))
		want = append(want, name)
	}
	w.Store.Set(Folder+"/v-below/x", []byte("x"))
	w.Store.Set(Folder+"2/v-1", []byte("x"))
	w.Store.Set("v-1", []byte("x"))
	lists(t, w.Place, "v-", want...)
	if n := w.Store.Pages(); n < 3 {
		t.Errorf("it came in %d pages", n)
	}
}
