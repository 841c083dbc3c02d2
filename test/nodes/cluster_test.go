package nodes_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

// The commands of the page do what it says: three nodes start by one command and form a
// cluster, one is killed, one loses its disk, a member leaves, and a lost majority is recovered.
func TestClusterPage(t *testing.T) {
	w := newWorld(t, "127.0.0.1", port.Host())
	w.Cleanup(w.killAll)
	ran := 0
	for _, b := range blocks(t, "cluster.md") {
		ran++
		if b.mark == "whole" {
			w.must(b.text)
			continue
		}
		for _, line := range strings.Split(b.text, "\n") {
			switch {
			case strings.HasSuffix(line, "operator init"):
				w.initialise(line)
			case strings.HasPrefix(line, "kill "), strings.Contains(line, " members recover"):
				w.must(line)
			default:
				w.eventually(line, says(line, b.mark)...)
			}
		}
	}
	if ran < 15 {
		t.Errorf("%d blocks: the page has more", ran)
	}
}

// says are words of a line's answer.
func says(line, mark string) []string {
	switch {
	case strings.Contains(line, "8220 strongkeep kv get"), strings.Contains(line, "8210 strongkeep kv get"):
		return []string{"battery-staple"}
	case mark == "lone":
		return []string{"node-0", "sees no leader", "node-1", "no answer", "There is no leader", "1 of 2 voters answer here, 2 are needed"}
	case strings.HasSuffix(line, "members list") && mark == "three":
		return []string{"node-0", "node-1", "node-2"}
	}
	return nil
}

// must runs what may not be tried twice.
func (w *world) must(lines string) {
	w.Helper()
	if out, err := w.run(lines); err != nil {
		w.Fatalf("%s\n%v\n%s", lines, err, out)
	}
}

// killAll ends the servers that the page's commands left, and shows what they logged if the
// test failed.
func (w *world) killAll() {
	etc := w.paths.Replace("/etc/strongkeep/")
	for _, n := range []string{"0", "1", "2"} {
		raw, err := os.ReadFile(filepath.Join(etc, "node-"+n+".pid"))
		if err != nil {
			continue
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if log, err := os.ReadFile(filepath.Join(etc, "node-"+n+".log")); err == nil && w.Failed() {
			w.Logf("node-%s:\n%s", n, log)
		}
	}
}
