package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// ask is a look at which the check SEC-90 finds the names, if it can see.
func ask(b *Book, at time.Time, sees bool, names ...string) *Book {
	s := &snapshot.Snapshot{Source: "test", Taken: at, Coverage: snapshot.Coverage{"pods": {}}}
	if !sees {
		s.Coverage["pods"] = snapshot.Gap{Reason: "no right"}
	}
	checks := []check.Check{{ID: "SEC-90", Title: "t", Needs: []string{"pods"}, Judge: func(*check.Input) check.Verdict {
		v := check.Verdict{Answer: check.Yes}
		for _, name := range names {
			severity := check.Low
			if strings.HasPrefix(name, "bad") {
				severity = check.High
			}
			v.Answer = check.No
			v.Findings = append(v.Findings, check.Finding{Rule: "R", Severity: severity, Object: snapshot.Ref{Kind: "Pod", Namespace: "n", Name: name}, Message: name + " is wrong"})
		}
		return v
	}}}
	r := check.Run(checks, check.NewInput(s, at, check.Settings{}), b.Before(), nil)
	b.Doubt(r)
	return b.Add(r, func(string) []string { return s.Coverage.Missing("pods") }, 1)
}

func lines(b *Book) []string {
	var out []string
	for _, e := range b.Entries {
		line := fmt.Sprintf("%s %s..%s", e.Object.Name, e.First.Format("15"), e.Last.Format("15"))
		if !e.Here() {
			line += " gone " + e.Gone.Format("15")
		}
		if e.New {
			line += " new"
		}
		out = append(out, line)
	}
	return out
}

func TestBook(t *testing.T) {
	b := &Book{}
	for i, step := range []struct {
		sees  bool
		names []string
		want  []string
	}{
		{true, []string{"a", "bad"}, []string{"bad 12..12", "a 12..12"}}, // nothing is new at the first look
		{true, []string{"a", "b"}, []string{"a 12..13", "b 13..13 new", "bad 12..12 gone 13"}},
		{false, nil, []string{"a 12..13", "b 13..13", "bad 12..12 gone 13"}}, // what could not be seen did not go
		{false, []string{"b"}, []string{"a 12..13", "b 13..15", "bad 12..12 gone 13"}},
		{true, []string{"bad"}, []string{"bad 16..16 new", "a 12..13 gone 16", "b 13..15 gone 16", "bad 12..12 gone 13"}}, // what comes back is another
		{true, nil, []string{"bad 16..16 gone 17", "a 12..13 gone 16", "b 13..15 gone 16", "bad 12..12 gone 13"}},
		// What was found without seeing all goes without seeing all.
		{false, []string{"c"}, []string{"c 18..18 new", "bad 16..16 gone 17", "a 12..13 gone 16", "b 13..15 gone 16", "bad 12..12 gone 13"}},
		{false, nil, []string{"c 18..18 gone 19", "bad 16..16 gone 17", "a 12..13 gone 16", "b 13..15 gone 16", "bad 12..12 gone 13"}},
	} {
		b = ask(b, noon.Add(time.Duration(i)*time.Hour), step.sees, step.names...)
		raw, err := encode(b, maxStored)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := decode(raw)
		if err != nil || !slices.Equal(lines(stored), step.want) {
			t.Fatalf("look %d: %v %q, want %q", i, err, lines(stored), step.want)
		}
		b = stored // as after a restart
	}
	var turns []string
	for _, turn := range b.Answers[0].Turns {
		turns = append(turns, string(turn.Answer)+" "+turn.Since.Format("15"))
	}
	if want := []string{"no 12", "cannot tell 14", "no 15", "yes 17", "no 18", "cannot tell 19"}; !slices.Equal(turns, want) || !b.Since("SEC-90").Equal(noon.Add(7*time.Hour)) {
		t.Errorf("answers %q, want %q", turns, want)
	}
	if !b.Since("SEC-01").IsZero() {
		t.Error("an answer that nobody gave has a time")
	}
}

