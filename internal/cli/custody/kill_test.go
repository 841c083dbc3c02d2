package custody_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

// spawn runs a server as a process of its own, and returns what kills it as kill -9 does.
func (w *world) spawn() (kill func()) {
	w.Helper()
	if _, err := w.load(); err != nil {
		w.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(w.dir, "bin/strongkeep"), "server", "-config="+filepath.Join(w.dir, "etc/server.yaml"))
	var log bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "GORACE=atexit_sleep_ms=10"), &log, &log
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.url, w.ca = "https://"+w.listen, filepath.Join(w.dir, "data/tls/ca.pem")
	w.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if w.Failed() {
			w.Log(log.String())
		}
	}
	await.Until(w, "the server answers", func() bool {
		out, _ := w.run("strongkeep operator status", "")
		return strings.Contains(out, "Sealed")
	})
	return w.end
}

// audited is how much the server has on record.
func (w *world) audited() int64 {
	info, err := os.Stat(filepath.Join(w.dir, "data/audit/audit.log"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// amid begins a command, and has the server killed as soon as it is on record that it was asked.
func (w *world) amid(line, stdin string, kill func()) {
	w.Helper()
	before := w.audited()
	cmd := w.prepared(line, stdin)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	await.Until(w, "it is on record", func() bool { return w.audited() > before })
	kill()
	_ = cmd.Wait() // who is killed does not answer
}

// opened tells whether shares open the vault, which it seals first.
func (w *world) opened(shares []string) bool {
	w.Helper()
	w.must("strongkeep operator seal", "")
	return w.opens(shares)
}

// A real server is killed amid a rekey and amid a migration: the old shares open the vault or the new ones do, and the
// key that opened it still does.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	free, err := port.Free(port.Host())
	if err != nil {
		t.Fatal(err)
	}
	w.listen = fmt.Sprintf("%s:%d", port.Host(), free)
	w.must("strongkeep operator unseal-key /etc/strongkeep/unseal.key", "")
	w.must("strongkeep operator unseal-key /etc/strongkeep/new.key", "")
	w.seals.Store("seals:\n- name: disk\n  key_file: /etc/strongkeep/unseal.key\n")
	kill := w.spawn()
	w.command("strongkeep operator init -key-shares=3 -key-threshold=2")
	for _, step := range []string{"before the verification", "at its end"} {
		w.command("strongkeep operator rekey -init -key-shares=3 -key-threshold=2")
		w.command("strongkeep operator rekey -nonce=NONCE -")
		verify := "strongkeep operator rekey -verify -nonce=NONCE -"
		if step == "before the verification" {
			kill()
		} else {
			w.must(verify, w.fresh[0]+"\n")
			w.amid(verify, w.fresh[1]+"\n", kill)
		}
		kill = w.spawn() // its key opens it
		if !w.open() {
			t.Fatal(step, "the key does not open the vault")
		}
		old, fresh := w.opened(w.old[:2]), false
		if !old {
			fresh = w.opens(w.fresh[:2])
		}
		t.Logf("killed %s: old shares open it %v, new ones %v", step, old, fresh)
		if old == fresh || fresh && step == "before the verification" {
			t.Fatalf("killed %s: old shares open the vault: %v, new ones: %v", step, old, fresh)
		}
		if fresh {
			w.old = w.fresh
		} else if w.opened(w.fresh[:2]) {
			t.Fatalf("killed %s: both sets open the vault", step)
		} else if !w.opens(w.old[:2]) {
			t.Fatal("the old shares do not open it again")
		}
	}
	w.seals.Store("seals:\n- name: disk\n  key_file: /etc/strongkeep/unseal.key\n- name: next\n  key_file: /etc/strongkeep/new.key\n")
	if _, err := w.load(); err != nil {
		t.Fatal(err)
	}
	w.amid("strongkeep operator seal-migrate", "", kill)
	kill = w.spawn()
	if !w.open() {
		t.Fatal("no key opens the vault")
	}
	await.Until(t, "both keys work", func() bool {
		return strings.Count(w.must("strongkeep operator seals", ""), " works") == 2
	})
	kill()
}

// opens gives shares to a sealed vault.
func (w *world) opens(shares []string) bool {
	w.Helper()
	for _, share := range shares {
		_, _ = w.run("strongkeep operator unseal -", share+"\n")
	}
	return w.open()
}
