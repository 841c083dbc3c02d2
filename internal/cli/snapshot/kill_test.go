package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// killed runs a command and kills it after a while, as kill -9 does; false: it had ended.
func (w *world) killed(after time.Duration, args ...string) bool {
	w.Helper()
	me, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	cmd := exec.CommandContext(w.Context(), me, args...)
	cmd.Env = append(os.Environ(), "TEST_AS_STRONGKEEP=1", "HOME="+w.dir, "GORACE=atexit_sleep_ms=10")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			w.Fatalf("%v: %v\n%s", args, err, out.String())
		}
		return false
	case <-time.After(after):
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.Fatal(err)
	}
	return <-ended != nil
}

// untilDone kills a command at later and later instants, looks after each what is there,
// and ends when it has run to its end.
func (w *world) untilDone(look func(done bool), args ...string) {
	w.Helper()
	kills := 0
	for after := 5 * time.Millisecond; ; after += after / 2 {
		done := !w.killed(after, args...)
		look(done)
		if w.Failed() {
			w.Fatalf("after %d kills, the last after %s", kills, after)
		}
		if done {
			break
		}
		kills++
	}
	if kills == 0 { // a machine that stands still for a second makes them few
		w.Errorf("%v was never killed", args)
	}
	w.Logf("%s %s: killed %d times", args[0], args[1], kills)
}

// opened is the store of a configuration, while no server uses it.
func (w *world) opened(config string) (_ store.Store, done func()) {
	w.Helper()
	c, err := app.LoadServerConfig(filepath.Join(w.dir, config))
	if err != nil {
		w.Fatal(err)
	}
	s, err := app.OpenStore(w.Context(), c)
	if err != nil {
		w.Fatal(err)
	}
	return s, func() { _ = s.Close() }
}

// second makes the configuration of another data directory, for the same key.
func (w *world) second(name string) (config string) {
	config = filepath.Join(w.dir, "etc", name+".yaml")
	w.file("etc/"+name+".yaml", "data_dir: "+filepath.Join(w.dir, name)+"\nlisten: 127.0.0.1:0\nunseal_key_file: "+filepath.Join(w.dir, "etc", "key")+"\n")
	return config
}

// state of the store of a configuration: whether a server would start, and how many
// entries it would find.
func (w *world) state(config string) (usable bool, entries int) {
	w.Helper()
	s, done := w.opened(config)
	defer done()
	snap, err := s.(store.Snapshotter).Snapshot(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	for {
		e, err := snap.Next(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		switch e.Key {
		case "":
			return snapshot.Usable(w.Context(), s) == nil, entries
		case snapshot.FillingKey, snapshot.MovedKey, snapshot.OriginKey:
		default:
			entries++
		}
	}
}

// more puts entries below the sealing, beside those of the vault.
func (w *world) more(config string, n int) {
	w.Helper()
	s, done := w.opened(config)
	defer done()
	for i := 0; i < n; i += 500 {
		changes := make([]store.Change, 500)
		for j := range changes {
			changes[j] = store.Put(fmt.Sprintf("more/%06d", i+j), bytes.Repeat([]byte{byte(j)}, 1000))
		}
		if _, err := s.Apply(w.Context(), changes...); err != nil {
			w.Fatal(err)
		}
	}
}

// Killed at any instant, save leaves no half file under the name; restore and migrate
// leave nothing that a server would start on but the whole vault, in one store at most;
// and the same command ends what was begun.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.start("etc/server.yaml")
	w.init()
	w.end()
	w.more("etc/server.yaml", 20_000)
	_, all := w.state("etc/server.yaml")
	from := "=" + filepath.Join(w.dir, "etc", "server.yaml")
	file := filepath.Join(w.dir, "backups", "a")

	w.untilDone(func(done bool) {
		f, err := os.Open(file)
		if err != nil {
			if done || !os.IsNotExist(err) {
				t.Error(err)
			}
			return
		}
		defer func() { _ = f.Close() }()
		if info, err := snapshot.Check(t.Context(), f); err != nil || info.Entries != uint64(all) {
			t.Errorf("%d of %d entries have the name: %v", info.Entries, all, err)
		}
	}, "snapshot", "save", "-config"+from, file)

	w.untilDone(func(done bool) {
		usable, entries := w.state("etc/restored.yaml")
		if usable && entries != 0 && entries != all || done && (!usable || entries != all) {
			t.Errorf("usable %v with %d of %d entries", usable, entries, all)
		}
		if !done && usable && entries == all { // killed behind the last write: nothing is left to do
			if err := os.RemoveAll(filepath.Join(w.dir, "restored")); err != nil {
				t.Fatal(err)
			}
		}
	}, "snapshot", "restore", "-config="+w.second("restored"), file)

	w.untilDone(func(done bool) {
		left, there := w.state("etc/server.yaml")
		arrived, here := w.state("etc/moved.yaml")
		if arrived = arrived && here > 0; left && arrived || arrived && here != all || there != all || done && !arrived {
			t.Errorf("left usable %v, %d entries; filled usable %v, %d entries", left, there, arrived, here)
		}
	}, "operator", "migrate", "-from"+from, "-to="+w.second("moved"))

	// To etcd, and back.
	w.must("strongkeep operator migrate -from=/etc/strongkeep/moved.yaml -to=/etc/strongkeep/new.yaml", "Moved")
	w.second("back")
	w.must("strongkeep operator migrate -from=/etc/strongkeep/new.yaml -to=/etc/strongkeep/back.yaml", "Moved")
	if usable, n := w.state("etc/back.yaml"); !usable || n != all {
		t.Errorf("usable %v, %d of %d entries", usable, n, all)
	}
	w.start("etc/back.yaml")
	if w.held() || w.get("app/db") != canary {
		t.Error("the vault is not what it was")
	}
	w.end()

	// And into a cluster of the servers' own.
	number, err := port.Free("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	w.must("strongkeep operator unseal-key " + filepath.Join(w.dir, "etc", "cluster.key"))
	members := w.second("members")
	text, err := os.ReadFile(members)
	if err != nil {
		t.Fatal(err)
	}
	w.file("etc/members.yaml", string(text)+fmt.Sprintf("storage: cluster\ncluster_key_file: %s/etc/cluster.key\ncluster_node: one\ncluster_members: [one=https://127.0.0.1:%d]\n", w.dir, number))
	w.must("strongkeep operator migrate -from=/etc/strongkeep/back.yaml -to=/etc/strongkeep/members.yaml", "Moved")
	w.start("etc/members.yaml")
	if w.held() || w.get("app/db") != canary {
		t.Error("the vault of the cluster is not what it was")
	}
}
