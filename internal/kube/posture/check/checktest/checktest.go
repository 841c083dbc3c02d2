package checktest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Now is the time at which Run asks.
var Now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Ago is a time before Now.
func Ago(d time.Duration) time.Time { return Now.Add(-d) }

// Day is one.
const Day = 24 * time.Hour

// Case is a snapshot and what a check says of it.
type Case struct {
	Name     string
	Snapshot snapshot.Snapshot
	Settings check.Settings
	Answer   check.Answer
	// Findings are "Rule Kind namespace/name" of each, followed by " at field" if it has
	// one; in any order.
	Findings []string
	// Needs are words that have to occur in what it takes to tell.
	Needs []string
}

// Run asks c about each case, as if everything it needs had been read unless the
// case's Coverage says otherwise, and holds it to what every check promises: the
// same answer twice, a stable identity and a remedy of every finding, and no yes
// where anything it needs was not read.
func Run(t *testing.T, c check.Check, cases []Case) {
	t.Helper()
	if c.ID == "" || c.Title == "" || c.Judge == nil {
		t.Fatalf("a check has an ID, a title and a judge: %+v", c)
	}
	for _, k := range cases {
		t.Run(k.Name, func(t *testing.T) { one(t, c, &k) })
	}
	t.Run("what was not read is not judged", func(t *testing.T) {
		for _, need := range c.Needs {
			s := snapshot.Snapshot{Coverage: covered(c, nil)}
			s.Coverage[need] = snapshot.Gap{Reason: "no right"}
			if r := Judge(c, &s, check.Settings{}); r.Answer == check.Yes {
				t.Errorf("without %s it says yes", need)
			}
		}
	})
}

// covered is given, with all of c's needs that it does not speak of as read.
func covered(c check.Check, given snapshot.Coverage) snapshot.Coverage {
	out := snapshot.Coverage{}
	for _, need := range c.Needs {
		out[need] = snapshot.Gap{}
	}
	for r, gap := range given {
		out[r] = gap
	}
	return out
}

// Judge asks c about s.
func Judge(c check.Check, s *snapshot.Snapshot, settings check.Settings) *check.Result {
	return &check.Run([]check.Check{c}, check.NewInput(s, Now, settings), nil, nil).Results[0]
}

func one(t *testing.T, c check.Check, k *Case) {
	s := k.Snapshot
	s.Coverage = covered(c, k.Snapshot.Coverage)
	r := Judge(c, &s, k.Settings)
	if r.Answer != k.Answer {
		t.Errorf("it says %q (%s; needs %v), not %q", r.Answer, r.Summary, r.Needs, k.Answer)
	}
	if r.Summary == "" {
		t.Error("it has no summary")
	}
	var got []string
	for i := range r.Findings {
		got = append(got, Line(&r.Findings[i].Finding))
		sound(t, &r.Findings[i])
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(k.Findings))
	if !slices.Equal(got, want) {
		t.Errorf("findings:\n  %s\nnot:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	for _, n := range k.Needs {
		if !strings.Contains(strings.Join(r.Needs, "\n"), n) {
			t.Errorf("it needs %v, and not %q", r.Needs, n)
		}
	}
	if text(t, r) != text(t, Judge(c, &s, k.Settings)) {
		t.Error("asked again it answers something else")
	}
}

func text(t *testing.T, r *check.Result) string {
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Line is f as Case.Findings has it.
func Line(f *check.Finding) string {
	out := f.Rule + " " + f.Object.String()
	if f.Field != "" {
		out += " at " + f.Field
	}
	return out
}

// sound holds a finding to what every one has.
func sound(t *testing.T, m *check.Marked) {
	if m.Rule == "" || m.Object.Kind == "" || m.Object.Name == "" || m.Message == "" || !slices.Contains(check.Severities(), m.Severity) {
		t.Errorf("a finding has a rule, an object, a message and a severity: %+v", m.Finding)
	}
	if m.Fix == (check.Fix{}) {
		t.Errorf("%s has no fix", Line(&m.Finding))
	}
}
