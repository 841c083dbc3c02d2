package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestFieldsAreFound(t *testing.T) {
	data := map[string]any{"a": map[string]any{"b.c": "deep", "d": 1}, "a.x": "dotted", "l": []any{"x"}}
	for name, want := range map[string]any{"a.b.c": "deep", "a.d": 1, "a.x": "dotted", "a.y": nil, "": nil, ".": nil, "l.x": nil} {
		if got, ok := dig(data, name); ok != (want != nil) || ok && got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWrongFlagsNameTheRightOne(t *testing.T) {
	c := &cobra.Command{Use: "x"}
	for _, name := range []string{"field", "format", "address", "wrap-ttl"} {
		c.Flags().String(name, "", "")
	}
	for wrong, want := range map[string]string{"fields": "field", "frmat": "format", "adress": "address", "wrapttl": "wrap-ttl", "zzzzzz": ""} {
		if got := nearest(c, wrong); got != want {
			t.Errorf("%s: %q", wrong, got)
		}
	}
}

// A list of ten thousand names is written in one go, not a line at a time.
func BenchmarkTableOfTenThousand(b *testing.B) {
	rows := make([]Row, 10_000)
	for i := range rows {
		rows[i] = Row{fmt.Sprintf("name-%d", i)}
	}
	w := &counter{}
	for b.Loop() {
		w.n = 0
		if err := table(w, Row{"Keys"}, rows); err != nil {
			b.Fatal(err)
		}
	}
	if w.n > 100 {
		b.Errorf("%d writes", w.n)
	}
}

type counter struct {
	bytes.Buffer
	n int
}

func (c *counter) Write(p []byte) (int, error) { c.n++; return len(p), nil }

func FuzzSeconds(f *testing.F) {
	for _, seed := range []string{"", "10", "1h", "-1", "soon"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if n, err := Seconds("-x", v); n < 0 || err != nil && n != 0 || err != nil && !strings.Contains(err.Error(), "-x") {
			t.Errorf("%q: %d, %v", v, n, err)
		}
	})
}
