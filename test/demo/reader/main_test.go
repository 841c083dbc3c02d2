package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// The bubble makes it certain that a file is only changed while follow waits
// for its tick, and that it has printed all it had to when the test looks.
func TestFollowPrintsADigestWhenTheFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	write := func(t *testing.T, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tick := make(chan time.Time)
		var out bytes.Buffer
		done := make(chan error, 1)
		go func() { done <- follow(ctx, path, &out, tick) }()
		look := func(want string) {
			t.Helper()
			tick <- time.Time{}
			synctest.Wait()
			if got := out.String(); got != want {
				t.Fatalf("printed %q; want %q", got, want)
			}
			out.Reset()
		}
		synctest.Wait()
		look("") // there is no file yet, and no line
		write(t, "one")
		look("sha256 7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed\n")
		look("") // the same content is not news
		write(t, "two")
		look("sha256 3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3\n")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if out.Len() != 0 {
			t.Errorf("printed %q at the end", out.String())
		}
	})
}

func TestFollowSaysWhatItCannotRead(t *testing.T) {
	if err := follow(t.Context(), t.TempDir(), io.Discard, nil); err == nil {
		t.Error("a directory was read")
	}
}
