package minder

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTemporaryStateGoes(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := openState("")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", s.dir, err)
	}
}

func TestLogsOfTemporaryStateAreKept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := openState("")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"log": true, "control": false, "node": false} {
		if _, err := os.Stat(s.path(name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChosenStateStaysAndIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	old := s.path("control/old")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir); err == nil {
		t.Error("opened twice")
	}
	if err := s.close(false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err != nil {
		t.Errorf("state did not stay: %v", err)
	}
	if s, err = openState(dir); err != nil {
		t.Fatal(err)
	}
	defer s.close(false)
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state of the earlier cluster is still there: %v", err)
	}
}

func TestForeignFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "node"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "not a cluster's") {
		t.Errorf("openState: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node")); err != nil {
		t.Errorf("foreign directory: %v", err)
	}
}

func TestGarbageIsReported(t *testing.T) {
	var out bytes.Buffer
	Run(strings.NewReader("not JSON"), &out)
	var e Event
	if err := json.Unmarshal(out.Bytes(), &e); err != nil || !strings.Contains(e.Error, "reading what to run") {
		t.Errorf("%s: %v", out.Bytes(), err)
	}
}
