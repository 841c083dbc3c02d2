package main

import (
	"io"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestSelected(t *testing.T) {
	all := []benchmark{{name: "kv2-read-c64"}, {name: "kv2-read-c16"}, {name: "kv2-write-c64"}, {name: "start"}}
	for only, want := range map[string]string{
		"":             "kv2-read-c64 kv2-read-c16 kv2-write-c64 start",
		"start":        "start",
		"kv2-read-c16": "kv2-read-c16",
		"kv2-read":     "kv2-read-c64 kv2-read-c16",
		"kv2":          "kv2-read-c64 kv2-read-c16 kv2-write-c64",
	} {
		chosen, err := selected(all, only)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, b := range chosen {
			names = append(names, b.name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q selects %s, want %s", only, got, want)
		}
	}
	for _, wrong := range []string{"kv", "sta", "c64"} {
		if _, err := selected(all, wrong); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "kv2-write-c64") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// Every name is one benchmark's, and can be chosen.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range benchmarks() {
		if seen[b.name] || b.run == nil {
			t.Errorf("%s is there twice, or does nothing", b.name)
		}
		seen[b.name] = true
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-only", "nothing"}, {"-no-such-flag"}} {
		if code := run(args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
