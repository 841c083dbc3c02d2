package check_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// says is a check that needs secrets and always says v.
func says(id string, v check.Verdict) check.Check {
	return check.Check{ID: id, Title: "t", Needs: []string{"secrets"}, Judge: func(*check.Input) check.Verdict { return v }}
}

func input(coverage snapshot.Coverage) *check.Input {
	return check.NewInput(&snapshot.Snapshot{Source: "test", Taken: now, Coverage: coverage}, now, check.Settings{})
}

var all = snapshot.Coverage{"secrets": {}}

func finding(rule, name string, s check.Severity) check.Finding {
	return check.Finding{Rule: rule, Severity: s, Object: snapshot.Ref{Kind: "Secret", Namespace: "shop", Name: name}, Message: "m"}
}

// TestAnswersAreWeighed: nothing that was not read is judged, whatever a check says.
func TestAnswersAreWeighed(t *testing.T) {
	forbidden := snapshot.Coverage{"secrets": {Reason: "no right"}}
	partly := snapshot.Coverage{"secrets": {Reason: "no right", Namespaces: []string{"b", "a"}}}
	for name, k := range map[string]struct {
		says     check.Verdict
		coverage snapshot.Coverage
		answer   check.Answer
		needs    []string
	}{
		"yes":                        {check.Verdict{Answer: check.Yes}, all, check.Yes, nil},
		"yes, forbidden":             {check.Verdict{Answer: check.Yes}, forbidden, check.Unknown, []string{"secrets could not be read: no right"}},
		"yes, in part":               {check.Verdict{Answer: check.Yes}, partly, check.Unknown, []string{"secrets of a, b could not be read: no right"}},
		"yes, never asked for":       {check.Verdict{Answer: check.Yes}, nil, check.Unknown, []string{"secrets were not read"}},
		"yes, with needs of its own": {check.Verdict{Answer: check.Yes, Needs: []string{"a log"}}, all, check.Unknown, []string{"a log"}},
		"no, forbidden":              {check.Verdict{Answer: check.No}, forbidden, check.No, []string{"secrets could not be read: no right"}},
		"partly, forbidden":          {check.Verdict{Answer: check.Partly}, forbidden, check.Partly, []string{"secrets could not be read: no right"}},
		"nothing":                    {check.Verdict{}, all, check.Unknown, nil},
		"a word of its own":          {check.Verdict{Answer: "surely"}, all, check.Unknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := check.Run([]check.Check{says("SEC-90", k.says)}, input(k.coverage), nil, nil)
			if got := r.Results[0]; got.Answer != k.answer || !slices.Equal(got.Needs, k.needs) {
				t.Errorf("%q, needs %q; not %q, %q", got.Answer, got.Needs, k.answer, k.needs)
			}
		})
	}
}

// TestIdentity: a fingerprint is of what the finding is about, and of nothing else.
func TestIdentity(t *testing.T) {
	base := finding("R", "db", check.High)
	base.Check = "SEC-90"
	same := base
	same.Message, same.Severity, same.Affected, same.Count, same.Place = "other", check.Low, []string{"x"}, 3, "f.yaml"
	if base.Fingerprint() != same.Fingerprint() || len(base.Fingerprint()) != 32 {
		t.Errorf("%s and %s", base.Fingerprint(), same.Fingerprint())
	}
	prints := map[string]bool{base.Fingerprint(): true}
	for _, change := range []func(*check.Finding){
		func(f *check.Finding) { f.Check = "SEC-91" }, func(f *check.Finding) { f.Rule = "S" },
		func(f *check.Finding) { f.Field = "x" }, func(f *check.Finding) { f.Object.Group = "apps" },
		func(f *check.Finding) { f.Object.Namespace, f.Object.Name = "shopd", "b" }, func(f *check.Finding) { f.Object.Kind = "ConfigMap" },
	} {
		other := base
		change(&other)
		if prints[other.Fingerprint()] {
			t.Errorf("%+v has the identity of another", other)
		}
		prints[other.Fingerprint()] = true
	}
	if want := "5fd1723c5ebc5e0faed28b066c166671"; base.Fingerprint() != want {
		t.Errorf("the fingerprint %s of a finding changed: every report that was kept is of no use then", base.Fingerprint())
	}
}

