package document_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read/document"
)

// all are the objects of a stream, and "!" for what is wrong.
func all(t *testing.T, from io.Reader) (string, error) {
	t.Helper()
	r, err := document.NewReader(from)
	if err != nil {
		return "", err
	}
	var out []string
	for {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " "), nil
		}
		if err != nil {
			return strings.Join(out, " "), err
		}
		objects, wrong := document.Objects(d.Text)
		if d.Wrong != "" || wrong != "" {
			out = append(out, "!")
		}
		for _, o := range objects {
			out = append(out, string(o))
		}
	}
}

func TestDocuments(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"a: 1":                              `{"a":1}`,
		"---\na: 1\n---\nb: 2\n":            `{"a":1} {"b":2}`,
		"--- {a: 1}\n--- # two\nb: 2":       `{"a":1} {"b":2}`,
		"---\t{a: 1}\n---\r\nb: 2\r\n":      `{"a":1} {"b":2}`,
		"a: 1\n...\nb: 2\n... # end\n":      `{"a":1} {"b":2}`,
		"%YAML 1.1\n---\na: 1\n":            `{"a":1}`,
		"# nothing\n---\n\n---\na: 1\n":     `{"a":1}`,
		"a: |\n  ---\n  ...\n---b: 2":       "{\"---b\":2,\"a\":\"---\\n...\\n\"}",
		"a: |\n  ---\n---\nb: [\n---\nc: 3": "{\"a\":\"---\\n\"} ! {\"c\":3}",
		`{"a":1}{"b":2}` + "\n" + `{"c":3}`: `{"a":1} {"b":2} {"c":3}`,
		"\ufeff{\"a\":1}":                   `{"a":1}`,
		"{a: 1} # JSON it is not":           `{"a":1}`,
		"{a: 1}\n{b: 2}":                    `!`,
		"# two\n--- {a: 1}\n{b: 2}":         `!`,
		`{"a":1} {"b":`:                     `!`,
		"\xff\xfea\x00:\x001\x00":           `!`,
		"a: 1\n---":                         `{"a":1}`,
		"a: 1\n--- {b: 2}":                  `{"a":1} {"b":2}`,
	} {
		if got, err := all(t, strings.NewReader(text)); err != nil || got != want {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
}

// same is an endless stream of one byte, which counts what was taken of it.
type same struct {
	b byte
	n int64
}

func (s *same) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = s.b
	}
	s.n += int64(len(p))
	return len(p), nil
}

// A small archive does not become as much memory as its maker likes.
func TestBomb(t *testing.T) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(z, io.LimitReader(&same{b: '#'}, 100<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if got, err := all(t, &packed); errs.KindOf(err) != errs.Invalid || got != "" || !strings.Contains(err.Error(), "unpacks to more") {
		t.Errorf("%q %v", got, err)
	}
	for _, damaged := range []string{"\x1f\x8b", "\x1f\x8bxxxxxxxxxxxxxxxxx", pack(t, "a: 1\n")[:20], pack(t, "a: 1\n") + "rubbish"} {
		if _, err := all(t, strings.NewReader(damaged)); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", damaged, err)
		}
	}
	if got, err := all(t, strings.NewReader(pack(t, "a: 1\n"))); err != nil || got != `{"a":1}` {
		t.Errorf("packed: %s %v", got, err)
	}
}

func pack(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := io.WriteString(z, text); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A line without end is read through, not gathered, and what follows is found.
func TestEndlessLine(t *testing.T) {
	text := io.MultiReader(strings.NewReader("a: 1\n---\nb: "), io.LimitReader(&same{b: 'x'}, 257<<20), strings.NewReader("\n---\nc: 3\n"))
	r, err := document.NewReader(text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for d, err := r.Next(); !errors.Is(err, io.EOF); d, err = r.Next() {
		if err != nil || len(d.Text) > 100 {
			t.Fatalf("%d bytes, %v", len(d.Text), err)
		}
		got = append(got, string(d.Text)+d.Wrong)
	}
	if strings.Join(got, "|") != "a: 1\n|it is over 256 MiB|c: 3\n" {
		t.Errorf("%q", got)
	}
}

// What is short as text and large in memory is refused before it is parsed.
func TestCrowded(t *testing.T) {
	for _, text := range []string{
		"a:\n" + strings.Repeat("- {}\n", 3<<20), "a: [" + strings.Repeat("[],", 3<<20) + "]", `{"a":[` + strings.Repeat("1,", 17<<20) + "1]}", "a: " + strings.Repeat("x", 65<<20),
	} {
		if all, wrong := document.Objects([]byte(text)); len(all) != 0 || wrong == "" {
			t.Errorf("%.20s: %d objects", text, len(all))
		}
	}
	if !document.TooLarge(bytes.Repeat([]byte("{},"), 1<<19)) || !document.TooLarge(make([]byte, 5<<20)) || document.TooLarge(make([]byte, 3<<20)) {
		t.Error("an object's size is not looked at")
	}
}

func FuzzDocuments(f *testing.F) {
	for _, seed := range []string{"--- {a: 1}\n...\nb: [\n", `{"a":1}{"b":2}`, "%YAML 1.1\n---\n", pack(&testing.T{}, "a: 1")} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { _, _ = all(t, bytes.NewReader(text)) })
}