// What went is forgotten in the end, by age and number, and the number is told.
func TestForgotten(t *testing.T) {
	names := make([]string, maxGone+7)
	for i := range names {
		names[i] = fmt.Sprint("p", i)
	}
	b := ask(ask(&Book{}, noon, true, names...), noon.Add(time.Hour), true)
	if len(b.Entries) != maxGone || b.Forgotten != 7 {
		t.Errorf("%d entries and %d forgotten, want %d and 7", len(b.Entries), b.Forgotten, maxGone)
	}
	b = ask(b, noon.Add(maxAge+2*time.Hour), true, "young")
	if len(b.Entries) != 1 || b.Forgotten != maxGone+7 {
		t.Errorf("%d entries and %d forgotten, after their time", len(b.Entries), b.Forgotten)
	}
}

// A Book never becomes larger than its bound: what went is dropped first, then the least bad.
func TestBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	name := func(prefix string) string { return fmt.Sprintf("%s%x%x", prefix, random.Uint64(), random.Uint64()) }
	var first, here []string
	for range 400 {
		first, here = append(first, name("old")), append(here, name("low"))
	}
	here = append(here, name("bad"), name("bad"))
	b := ask(ask(&Book{}, noon, true, first...), noon.Add(time.Hour), true, here...)
	for _, limit := range []int{16 << 10, 8 << 10, 1 << 10} {
		raw, err := encode(b, limit)
		if err != nil || len(raw) > limit {
			t.Fatalf("%v: %d bytes of %d", err, len(raw), limit)
		}
		kept, err := decode(raw)
		if err != nil || len(kept.Entries)+kept.Untold+kept.Forgotten != len(b.Entries) || len(kept.Entries) == 0 {
			t.Fatalf("%v: %d entries, %d untold, %d forgotten of %d", err, len(kept.Entries), kept.Untold, kept.Forgotten, len(b.Entries))
		}
		if kept.Untold > 0 && kept.Forgotten != len(first) || kept.Entries[0].Severity != check.High {
			t.Errorf("limit %d: %d untold while only %d of %d that went are forgotten; first %+v", limit, kept.Untold, kept.Forgotten, len(first), kept.Entries[0])
		}
		if len(b.Entries) != 802 || b.Untold+b.Forgotten != 0 {
			t.Fatal("the Book itself was changed")
		}
	}
}

// What had no room in the history is not new at each look; what is worse than all that had
// none is, if it was not there.
func TestNoRoomIsNotNew(t *testing.T) {
	names := []string{"bad"}
	r := rand.New(rand.NewPCG(1, 4))
	for range 200 {
		names = append(names, fmt.Sprintf("pod-%x%x", r.Uint64(), r.Uint64()))
	}
	raw, err := encode(ask(&Book{}, noon, true, names...), 4000)
	if err != nil {
		t.Fatal(err)
	}
	before, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if before.Untold == 0 || len(before.Entries) < 2 {
		t.Fatalf("%d had room, %d had none", len(before.Entries), before.Untold)
	}
	first := before.Entries[1].Object.Name // of those that are not bad
	var fresh []string
	for _, e := range ask(before, noon.Add(time.Hour), true, append(names, "badder", "pod-")...).Entries {
		if e.New {
			fresh = append(fresh, e.Object.Name)
		}
	}
	if want := []string{"badder", "pod-"}; !slices.Equal(fresh, want) || first <= "pod-" {
		t.Errorf("new are %v, want %v; %d had no room", fresh, want, before.Untold)
	}
	// Without any room nobody can tell of anything.
	before.Entries = nil
	for _, e := range ask(before, noon.Add(time.Hour), true, names...).Entries {
		if e.New {
			t.Errorf("%s is new", e.Object.Name)
		}
	}
}

func TestNoBook(t *testing.T) {
	other, err := pack(&Book{Schema: "strongkeep.io/check-history/v9"})
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{nil, []byte("x"), other, other[:len(other)-9]} {
		if b, err := decode(raw); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%.20q: %+v %v", raw, b, err)
		}
	}
}

// FuzzDecode: whatever lies in the ConfigMap is a Book that can be written again, or Invalid.
func FuzzDecode(f *testing.F) {
	raw, err := encode(ask(&Book{}, noon, true, "a"), maxStored)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := decode(raw)
		if err != nil {
			if errs.KindOf(err) != errs.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := encode(ask(b, noon, true, "b"), maxStored)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(again); err != nil {
			t.Fatal(err)
		}
	})
}