// TestOrder: what counts first, of it the new, then the worst; always the same.
func TestOrder(t *testing.T) {
	v := check.Verdict{Answer: check.No, Findings: []check.Finding{
		finding("R", "b", check.Low), finding("R", "excepted", check.Critical), finding("R", "a", check.High), finding("R", "fresh", check.Info), finding("R", "b", check.Low),
	}}
	var known []check.Finding
	for _, f := range v.Findings {
		if f.Object.Name != "fresh" {
			known = append(known, f)
		}
	}
	before := check.Run([]check.Check{says("SEC-90", check.Verdict{Answer: check.No, Findings: known})}, input(all), nil, nil)
	r := check.Run([]check.Check{says("SEC-91", check.Verdict{Answer: check.Yes}), says("SEC-90", v)}, input(all), before,
		[]check.Exception{{Check: "SEC-90", Name: "exc*", Owner: "o", Reason: "r", Until: now.Add(time.Hour)}})
	if r.Results[0].ID != "SEC-90" {
		t.Errorf("results are not in the order of their checks: %v", r.Results[0].ID)
	}
	var got []string
	for _, m := range r.Results[0].Findings {
		got = append(got, m.Object.Name)
	}
	if want := []string{"fresh", "a", "b", "excepted"}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

// TestNewAndGone: what the report before did not have is new; what it had and is not
// there any more is gone, if the check could have seen it.
func TestNewAndGone(t *testing.T) {
	old := check.Run([]check.Check{
		says("SEC-90", check.Verdict{Answer: check.No, Findings: []check.Finding{finding("R", "stays", check.High), finding("R", "mended", check.High)}}),
		says("SEC-91", check.Verdict{Answer: check.No, Findings: []check.Finding{finding("R", "hidden", check.High)}}),
		says("SEC-92", check.Verdict{Answer: check.No, Findings: []check.Finding{finding("R", "unasked", check.High)}}),
	}, input(all), nil, nil)
	for _, m := range old.Results[0].Findings {
		if m.New || !m.First.Equal(now) {
			t.Errorf("without a report before, %+v", m)
		}
	}
	blind := says("SEC-91", check.Verdict{Answer: check.Yes})
	blind.Needs = []string{"pods"}
	in := input(all)
	in.Taken = now.Add(time.Hour)
	r := check.Run([]check.Check{says("SEC-90", check.Verdict{Answer: check.No, Findings: []check.Finding{finding("R", "stays", check.High), finding("R", "fresh", check.Low)}}), blind}, in, old, nil)
	for _, m := range r.Results[0].Findings {
		if fresh := m.Object.Name == "fresh"; m.New != fresh || m.First.Equal(now) == fresh {
			t.Errorf("%s: new %v, first seen %v", m.Object.Name, m.New, m.First)
		}
	}
	mended := finding("R", "mended", check.High)
	mended.Check = "SEC-90"
	if !slices.Equal(r.Gone, []string{mended.Fingerprint()}) {
		t.Errorf("gone are %v", r.Gone)
	}
	if n := len(r.Counting(check.Info, true)); n != 1 {
		t.Errorf("%d findings are new", n)
	}
	if n := len(r.Counting(check.High, false)); n != 1 {
		t.Errorf("%d findings are high", n)
	}
}

// TestExceptions: one that has ended covers nothing and is said; one that covers
// nothing is said, unless its check was not asked.
func TestExceptions(t *testing.T) {
	const file = `
exceptions:
- {check: SEC-90, namespace: "sh?p", owner: team, reason: vendor, until: 2026-11-22}
- {check: SEC-90, rule: Q, owner: team, reason: ended, until: 2026-11-21}
- {check: SEC-90, name: nothing, owner: team, reason: idle, until: 2027-01-01}
- {check: SEC-77, owner: team, reason: not asked, until: "2027-01-01T00:00:00Z"}
`
	exceptions, err := check.ReadExceptions("x.yaml", strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	other := finding("Q", "db", check.High)
	other.Object.Namespace = "prod"
	r := check.Run([]check.Check{says("SEC-90", check.Verdict{Answer: check.No, Findings: []check.Finding{finding("R", "db", check.High), other}})}, input(all), nil, exceptions)
	for _, m := range r.Results[0].Findings {
		if (m.Excepted != nil) != (m.Object.Namespace == "shop") {
			t.Errorf("%s: %+v", m.Object, m.Excepted)
		}
	}
	if len(r.Ended) != 1 || r.Ended[0].Reason != "ended" || len(r.Idle) != 1 || r.Idle[0].Reason != "idle" {
		t.Errorf("ended %v, idle %v", r.Ended, r.Idle)
	}
	if n := len(r.Counting(check.Info, false)); n != 1 {
		t.Errorf("%d findings count, and one is excepted of two", n)
	}
	print := r.Results[0].Findings[1].Fingerprint
	r = check.Run([]check.Check{says("SEC-90", check.Verdict{Answer: check.No, Findings: []check.Finding{finding("R", "db", check.High), other}})}, input(all), nil,
		[]check.Exception{{Fingerprint: print, Owner: "o", Reason: "r", Until: now.Add(1)}})
	if n := len(r.Counting(check.Info, false)); n != 1 {
		t.Errorf("an exception by fingerprint: %d findings count", n)
	}
}

// TestBadExceptions: an exception without an owner, a reason or an end is none.
func TestBadExceptions(t *testing.T) {
	for _, text := range []string{
		"exceptions: [{check: SEC-90, reason: r, until: 2027-01-01}]",
		"exceptions: [{check: SEC-90, owner: o, until: 2027-01-01}]",
		"exceptions: [{check: SEC-90, owner: o, reason: r}]",
		"exceptions: [{check: SEC-90, owner: o, reason: r, until: never}]",
		"exceptions: [{owner: o, reason: r, until: 2027-01-01}]",
		"exceptions: [{check: SEC-90, names: x, owner: o, reason: r, until: 2027-01-01}]",
		"exceptions: [{check: SEC-90, name: '[', owner: o, reason: r, until: 2027-01-01}]",
		"- {", "exceptions: 3",
	} {
		if _, err := check.ReadExceptions("x.yaml", strings.NewReader(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestReportReadsBack: a report that was written is the one before the next.
func TestReportReadsBack(t *testing.T) {
	r := check.Run([]check.Check{says("SEC-90", check.Verdict{Answer: check.No, Findings: []check.Finding{finding("R", "db", check.High)}})}, input(all), nil, nil)
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := check.ReadReport("r.json", bytes.NewReader(raw))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%v: %+v, not %+v", err, got, r)
	}
	for _, text := range []string{"", "{", `{"schema":"strongkeep.io/check/v9"}`, `[]`} {
		if _, err := check.ReadReport("r.json", strings.NewReader(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := check.ReadReport("r.json", strings.NewReader(strings.Repeat(" ", 65<<20))); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a large one: %v", err)
	}
}

// TestTheExampleOfExceptions: what the documentation shows is a file of exceptions.
func TestTheExampleOfExceptions(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/checks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	all, err := check.ReadExceptions("README.md", strings.NewReader(example))
	if err != nil || len(all) != 1 || !all[0].Until.Equal(time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v: %+v", err, all)
	}
}
