package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFollowPrintsADigestWhenTheFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- follow(ctx, path, w, tick)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("printed %q, %v; want %q", lines.Text(), lines.Err(), want)
		}
	}
	tick <- time.Time{} // there is no file yet, and no line
	write("one")
	tick <- time.Time{}
	expect("sha256 7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
	tick <- time.Time{} // the same content is not news
	write("two")
	tick <- time.Time{}
	expect("sha256 3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if lines.Scan() {
		t.Errorf("printed %q at the end", lines.Text())
	}
}

func TestFollowSaysWhatItCannotRead(t *testing.T) {
	if err := follow(t.Context(), t.TempDir(), io.Discard, nil); err == nil {
		t.Error("a directory was read")
	}
}
