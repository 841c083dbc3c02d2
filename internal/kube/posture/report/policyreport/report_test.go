package policyreport

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

var options = Options{Tried: func(id string) bool { return id == "SEC-05" }, Since: func(string) time.Time { return noon }}

func finding(id, namespace, name string, severity check.Severity) check.Marked {
	f := check.Finding{Check: id, Rule: "R", Severity: severity, Object: snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: namespace, Name: name}, Message: name + " is wrong"}
	return check.Marked{Finding: f, Fingerprint: f.Fingerprint(), First: noon}
}

func excepted(m check.Marked) check.Marked {
	m.Excepted = &check.Exception{Owner: "team", Reason: "known", Until: noon.AddDate(0, 0, 1)}
	return m
}

func sample() *check.Report {
	return &check.Report{
		Results: []check.Result{
			{ID: "SEC-01", Answer: check.Yes, Summary: "all is well"},
			{ID: "SEC-02", Answer: check.Unknown, Needs: []string{"--encryption-config"}},
			{ID: "SEC-03", Answer: check.No, Findings: []check.Marked{
				finding("SEC-03", "shop", "low", check.Low), finding("SEC-03", "shop", "critical", check.Critical), excepted(finding("SEC-03", "shop", "accepted", check.Critical)),
				finding("SEC-03", "shop", "info", check.Info), finding("SEC-03", "", "global", check.High),
			}},
			{ID: "SEC-04", Answer: check.Partly},
			{ID: "SEC-05", Answer: check.Unknown, Needs: []string{"secrets/values were not read"}},
		},
		Ended: []check.Exception{{Check: "SEC-09", Owner: "team", Reason: "known", Until: noon}},
	}
}

// rows are the results of a report, each as "result severity policy rule message".
func rows(t *testing.T, o *unstructured.Unstructured) []string {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	var out []string
	var counted summary
	for i := range r.Results {
		x := &r.Results[i]
		counted.count(x)
		if x.Source != source || x.Scored != (x.Result == pass || x.Result == fail) {
			t.Errorf("%+v", x)
		}
		out = append(out, strings.Join([]string{x.Result, x.Severity, x.Policy, x.Rule, x.Message}, " "))
	}
	if counted != r.Summary {
		t.Errorf("%s counts %+v, has %+v", o.GetName(), r.Summary, counted)
	}
	return out
}

func TestMake(t *testing.T) {
	for _, f := range Families() {
		made, err := Make(f, sample(), options)
		if err != nil || len(made) != 2 {
			t.Fatalf("%v: %d reports", err, len(made))
		}
		global, local := made[0], made[1]
		if global.GetKind() != f.Global.Kind || local.GetKind() != f.Local.Kind || local.GetNamespace() != "shop" || global.GetNamespace() != "" || local.GetName() != Name || local.GetAPIVersion() != f.String() {
			t.Errorf("%v %v", global.GetKind(), local.GetKind())
		}
		if _, has := local.Object["source"]; has != f.sourced {
			t.Errorf("%s: source %v", f, has)
		}
		want := []string{
			"pass  SEC-01 Answer yes: all is well", "skip  SEC-02 Answer cannot tell: needs: --encryption-config", "fail critical SEC-03 Answer no", "warn medium SEC-04 Answer partly",
			"error  SEC-05 Answer cannot tell: needs: secrets/values were not read",
			"warn medium SEC-09 ExceptionEnded The exception of team has ended with 2026-11-01: its findings count again. Mend them, or have somebody accept them anew",
			"fail high SEC-03 R global is wrong",
		}
		if got := rows(t, global); !slices.Equal(got, want) {
			t.Errorf("%s of the cluster:\n%s\nwant:\n%s", f, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		want = []string{
			"fail critical SEC-03 R critical is wrong", "fail low SEC-03 R low is wrong", "warn info SEC-03 R info is wrong", "skip critical SEC-03 R accepted is wrong",
		}
		if got := rows(t, local); !slices.Equal(got, want) {
			t.Errorf("%s of shop:\n%s\nwant:\n%s", f, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		again, err := Make(f, sample(), options)
		if err != nil || !Same(made[0], again[0]) || !Same(made[1], again[1]) || Same(made[0], made[1]) {
			t.Errorf("%v: the same is not the same", err)
		}
	}
}

// Reports are split while each is small enough, and what has no room is counted.
func TestLarge(t *testing.T) {
	for _, c := range []struct {
		name          string
		findings      int
		message       string
		parts, beyond int
	}{
		{"some", maxResults, "m", 1, 0},
		{"one more", maxResults + 1, "m", 2, 0},
		{"long ones", 1500, strings.Repeat("ä", 5000), 4, 0},
		{"too many", maxResults*maxReports + 23, "m", maxReports, 23},
	} {
		r := &check.Report{Results: []check.Result{{ID: "SEC-03", Answer: check.No}}}
		for i := range c.findings {
			m := finding("SEC-03", "shop", fmt.Sprint("p", i), check.High)
			m.Message = c.message
			r.Results[0].Findings = append(r.Results[0].Findings, m)
		}
		made, err := Make(Families()[0], r, options)
		if err != nil || len(made) != c.parts+1 {
			t.Fatalf("%s: %v: %d reports, want %d", c.name, err, len(made), c.parts+1)
		}
		total, names := 0, map[string]bool{}
		for _, o := range made[1:] {
			raw, err := json.Marshal(o)
			if err != nil || len(raw) > 1<<20 {
				t.Errorf("%s: %v: %d bytes", c.name, err, len(raw))
			}
			total += len(rows(t, o))
			names[o.GetName()] = true
		}
		if len(names) != c.parts || !names[Name] {
			t.Errorf("%s: names %v", c.name, names)
		}
		last := rows(t, made[len(made)-1])
		beyond := strings.Contains(last[len(last)-1], fmt.Sprintf("Truncated %d results more", c.beyond))
		if beyond != (c.beyond > 0) || total != min(c.findings, maxResults*maxReports)+b2i(beyond) {
			t.Errorf("%s: %d results, the last %s", c.name, total, last[len(last)-1])
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
