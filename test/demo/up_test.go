package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
)

func TestDownWithoutUp(t *testing.T) {
	root := t.TempDir()
	if err := down(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, ".demo")); !errors.Is(err, os.ErrNotExist) {
		t.Error("down made something")
	}
}

func TestDownAfterAnOwnerWasKilled(t *testing.T) {
	root := t.TempDir()
	s := stateOf(root)
	if err := os.MkdirAll(filepath.Join(s.run(), "vault"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.lock(), []byte("1"), 0o600); err != nil { // not held; of nobody we may end
		t.Fatal(err)
	}
	if err := down(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(s)); !errors.Is(err, os.ErrNotExist) {
		t.Error("something is left")
	}
}

func TestDownEndsTheOwner(t *testing.T) {
	root := t.TempDir()
	s := stateOf(root)
	l, err := s.owner()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.owner(); !errors.Is(err, lock.ErrHeld) {
		t.Fatalf("a second owner: %v", err)
	}
	owner := exec.Command("sleep", "600")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = owner.Wait() // ended by down
		s.release(l)
	}()
	if err := l.SetContent([]byte(strconv.Itoa(owner.Process.Pid))); err != nil {
		t.Fatal(err)
	}
	if err := down(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(s)); !errors.Is(err, os.ErrNotExist) {
		t.Error("something is left")
	}
}

// Guards against a signal to a process group, or to init, by a broken file.
func TestDownDoesNotTrustItsLock(t *testing.T) {
	for _, content := range []string{"", "-1", "0", "1", "x"} {
		s := stateOf(t.TempDir())
		l, err := s.owner()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SetContent([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := end(t.Context(), s); err == nil || !strings.Contains(err.Error(), "no process ID") {
			t.Errorf("%q: %v", content, err)
		}
		s.release(l)
	}
}
