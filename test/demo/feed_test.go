package main

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func sh(script string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "sh", "-c", script) }
}

const digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" // of "one"

func TestFeedOfDigests(t *testing.T) {
	f, err := follow("a pod", sh("echo warming up; echo sha256 aa; echo; echo sha256 "+digest+"; exec sleep 600"), readDigests)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	s, err := f.await(t.Context(), "the digest", func(d string) bool { return d == digest })
	if err != nil || s.item != digest || s.at.IsZero() {
		t.Errorf("await: %+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.await(ctx, "another", func(string) bool { return true }); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for another") {
		t.Errorf("await without hope: %v", err)
	}
}

// Guards against waiting for ever for a program that has ended.
func TestFeedOfADeadProgram(t *testing.T) {
	f, err := follow("a pod", sh("echo sha256 aa; echo no such pod >&2; exit 3"), readDigests)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	_, err = f.await(t.Context(), "the digest", func(d string) bool { return d == digest })
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
	f, err := follow("a pod", sh("while :; do echo sha256 aa; done"), readDigests)
	if err != nil {
		t.Fatal(err)
	}
	f.close()
	var none *feed[string]
	none.close()
	if _, err := follow("nothing", func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/nonexistent") }, readDigests); err == nil {
		t.Error("followed a program that does not exist")
	}
}

func TestReadSecrets(t *testing.T) {
	read := readSecrets(strings.NewReader(`{"kind":"Secret","data":{"z":"","config":"eyJwYXNzd29yZCI6InB3In0="}}
{"data":{}}`))
	s, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.keys, []string{"config", "z"}) || !s.holds("pw") || s.holds("p") {
		t.Errorf("keys %v, holds %t %t", s.keys, s.holds("pw"), s.holds("p"))
	}
	if got := (secretSeen{config: []byte("one")}).sum(); got != digest {
		t.Errorf("sum: %s", got)
	}
	if s, err := read(); err != nil || s.holds("") {
		t.Errorf("a Secret without the key: %t, %v", s.holds(""), err)
	}
	if _, err := read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestHolds(t *testing.T) {
	for config, want := range map[string]bool{
		`{"password":"pw"}`:           true,
		`{"password":"pw2"}`:          false,
		`{"password":"pw","user":""}`: false,
		`pw`:                          false,
		``:                            false,
	} {
		if got := (secretSeen{config: []byte(config)}).holds("pw"); got != want {
			t.Errorf("%q holds it: %t", config, got)
		}
	}
}
