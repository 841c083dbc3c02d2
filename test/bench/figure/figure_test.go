package figure

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		figure Figure
		ratio  float64
		ok     bool
	}{
		{"fast enough", AtLeast(0.3, "a", 30, "req/s", 100), 0.3, true},
		{"too slow", AtLeast(0.3, "a", 29, "req/s", 100), 0.29, false},
		{"no reference to be faster than", AtLeast(0.3, "a", 30, "req/s", 0), 0, false},
		{"short enough", AtMost(3, "a", 6, "s", 2), 3, true},
		{"too long", AtMost(3, "a", 7, "s", 2), 3.5, false},
		{"no reference to be shorter than", AtMost(3, "a", 0, "s", 0), 0, false},
		{"within", Within(25, "a", 25, "ms"), 1, true},
		{"beyond", Within(25, "a", 50, "ms"), 2, false},
		{"not measured", Failed("a"), 0, false},
	} {
		if c.figure.OK != c.ok || c.figure.Ratio != c.ratio {
			t.Errorf("%s: ok %v at %v, want %v at %v", c.name, c.figure.OK, c.figure.Ratio, c.ok, c.ratio)
		}
	}
}

func TestReport(t *testing.T) {
	figures := []Figure{AtLeast(0.3, "kv2-read-c64", 30123.456789, "req/s", 75000), Within(25, "kv2-read-c64-p99", 30, "ms")}
	var table bytes.Buffer
	if err := Print(&table, figures); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"30123", "0.402", "≥ 0.3", "ok", "≤ 25", "FAILED"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table.String())
		}
	}
	path := filepath.Join(t.TempDir(), "build", "bench.json")
	if err := WriteJSON(path, figures); err != nil {
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
	if len(got[0]) != len(want) || AllOK(figures) || !AllOK(figures[:1]) {
		t.Errorf("figure %v; all ok: %v", got[0], AllOK(figures))
	}
}
