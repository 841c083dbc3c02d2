package feed

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// lines reads a line at a time.
func lines(r io.Reader) func() (string, error) {
	scan := bufio.NewScanner(r)
	return func() (string, error) {
		if !scan.Scan() {
			return "", io.EOF
		}
		return scan.Text(), nil
	}
}

func sh(script string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "sh", "-c", script) }
}

func TestAwait(t *testing.T) {
	f, err := Follow("a pod", sh("echo warming up; echo sha256 aa; echo; echo news; exec sleep 600"), lines)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := f.Await(t.Context(), "the news", func(d string) bool { return d == "news" })
	if err != nil || s.Item != "news" || s.At.IsZero() {
		t.Errorf("await: %+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Await(ctx, "another", func(string) bool { return true }); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for another") {
		t.Errorf("await without hope: %v", err)
	}
}

// Guards against waiting for ever for a program that has ended.
func TestFeedOfADeadProgram(t *testing.T) {
	f, err := Follow("a pod", sh("echo sha256 aa; echo no such pod >&2; exit 3"), lines)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.Await(t.Context(), "the news", func(d string) bool { return d == "news" })
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"a pod", "exit status 3", "no such pod"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}

func TestFeedEndsThoughNobodyReads(t *testing.T) {
	f, err := Follow("a pod", sh("while :; do echo sha256 aa; done"), lines)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	var none *Feed[string]
	none.Close()
	if _, err := Follow("nothing", func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/nonexistent") }, lines); err == nil {
		t.Error("followed a program that does not exist")
	}
}
