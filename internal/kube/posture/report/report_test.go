package report_test

import (
	"bytes"
	stdjson "encoding/json"
	"encoding/xml"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/html"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/json"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/junit"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/sarif"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/table"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// hostile is a name as no API server takes it, and as a file may have it.
const hostile = "x\x1b[31m<script>alert(1)</script>&\"'"

func finding(rule, name string, s check.Severity) check.Marked {
	f := check.Finding{Check: "SEC-09", Rule: rule, Severity: s, Object: snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: name}, Field: "spec.x[a]", Message: "is wrong",
		Affected: []string{"Secret shop/a", "Secret shop/b", "Secret shop/c", "Secret shop/d"}, Count: 4, Fix: check.Fix{Patch: "a: 1\nb: 2\n"}}
	return check.Marked{Finding: f, Fingerprint: f.Fingerprint(), First: now}
}

// report has everything that a report may have.
func report() *check.Report {
	fresh, file, excepted := finding("EnvVariable", "web", check.Medium), finding("Literal", hostile, check.High), finding("EnvVariable", "old", check.Medium)
	fresh.New = true
	file.Place, file.Fix = "deploy/my app.yaml: document 2, item 3", check.Fix{Command: "do -it"}
	exception := &check.Exception{Check: "SEC-09", Name: "old", Owner: "team", Reason: "vendor", Until: now.AddDate(0, 1, 0)}
	excepted.Excepted, excepted.Fix = exception, check.Fix{Text: "Do it."}
	return &check.Report{
		Schema: check.Schema, Source: "https://10.0.0.1:6443", Taken: now, Missing: []string{"pods could not be read: no right"}, Wrong: []string{"a.yaml: document 1: this is not YAML"},
		Results: []check.Result{
			{ID: "SEC-03", Title: "least privilege", Answer: check.Unknown, Needs: []string{"pods could not be read: no right"}, Summary: "nothing seen"},
			{ID: "SEC-08", Title: "tokens", Answer: check.Yes, Summary: "3 tokens", Evidence: []check.Evidence{{Object: snapshot.Ref{Kind: "Secret", Namespace: "a", Name: "t"}, Field: "f", Fact: "ends"}}},
			{ID: "SEC-09", Title: "files", Answer: check.No, Summary: "3 of 4", Findings: []check.Marked{fresh, file, file, excepted}},
		},
		Ended: []check.Exception{*exception}, Idle: []check.Exception{*exception}, Gone: []string{strings.Repeat("a", 32)},
	}
}

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var first, second bytes.Buffer
	if err := write(&first); err != nil {
		t.Fatal(err)
	}
	if err := write(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("written twice it is something else")
	}
	return first.String()
}

func failing(m *check.Marked) bool { return m.Excepted == nil && m.Severity.AtLeast(check.High) }

// TestSchema: the schema in the documentation is that of what is written, no field more.
func TestSchema(t *testing.T) {
	text := written(t, func(w io.Writer) error { return json.Write(w, report()) })
	raw, err := os.ReadFile("../../../../docs/checks/check.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	// The library knows the dialect of OpenAPI: definitions are put where they are used.
	var whole map[string]any
	if err := stdjson.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	definitions := whole["$defs"].(map[string]any)
	for _, key := range []string{"$schema", "$id", "$defs"} {
		delete(whole, key)
	}
	raw, err = stdjson.Marshal(inlined(whole, definitions))
	if err != nil {
		t.Fatal(err)
	}
	var schema openapi3.Schema
	if err := stdjson.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	var value any
	if err := stdjson.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	if err := schema.VisitJSON(value); err != nil {
		t.Errorf("the report is not as docs/checks/check.schema.json says: %v", err)
	}
	value.(map[string]any)["surprise"] = 1
	if schema.VisitJSON(value) == nil {
		t.Error("the schema takes anything")
	}
	back, err := check.ReadReport("r", strings.NewReader(text))
	if err != nil || !reflect.DeepEqual(back, report()) {
		t.Errorf("%v: read back it is %+v", err, back)
	}
}

func inlined(v any, definitions map[string]any) any {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			return inlined(definitions[strings.TrimPrefix(ref, "#/$defs/")], definitions)
		}
		out := map[string]any{}
		for k, x := range v {
			out[k] = inlined(x, definitions)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = inlined(v[i], definitions)
		}
		return out
	}
	return v
}

