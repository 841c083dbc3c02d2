package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		figure figure
		ratio  float64
		ok     bool
	}{
		{"fast enough", atLeast(0.3, "a", 30, "req/s", 100), 0.3, true},
		{"too slow", atLeast(0.3, "a", 29, "req/s", 100), 0.29, false},
		{"no reference to be faster than", atLeast(0.3, "a", 30, "req/s", 0), 0, false},
		{"short enough", atMost(3, "a", 6, "s", 2), 3, true},
		{"too long", atMost(3, "a", 7, "s", 2), 3.5, false},
		{"no reference to be shorter than", atMost(3, "a", 0, "s", 0), 0, false},
		{"within", within(25, "a", 25, "ms"), 1, true},
		{"beyond", within(25, "a", 50, "ms"), 2, false},
		{"not measured", failed("a"), 0, false},
	} {
		if c.figure.OK != c.ok || c.figure.Ratio != c.ratio {
			t.Errorf("%s: ok %v at %v, want %v at %v", c.name, c.figure.OK, c.figure.Ratio, c.ok, c.ratio)
		}
	}
}

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

func TestParseOutcome(t *testing.T) {
	o, err := parseOutcome("Running 1s test\n  1 threads\n" + `{"requests":3000,"micros":1500000,"p50":900,"p99":12500,"failed":1,"refused":2}` + "\n")
	if err != nil || o.perSecond() != 2000 || o.p99() != 12.5 || o.Failed != 1 || o.Refused != 2 {
		t.Errorf("%+v %v", o, err)
	}
	for _, broken := range []string{"", "unable to connect to 127.0.0.1:1 Connection refused\n", `{"requests":0,"micros":10}`} {
		if _, err := parseOutcome(broken); err == nil {
			t.Errorf("%q is no error", broken)
		}
	}
}

func TestReport(t *testing.T) {
	figures := []figure{atLeast(0.3, "kv2-read-c64", 30123.456789, "req/s", 75000), within(25, "kv2-read-c64-p99", 30, "ms")}
	var table bytes.Buffer
	if err := printTable(&table, figures); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"30123", "0.402", "≥ 0.3", "ok", "≤ 25", "FAILED"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table.String())
		}
	}
	path := filepath.Join(t.TempDir(), "build", "bench.json")
	if err := writeJSON(path, figures); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"name": "kv2-read-c64", "value": 30123.4568, "unit": "req/s", "reference": 75000.0, "ratio": 0.4016, "bound": 0.3, "ok": true,
	}
	for name, v := range want {
		if got[0][name] != v {
			t.Errorf("%s is %v, want %v", name, got[0][name], v)
		}
	}
	if len(got[0]) != len(want) || allOK(figures) || !allOK(figures[:1]) {
		t.Errorf("figure %v; all ok: %v", got[0], allOK(figures))
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-only", "nothing"}, {"-no-such-flag"}} {
		if code := run(args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
