// Package rolling replaces the program of three nodes under load, by the commands of
// docs/operations/upgrades.md: real processes on a real etcd.
package rolling_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/format"
	"github.com/strongkeep/strongkeep/test/nodes/fleet"
)

func TestMain(m *testing.M) { os.Exit(fleet.Main(m)) }

// The versions, both of this tree but for these numbers: the newer one writes a format that the older one cannot read.
var (
	older = format.Program{Version: "0.1.0", Newest: 1, Oldest: 1, Reader: 1}
	newer = format.Program{Version: "0.2.0", Newest: 2, Oldest: 1, Reader: 2}
)

// settled is how long a node has had the vault open before it switches a format on, and more; counted is
// how long it has led by then, and more.
const (
	settled = 30 * time.Second
	counted = 12 * time.Second
)

// world is three machines, and what the page has people do on them.
type world struct {
	*testing.T
	*fleet.Fleet
	downloads string // where the versions are
	page      map[string][]string
	away      map[*fleet.Node]*atomic.Int64
	started   map[*fleet.Node]time.Time
}

// Three nodes are replaced one after another under load, and one is taken back meanwhile; the newer
// format comes when the last has been, and then there is no way back.
func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	for _, n := range w.Nodes {
		w.install(n, "0.1.0")
	}
	w.Start(w.program(w.Nodes[0]))
	l := begin(w.Fleet, w.away)
	one, two, three := w.Nodes[0], w.Nodes[1], w.Nodes[2]
	w.do("backup", one)
	w.do("replace", one)
	l.progress(t)
	w.do("back", one) // as nothing was switched on
	l.progress(t)
	w.do("replace", one)
	w.do("replace", two)
	l.progress(t)
	w.notSwitched()
	w.do("replace", three)
	fleet.Eventually(t, "the newer format is switched on when all nodes can read it", func() error {
		if out := w.do("look", one); !strings.Contains(out, "format 2, for versions that read 2") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	w.refused(three)
	l.progress(t)
	l.stop(t)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		T: t, Fleet: fleet.New(t, etcdtest.Shared(t), "one", "two", "three"), downloads: t.TempDir(), page: blocks(t),
		away: map[*fleet.Node]*atomic.Int64{}, started: map[*fleet.Node]time.Time{},
	}
	fleet.Program(t, w.downloads, older)
	fleet.Program(t, w.downloads, newer)
	for _, n := range w.Nodes {
		w.away[n] = new(atomic.Int64)
		n.Program = w.program(n)
	}
	return w
}

// program is what systemd runs on a node.
func (w *world) program(n *fleet.Node) string { return filepath.Join(n.Dir, "bin/strongkeep") }

func (w *world) install(n *fleet.Node, version string) {
	w.T.Helper()
	w.run(n, "install -m 0755 strongkeep-"+version+" /usr/local/bin/strongkeep")
}

// oneLeads has node one lead.
func (w *world) oneLeads() {
	w.T.Helper()
	for range 20 {
		if w.Leader() == w.Nodes[0] {
			return
		}
		was := w.Leader()
		fleet.Asked(w.T, "a step-down", func() error { return was.Client().Sys().StepDownWithContext(w.T.Context()) })
		fleet.Eventually(w.T, "another node leads", func() error {
			if w.Leader() == was {
				return fmt.Errorf("%s does", was.Name)
			}
			return nil
		})
	}
	w.T.Fatal("the first node does not become the leader")
}

// notSwitched is that a leader which could write the newer format does not, as a node lives that cannot
// read it.
func (w *world) notSwitched() {
	w.T.Helper()
	one := w.Nodes[0]
	for range 5 {
		w.oneLeads()
		<-time.After(max(time.Until(w.started[one].Add(settled)), counted)) // it would have switched by now
		out := w.do("look", one)
		if !strings.Contains(out, "format 1 is written, and 2 could be") {
			w.T.Error("a node that cannot read the newer format lives, and this is said:", out)
		}
		if w.Leader() == one {
			return
		}
	}
	w.T.Error("the first node does not stay the leader")
}

// refused has the version of before come back to a node behind the switch: it does not start, and
// says what to do.
func (w *world) refused(n *fleet.Node) {
	w.T.Helper()
	w.install(n, "0.1.0")
	w.away[n].Add(1)
	n.Stop()
	n.Start()
	if err := n.Wait(); err == nil {
		w.T.Error("a version that cannot read the format has ended as if all were well")
	}
	log, err := os.ReadFile(n.LogFile())
	if err != nil || !strings.Contains(string(log), `the store is in format 2, switched on by version "0.2.0", and this version 0.1.0 reads format 1 only`) {
		w.T.Errorf("it does not say why it does not start: %v\n%s", err, log)
	}
	w.install(n, "0.2.0")
	n.Start()
	n.Ready()
	w.away[n].Add(1)
}

// do runs a block of the page on a node.
func (w *world) do(name string, n *fleet.Node) (out string) {
	w.T.Helper()
	lines := w.page[name]
	if len(lines) == 0 {
		w.T.Fatalf("the page has no block %q", name)
	}
	for _, line := range lines {
		if line == "systemctl restart strongkeep" {
			w.away[n].Add(1)
			n.Stop()
			n.Start()
			n.Ready()
			w.started[n] = time.Now()
			w.away[n].Add(1)
			continue
		}
		out += w.run(n, line)
	}
	return out
}

// run runs a line of the page on a node.
func (w *world) run(n *fleet.Node, line string) string {
	w.T.Helper()
	line = strings.NewReplacer("/usr/local/bin/", n.Dir+"/bin/", "/etc/strongkeep/", n.Dir+"/etc/", "/var/backups/", n.Dir+"/").Replace(line)
	cmd := exec.CommandContext(w.T.Context(), "sh", "-ec", line)
	cmd.Dir = w.downloads
	cmd.Env = append(os.Environ(), "PATH="+n.Dir+"/bin:"+os.Getenv("PATH"), "HOME="+n.Dir,
		"VAULT_ADDR=https://"+n.Address, "VAULT_CACERT="+n.Dir+"/lib/tls/ca.pem", "VAULT_TOKEN="+w.Root)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.T.Fatalf("on %s: %s: %v\n%s", n.Name, line, err, out)
	}
	return string(out)
}

// blocks are the commands of the page, by the mark before them.
func blocks(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/operations/upgrades.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, m := range regexp.MustCompile("(?ms)^<!-- (\\w+) -->\n```\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		all[m[1]] = strings.Split(strings.TrimSpace(m[2]), "\n")
	}
	if unmarked := strings.Count(string(page), "\n\n```\n"); unmarked != 0 {
		t.Errorf("%d blocks of the page have no mark, so nobody runs them", unmarked)
	}
	return all
}
