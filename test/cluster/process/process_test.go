package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func sh(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Config{Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, LogDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(0) })
	return p
}

func TestExplainQuotesTheLog(t *testing.T) {
	p := sh(t, "echo to stdout; echo to stderr >&2; exit 3")
	<-p.Done()
	cause := errors.New("waiting for it")
	err := p.Explain(cause)
	if !errors.Is(err, cause) {
		t.Errorf("%v does not wrap its cause", err)
	}
	for _, want := range []string{"waiting for it", "sh has ended", "exit status 3", "to stdout", "to stderr"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestStopKillsWhatIgnoresTermination(t *testing.T) {
	p := sh(t, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
	for !strings.Contains(Tail(p.log), "ready") {
		time.Sleep(time.Millisecond)
	}
	p.Stop(20 * time.Millisecond)
	if err := syscall.Kill(p.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("process is still there: %v", err)
	}
	p.Stop(time.Second) // again, on a dead process
}

func TestAwaitEndsWithTheProgram(t *testing.T) {
	p := sh(t, "echo no port >&2; exit 1")
	never := errors.New("waiting for sh")
	err := p.Await(t.Context(), func(context.Context) error { return never })
	if !errors.Is(err, never) || !strings.Contains(err.Error(), "no port") {
		t.Errorf("Await: %v", err)
	}
}

func TestAwaitEndsWithTheContext(t *testing.T) {
	p := sh(t, "echo slow; sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	never := errors.New("waiting for sh")
	err := p.Await(ctx, func(context.Context) error { return never })
	if !errors.Is(err, never) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Await: %v", err)
	}
	tries := 0
	err = p.Await(t.Context(), func(context.Context) error {
		if tries++; tries < 3 {
			return never
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("Await: %v after %d tries", err, tries)
	}
}

func TestTailIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var b strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	tail := Tail(path)
	if n := strings.Count(tail, "\n") + 1; n != tailLines {
		t.Errorf("%d lines, want %d", n, tailLines)
	}
	if !strings.HasSuffix(tail, "line 9999") {
		t.Errorf("tail ends with %q", tail[len(tail)-20:])
	}
	if !strings.Contains(Tail(path+"x"), "no such file") {
		t.Error("a missing log is not explained")
	}
}

func TestStartNamesTheProgram(t *testing.T) {
	_, err := Start(Config{Name: "ghost", Path: "/nonexistent/ghost", LogDir: t.TempDir()})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "ghost") {
		t.Fatalf("Start: %v", err)
	}
}
