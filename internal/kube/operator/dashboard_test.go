package operator

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/measure"
	"github.com/strongkeep/strongkeep/internal/kube/posture/keeper"
)

// expression is one of the dashboard or the alerts, and where it stands.
type expression struct{ where, text string }

// expressions reads what is shipped.
func expressions(t *testing.T) (all []expression) {
	t.Helper()
	read := func(file string, into any) {
		raw, err := os.ReadFile(file)
		if err == nil {
			err = yaml.UnmarshalStrict(raw, into)
		}
		if err != nil {
			t.Fatal(file, err)
		}
	}
	var board map[string]any
	read("../../../deploy/dashboards/operator.json", &board)
	ids := map[any]bool{}
	for _, p := range board["panels"].([]any) {
		panel := p.(map[string]any)
		if ids[panel["id"]] {
			t.Errorf("two panels have the id %v", panel["id"])
		}
		ids[panel["id"]] = true
		targets, _ := panel["targets"].([]any)
		if panel["type"] != "row" && len(targets) == 0 {
			t.Errorf("panel %v shows nothing", panel["title"])
		}
		for _, target := range targets {
			all = append(all, expression{"panel " + panel["title"].(string), target.(map[string]any)["expr"].(string)})
		}
	}
	var file struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	}
	for _, name := range []string{"alerts-sync.yaml", "alerts-checks.yaml"} {
		file.Groups = nil
		read("../../../deploy/operator/"+name, &file)
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if _, err := time.ParseDuration(r.For); err != nil || r.Alert == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
					t.Errorf("rule %+v lacks something: %v", r, err)
				}
				all = append(all, expression{"alert " + r.Alert, r.Expr})
			}
		}
	}
	return all
}

var (
	quoted    = regexp.MustCompile(`"[^"]*"`)
	selector  = regexp.MustCompile(`\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?:\{([^}]*)\})?`)
	matcher   = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	function  = regexp.MustCompile(`\b[a-z_]+\s*\(`)
	sample    = regexp.MustCompile(`(?m)^(\w+)(?:\{([^}]*)\})? `)
	described = regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`)
)

// known are the names of series with their labels: those that the process shows,
// and those that it registers and that nothing has happened for yet.
func known(t *testing.T, metrics string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, m := range sample.FindAllStringSubmatch(metrics, -1) {
		for _, l := range matcher.FindAllStringSubmatch(quoted.ReplaceAllString(m[2], `""`), -1) {
			out[m[1]] = append(out[m[1]], l[1])
		}
		out[m[1]] = append(out[m[1]], "")
	}
	m := newMetrics(clock.RealClock{})
	for _, c := range []prometheus.Collector{measure.NewMetrics(), keeper.NewMetrics(clock.RealClock{})} {
		if err := m.registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	descs := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(descs)
	close(descs)
	for d := range descs {
		found := described.FindStringSubmatch(d.String())
		if found == nil {
			t.Fatalf("a description of a form that this test does not know: %s", d)
		}
		for _, suffix := range []string{"", "_count", "_bucket", "_sum"} {
			if out[found[1]+suffix] == nil || suffix == "" {
				out[found[1]+suffix] = append(out[found[1]+suffix], append(strings.Split(found[2], ","), "le", "")...)
			}
		}
	}
	return out
}

// Every series that the dashboard and the alerts name is one that the process shows,
// with the labels they name.
func TestDashboardAndAlertsNameRealMetrics(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("fine", oneKey))
	w.es("fine", v1.ReasonSecretSynced, "")
	answer, err := http.Get("http://" + w.at.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	exists := known(t, string(text))
	named := map[string]bool{}
	all := expressions(t)
	for _, e := range all {
		if strings.Count(e.text, "(") != strings.Count(e.text, ")") || strings.Count(e.text, "{") != strings.Count(e.text, "}") {
			t.Errorf("%s: brackets that do not match: %s", e.where, e.text)
		}
		plain := quoted.ReplaceAllString(e.text, `""`)
		functions := function.FindAllString(plain, -1)
		for _, s := range selector.FindAllStringSubmatch(plain, -1) {
			if slices.ContainsFunc(functions, func(f string) bool { return strings.TrimRight(f, " (") == s[1] }) {
				continue
			}
			named[s[1]] = true
			labels, ok := exists[s[1]]
			if !ok {
				t.Errorf("%s names %s, which there is not", e.where, s[1])
			}
			for _, l := range matcher.FindAllStringSubmatch(s[2], -1) {
				if ok && !slices.Contains(labels, l[1]) {
					t.Errorf("%s names %s by %s, which it does not have (%v)", e.where, s[1], l[1], slices.Compact(slices.Sorted(slices.Values(labels))))
				}
			}
		}
	}
	for _, must := range []string{"strongkeep_externalsecret_data_age_seconds", "strongkeep_externalsecret_sync_seconds_bucket", "externalsecret_provider_api_calls_count", "strongkeep_check_findings_new", "strongkeep_check_answer", "strongkeep_checks_snapshot_age_seconds"} {
		if !named[must] {
			t.Errorf("nothing shows %s", must)
		}
	}
	for _, by := range byOthers {
		for _, e := range all {
			if strings.Contains(e.text, "by=~") && strings.Contains(e.text, by) == (by == "webhook") {
				t.Errorf("%s is about queues, and %s is one of them or is not: %s", e.where, by, e.text)
			}
		}
	}
	if raw, err := json.Marshal(named); err != nil || len(named) < 10 {
		t.Errorf("only %s are named (%v)", raw, err)
	}
}