// TestSARIF: what code hosts demand is there, and a finding keeps its identity.
func TestSARIF(t *testing.T) {
	text := written(t, func(w io.Writer) error { return sarif.Write(w, report(), sarif.Options{Version: "1", Compared: true}) })
	var log struct {
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Rules []struct{ ID string } `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
			Invocations []struct {
				Notes []struct{ Message struct{ Text string } } `json:"toolExecutionNotifications"`
			} `json:"invocations"`
			Results []struct {
				RuleID    string `json:"ruleId"`
				RuleIndex int    `json:"ruleIndex"`
				Level     string `json:"level"`
				Locations []struct {
					Physical struct {
						File struct{ URI string } `json:"artifactLocation"`
					} `json:"physicalLocation"`
				} `json:"locations"`
				Prints       map[string]string `json:"partialFingerprints"`
				Baseline     string            `json:"baselineState"`
				Suppressions []struct{ Kind string }
			} `json:"results"`
		} `json:"runs"`
	}
	if err := stdjson.Unmarshal([]byte(text), &log); err != nil || log.Version != "2.1.0" {
		t.Fatalf("%v: %s", err, log.Version)
	}
	run, want := log.Runs[0], report().Results[2].Findings
	if len(run.Results) != len(want) || len(run.Tool.Driver.Rules) != 2 {
		t.Fatalf("%+v", run)
	}
	for i, r := range run.Results {
		if r.Prints["strongkeepFinding/v1"] != want[i].Fingerprint || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || len(r.Locations) != 1 {
			t.Errorf("%+v", r)
		}
	}
	if r := run.Results; r[0].Baseline != "new" || r[1].Baseline != "unchanged" || r[0].Level != "warning" || r[1].Level != "error" || len(r[3].Suppressions) != 1 || len(r[0].Suppressions) != 0 {
		t.Errorf("%+v", r)
	}
	if a, b := run.Results[0].Locations[0].Physical.File.URI, run.Results[1].Locations[0].Physical.File.URI; a != "cluster/shop/Deployment/web" || b != "deploy/my%20app.yaml" {
		t.Errorf("places %q and %q", a, b)
	}
	if notes := run.Invocations[0].Notes; len(notes) != 2 || !strings.Contains(notes[0].Message.Text, "SEC-03: cannot tell") {
		t.Errorf("what could not be told: %+v", notes)
	}
	empty := written(t, func(w io.Writer) error { return sarif.Write(w, &check.Report{Taken: now}, sarif.Options{}) })
	if !strings.Contains(empty, `"results": []`) {
		t.Errorf("without findings it does not say that there are none: %s", empty)
	}
}

// TestJUnit: a question fails by what fails the command, and is skipped if it was not answered.
func TestJUnit(t *testing.T) {
	text := written(t, func(w io.Writer) error { return junit.Write(w, report(), failing) })
	var out struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suite    struct {
			Skipped int `xml:"skipped,attr"`
			Cases   []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Text string `xml:",chardata"`
				} `xml:"failure"`
				Skipped *struct {
					Message string `xml:"message,attr"`
				} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	c := out.Suite.Cases
	if out.Tests != 3 || out.Failures != 1 || out.Suite.Skipped != 1 || c[0].Skipped == nil || c[1].Failure != nil || c[2].Failure == nil {
		t.Fatalf("%s", text)
	}
	if !strings.Contains(c[2].Failure.Text, "Literal") || strings.Contains(c[2].Failure.Text, "EnvVariable") {
		t.Errorf("it fails by %q", c[2].Failure.Text)
	}
	none := written(t, func(w io.Writer) error { return junit.Write(w, report(), func(*check.Marked) bool { return false }) })
	if strings.Contains(none, "<failure") {
		t.Errorf("nothing is failing: %s", none)
	}
}

// TestTable: answers first, what is new is marked, and names cannot steer the terminal.
func TestTable(t *testing.T) {
	text := written(t, func(w io.Writer) error { return table.Write(w, report(), table.Options{}) })
	for _, want := range []string{
		"1 yes, 1 no, 1 cannot tell", "1 new finding since the report before, 1 gone", "SEC-09  no", "needs: pods could not be read",
		"NEW medium EnvVariable  Deployment shop/web spec.x[a]", "affects Secret shop/a, Secret shop/b, Secret shop/c and 1 more", "next: do -it", "strongkeep check --only=SEC-09 --all",
		"accepted by team until 2026-12-22", "Exceptions that have ended:", "Exceptions that cover nothing:", "(deploy/my app.yaml: document 2, item 3)", "a.yaml: document 1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("a name steers the terminal")
	}
	if strings.Contains(text, "| a: 1") || strings.Contains(text, "Secret shop/d") {
		t.Error("it shows all without being asked to")
	}
	all := written(t, func(w io.Writer) error { return table.Write(w, report(), table.Options{All: true}) })
	for _, want := range []string{"| a: 1", "affects 4: Secret shop/a, Secret shop/b, Secret shop/c, Secret shop/d", "seen: Secret a/t ends"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in:\n%s", want, all)
		}
	}
	r := report()
	for range 20 {
		r.Results[2].Findings = append(r.Results[2].Findings, finding("EnvVariable", "more", check.Low))
	}
	if text := written(t, func(w io.Writer) error { return table.Write(w, r, table.Options{}) }); !strings.Contains(text, "and 19 more: strongkeep check --only=SEC-09 --all") {
		t.Errorf("many:\n%s", text)
	}
}

// TestHTML: one file without scripts and without anything from elsewhere; each link
// leads somewhere, and names are text.
func TestHTML(t *testing.T) {
	text := written(t, func(w io.Writer) error { return html.Write(w, report()) })
	for _, never := range []string{"<script", "http://", "@import", "url(", "src=", "\x1b<"} {
		if strings.Contains(text, never) {
			t.Errorf("it has %q", never)
		}
	}
	if !strings.Contains(text, "default-src &#39;none&#39;") && !strings.Contains(text, "default-src 'none'") {
		t.Error("nothing forbids the browser to load more")
	}
	for _, want := range []string{`lang="en"`, "<caption>", `scope="col"`, "@media print", "&lt;script&gt;", "cannot tell", "accepted by team until 2026-12-22", "first seen 2026-11-22", "a: 1\nb: 2"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	var ids, links []string
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if slices.Contains(ids, m[1]) {
			t.Errorf("two things have the id %s", m[1])
		}
		ids = append(ids, m[1])
	}
	for _, m := range regexp.MustCompile(`href="#([^"]*)"|aria-labelledby="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		links = append(links, m[1]+m[2])
	}
	for _, l := range links {
		if !slices.Contains(ids, l) {
			t.Errorf("a link leads to %q, which is not there", l)
		}
	}
	if len(links) < 5 {
		t.Errorf("only %d links were found", len(links))
	}
}

// TestNobodyListens: a reader that is gone is an error and no panic.
func TestNobodyListens(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"table": func(w io.Writer) error { return table.Write(w, report(), table.Options{}) },
		"json":  func(w io.Writer) error { return json.Write(w, report()) },
		"sarif": func(w io.Writer) error { return sarif.Write(w, report(), sarif.Options{}) },
		"junit": func(w io.Writer) error { return junit.Write(w, report(), failing) },
		"html":  func(w io.Writer) error { return html.Write(w, report()) },
	} {
		if write(gone{}) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
