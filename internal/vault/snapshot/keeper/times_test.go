package keeper_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
)

// other are the keys of another vault.
type other struct{ keys }

func (other) Derive(string) (redact.Secret, error) {
	return redact.New(bytes.Repeat([]byte{2}, 32)), nil
}

var nightly = keeper.Plan{
	Name: "daily", Schedule: "0 3 * * *", Zone: "Europe/Berlin", Jitter: 30 * time.Minute, Retain: 9, Kind: keeper.KindLocal, File: "vault",
}

// between fails unless the plan's next snapshot is due in [from, from + 30 min).
func (w *world) between(from string) time.Time {
	w.Helper()
	at, err := time.Parse(time.RFC3339, from)
	if err != nil {
		w.Fatal(err)
	}
	next := w.States()["daily"].Next
	if next.Before(at) || !next.Before(at.Add(30*time.Minute)) {
		w.Fatalf("the next is due at %s, not within half an hour of %s", next.UTC(), from)
	}
	return next
}

func (w *world) made(n int, because string) {
	w.Helper()
	if _, files := w.tend(); len(files) != n {
		w.Fatalf("%s: %q are there, not %d", because, files, n)
	}
}

func TestCron(t *testing.T) {
	w := newWorld(t)
	w.plan(nightly)
	w.made(1, "the first is made at once")
	due := w.between("2026-03-05T02:00:00Z")
	w.now = due.Add(-time.Second)
	w.made(1, "it is not due yet")
	w.now = due
	w.made(2, "it is due")
	w.made(2, "it was made")
	w.between("2026-03-06T02:00:00Z")
	if got := w.States()["daily"].Interval; got != 25*time.Hour+30*time.Minute {
		t.Errorf("at most %s lie between two", got)
	}
	w.now = due.Add(75 * time.Hour)
	w.made(3, "three that were missed are made up for once")
	w.made(3, "and not again")
	w.between("2026-03-09T02:00:00Z")
	w.now = time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)
	w.made(4, "missed")
	w.between("2026-03-29T01:00:00Z") // clocks go from 2 to 3 there
	w.put("data/b", "of another vault")
	w.now = w.States()["daily"].Next
	w.made(4, "a failure")
	w.put("data/b", "data/b sealed")
	w.now = w.now.Add(5 * time.Minute)
	w.made(5, "it is tried again, though the time has passed")
}

// Every vault has its own time within the jitter, and all nodes of one the same.
func TestJitter(t *testing.T) {
	w := newWorld(t)
	w.plan(nightly)
	w.made(1, "the first is made at once")
	on := func(keys keeper.Keys) time.Time {
		node := keeper.New(keeper.Config{
			Raw: w.raw, Keys: keys, Scratch: w.scratch, Decrypt: plain, Unseal: noKeys, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
			Open: func(context.Context, *keeper.Plan) (place.Place, error) { return place.OpenDirectory(w.dir) },
		})
		if _, err := node.Tend(t.Context(), w.settings); err != nil {
			t.Fatal(err)
		}
		return node.States()["daily"].Next
	}
	here := w.between("2026-03-05T02:00:00Z")
	if !on(keys{}).Equal(here) {
		t.Error("another node of the vault has another time")
	}
	if on(other{}).Equal(here) {
		t.Error("another vault has the same time")
	}
}

func TestPlanTimes(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*keeper.Plan)
		fine   bool
	}{
		"as it is":              {func(*keeper.Plan) {}, true},
		"UTC, at once":          {func(p *keeper.Plan) { p.Zone, p.Jitter = "", 0 }, true},
		"both":                  {func(p *keeper.Plan) { p.Interval = time.Hour }, false},
		"neither":               {func(p *keeper.Plan) { *p = keeper.Plan{Name: "a", Retain: 1, Kind: keeper.KindLocal, File: "a"} }, false},
		"jitter of an interval": {func(p *keeper.Plan) { p.Schedule, p.Zone, p.Interval = "", "", time.Hour }, false},
		"zone of an interval":   {func(p *keeper.Plan) { p.Schedule, p.Jitter, p.Interval = "", 0, time.Hour }, false},
		"too much jitter":       {func(p *keeper.Plan) { p.Jitter = 24 * time.Hour }, false},
		"less than nothing":     {func(p *keeper.Plan) { p.Jitter = -time.Second }, false},
		"half a second":         {func(p *keeper.Plan) { p.Jitter = time.Second / 2 }, false},
		"a zone of nowhere":     {func(p *keeper.Plan) { p.Zone = "Mars/Olympus" }, false},
		"four fields":           {func(p *keeper.Plan) { p.Schedule = "0 3 * *" }, false},
		"never":                 {func(p *keeper.Plan) { p.Schedule = "0 0 30 2 *" }, false},
	} {
		p := nightly
		c.change(&p)
		if err := p.Check(); c.fine != (err == nil) || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
