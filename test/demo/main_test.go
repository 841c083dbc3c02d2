package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTempDirRemovesOrphansOnly(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	running, release, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	old := time.Now().Add(-2 * orphanAge)
	made := map[string]bool{running: true} // whether it must stay
	for name, stays := range map[string]bool{"strongkeep-demo-killed": false, "strongkeep-demo-young": true, "precious": true} {
		dir := filepath.Join(temp, name)
		if err := os.MkdirAll(filepath.Join(dir, "vault"), 0o700); err != nil {
			t.Fatal(err)
		}
		made[dir] = stays
	}
	for dir := range made {
		if filepath.Base(dir) == "strongkeep-demo-young" {
			continue
		}
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	another, releaseAnother, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer releaseAnother()
	made[another] = true
	for dir, stays := range made {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) == stays {
			t.Errorf("%s: %v, must stay: %t", dir, err, stays)
		}
	}
}
