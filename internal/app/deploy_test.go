package app_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/app"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

// expression is one of the dashboard or the alerts, and where it stands.
type expression struct{ where, text string }

func load(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
	if err == nil {
		err = yaml.UnmarshalStrict(raw, into)
	}
	if err != nil {
		t.Fatal(file, err)
	}
}

// shipped reads what is shipped.
func shipped(t *testing.T) (all []expression) {
	t.Helper()
	var board struct {
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", "dashboards", "server.json"))
	if err == nil {
		err = yaml.Unmarshal(raw, &board)
	}
	if err != nil || len(board.Panels) == 0 {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q has the ID of another, or shows nothing", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			all = append(all, expression{"panel " + p.Title, target.Expr})
		}
	}
	for _, name := range []string{"server/alerts.yaml", "server/alerts-seals.yaml", "server/alerts-cluster.yaml"} {
		all = append(all, rules(t, name)...)
	}
	return all
}

// rules are the alerts of a file.
func rules(t *testing.T, name string) (all []expression) {
	t.Helper()
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
	load(t, name, &file)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if _, err := time.ParseDuration(strings.Replace(r.For, "1d", "24h", 1)); err != nil && r.For != "" || r.Alert == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("rule %+v lacks something: %v", r, err)
			}
			all = append(all, expression{"alert " + r.Alert, r.Expr})
		}
	}
	if len(all) == 0 {
		t.Errorf("%s has no alerts", name)
	}
	return all
}

var (
	quoted   = regexp.MustCompile(`"[^"]*"`)
	grouping = regexp.MustCompile(`\b(?:by|without) \([^)]*\)`)
	series   = regexp.MustCompile(`\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+|up)\b(?:\{([^}]*)\})?(\s*\()?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	sample   = regexp.MustCompile(`(?m)^(\w+)(?:\{([^}]*)\})? `)
)

// Every series that the dashboard and the alerts of the server name is one that a server shows,
// with the labels they name; job and instance are of the scrape.
func TestDashboardAndAlertsNameRealMetrics(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if _, err := keyfile.Generate(key); err != nil {
		t.Fatal(err)
	}
	v := testenv.Start(t, func(c *app.ServerConfig) { c.UnsealKeyFile = key })
	v.HTTP(http.MethodGet, "sys/mounts", nil) // so that one is counted
	var shown testenv.Answer
	await.Until(t, "the unseal key was tried", func() bool {
		shown = v.HTTP(http.MethodGet, "sys/metrics?format=prometheus", nil)
		return strings.Contains(shown.Body, "strongkeep_seal_works{")
	})
	exists := map[string][]string{"up": {"job", "instance"}}
	for _, m := range sample.FindAllStringSubmatch(shown.Body+clusterMetrics(t), -1) {
		exists[m[1]] = append(exists[m[1]], "job", "instance")
		for _, l := range matcher.FindAllStringSubmatch(quoted.ReplaceAllString(m[2], `""`), -1) {
			exists[m[1]] = append(exists[m[1]], l[1])
		}
	}
	named := map[string]bool{}
	for _, e := range shipped(t) {
		if strings.Count(e.text, "(") != strings.Count(e.text, ")") || strings.Count(e.text, "{") != strings.Count(e.text, "}") {
			t.Errorf("%s: brackets that do not match: %s", e.where, e.text)
		}
		plain := grouping.ReplaceAllString(quoted.ReplaceAllString(e.text, `""`), "")
		for _, s := range series.FindAllStringSubmatch(plain, -1) {
			if s[3] != "" {
				continue // a function
			}
			named[s[1]] = true
			labels, ok := exists[s[1]]
			if !ok {
				t.Errorf("%s names %s, which there is not", e.where, s[1])
				continue
			}
			for _, l := range matcher.FindAllStringSubmatch(s[2], -1) {
				if !slices.Contains(labels, l[1]) {
					t.Errorf("%s names %s by %s, which it does not have", e.where, s[1], l[1])
				}
			}
		}
	}
	for name := range exists {
		if strings.HasPrefix(name, "strongkeep_audit_failing") && !named[name] {
			t.Errorf("nothing shows %s", name)
		}
	}
	if len(named) < 20 {
		t.Errorf("only %d series are named: is anything read?", len(named))
	}
}

// clusterMetrics are the metrics of a server that is a cluster of one.
func clusterMetrics(t *testing.T) string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "cluster.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := port.Free(port.Host())
	if err != nil {
		t.Fatal(err)
	}
	at := net.JoinHostPort(port.Host(), strconv.Itoa(free))
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Storage, c.ClusterKeyFile, c.ClusterNode, c.ClusterListen = "cluster", key, "n", at
		c.ClusterMembers = []string{"n=https://" + at}
	})
	return v.HTTP(http.MethodGet, "sys/metrics?format=prometheus", nil).Body
}

// The unit is one that systemd takes, and it lets the server do little.
func TestUnit(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", "strongkeep.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := string(raw)
	for _, line := range []string{"LimitCORE=0", "MemorySwapMax=0", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryDenyWriteExecute=yes", "LockPersonality=yes"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	const program = "systemd-analyze" //nolint:misspell // its name
	judge, err := exec.LookPath(program)
	if err != nil {
		t.Skip("SKIPPED: not installed: ", program)
	}
	dir := t.TempDir()
	// What the unit starts is not installed here.
	idle, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "strongkeep.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(unit, "/usr/local/bin/strongkeep", idle)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), judge, "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "strongkeep.service:") {
		t.Errorf("systemd does not take it: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), judge, "security", "--offline=yes", "--threshold=25", path).CombinedOutput()
	if err != nil {
		t.Errorf("it is exposed to more than 2.5 of 10: %v\n%s", err, out)
	}
}
