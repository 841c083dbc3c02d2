package token

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func TestLookupRefusesWithOneText(t *testing.T) {
	w := newWorld(t)
	c := w.create(Spec{TTL: hour})
	token := c.Token.RevealString()
	batch := w.create(Spec{Type: Batch, TTL: hour}).Token.RevealString()
	other := "A" // than the one it takes the place of
	if batch[40:41] == other {
		other = "B"
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"unknown":          "hvs." + strings.Repeat("x", 91),
		"last one changed": token[:len(token)-1] + "-",
		"cut":              token[:len(token)-1],
		"longer":           token + "x",
		"its key":          c.Entry.Key,
		"its accessor":     c.Entry.Accessor,
		"huge":             strings.Repeat("x", 1<<20),
		"path":             "../id/" + c.Entry.Key,
		"nul":              "\x00",
		"batch, nothing":   "hvb.",
		"batch, not b64":   "hvb.!!!",
		"batch, cut":       batch[:len(batch)-2],
		"batch, changed":   batch[:40] + other + batch[41:],
		"batch, padded":    batch + "=",
		"batch, newline":   batch + "\n",
	} {
		if bad == batch || bad == token {
			t.Fatalf("%s: the case changes nothing", name)
		}
		_, err := w.m.Lookup(context.Background(), w.store, bad)
		if !errs.Is(err, errs.Unauthenticated) || err.Error() != "permission denied" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !w.valid(c) {
		t.Error("the good one is refused too")
	}
}

func TestExpiryByTheClockAlone(t *testing.T) {
	w := newWorld(t)
	c, b := w.create(Spec{TTL: hour}), w.create(Spec{Type: Batch, TTL: hour})
	w.now = w.now.Add(hour - 1)
	if !w.valid(c) || !w.valid(b) {
		t.Error("ended a nanosecond early")
	}
	w.now = w.now.Add(1)
	if w.valid(c) || w.valid(b) {
		t.Error("lives on until somebody removes it")
	}
	w.now = w.now.Add(time.Second) // due times are rounded up
	w.sweep()
	if left := w.keys(); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	if w.gone[c.Entry.Key] != 1 {
		t.Errorf("others were told %d times", w.gone[c.Entry.Key])
	}
}

func TestAnotherKeyFindsNothing(t *testing.T) {
	w := newWorld(t)
	c, b := w.create(Spec{TTL: hour}), w.create(Spec{Type: Batch, TTL: hour})
	m, err := New(Config{Key: redact.New(bytes.Repeat([]byte{8}, 32)), Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	w.m = m
	if w.valid(c) || w.valid(b) {
		t.Error("a token is valid under another key")
	}
	if _, err := New(Config{Key: redact.FromString("short")}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a short key: %v", err)
	}
}

func TestAccessors(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	want := map[string]bool{}
	var last Created
	for range 10 {
		last = w.create(Spec{TTL: hour})
		want[last.Entry.Accessor] = true
	}
	w.create(Spec{TTL: hour, Type: Batch})
	e, err := w.m.LookupAccessor(ctx, w.store, last.Entry.Accessor)
	if err != nil || e.Key != last.Entry.Key {
		t.Fatalf("%+v, %v", e, err)
	}
	got, after := map[string]bool{}, ""
	for {
		page, err := w.m.ListAccessors(ctx, w.store, "", after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			if got[a] {
				t.Errorf("%s twice", a)
			}
			got[a] = true
		}
		after = page[len(page)-1]
	}
	if len(got) != len(want) {
		t.Errorf("listed %d of %d", len(got), len(want))
	}
	w.revoke(last, Tree)
	for _, bad := range []string{"", "nope", last.Entry.Accessor, last.Entry.Key, last.Token.RevealString(), strings.Repeat("x", 1<<20)} {
		if _, err := w.m.LookupAccessor(ctx, w.store, bad); !errs.Is(err, errs.Denied) || err.Error() != "invalid accessor" {
			t.Errorf("bad accessor: %v", err)
		}
	}
}

// No error or log of this package shows a token.
func TestCanary(t *testing.T) {
	w := newWorld(t)
	c := w.create(Spec{TTL: hour})
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v", c, c, c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "created", c, "manager", w.m)
	if strings.Contains(out.String(), c.Token.RevealString()) {
		t.Error("printing a new token's record shows the token")
	}
}
