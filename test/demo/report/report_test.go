package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// clock moves by hand.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// run reports two steps, news, and a failure.
func run(style Style) string {
	var out bytes.Buffer
	c := &clock{t: time.Unix(0, 0)}
	r := New(&out, style, c.now)
	r.Begin("build")
	c.t = c.t.Add(2310 * time.Millisecond)
	r.Done(Outcome{Text: "build/strongkeep"})
	r.Begin("refusal")
	c.t = c.t.Add(70 * time.Millisecond)
	_, _ = r.Lines().Write([]byte("news\nhalf"))
	r.Done(Outcome{Text: "gets nothing", Notes: []string{"why"}, Slow: true})
	r.Begin("pod")
	c.t = c.t.Add(100 * time.Second)
	r.Fail("no pod")
	r.Fail("nothing is under way")
	return out.String()
}

func TestPlainLines(t *testing.T) {
	want := "" +
		"  ok    2.31 s  build            build/strongkeep\n" +
		"news\n" +
		"slow    0.07 s  refusal          gets nothing\n" +
		"                                 why\n" +
		"FAIL  100.00 s  pod              no pod\n"
	if got := run(Style{}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTerminalLines(t *testing.T) {
	want := "" +
		"                build…\r\x1b[K\x1b[32m  ok\x1b[0m    2.31 s  build            build/strongkeep\n" +
		"                refusal…\r\x1b[Knews\n                refusal…\r\x1b[K\x1b[33mslow\x1b[0m    0.07 s  refusal          gets nothing\n" +
		"                                 why\n" +
		"                pod…\r\x1b[K\x1b[31mFAIL\x1b[0m  100.00 s  pod              no pod\n"
	if got := run(Style{Terminal: true, Colour: true}); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestStyleOf(t *testing.T) {
	plain, err := os.Create(filepath.Join(t.TempDir(), "pipe"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	device, err := os.Open("/dev/null") // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for name, c := range map[string]struct {
		file *os.File
		env  map[string]string
		want Style
	}{
		"file":     {plain, nil, Style{}},
		"terminal": {device, nil, Style{Terminal: true, Colour: true}},
		"no color": {device, map[string]string{"NO_COLOR": "1"}, Style{Terminal: true}},
		"dumb":     {device, map[string]string{"TERM": "dumb"}, Style{}},
	} {
		if got := StyleOf(c.file, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		84 * time.Millisecond: "84 ms", 1300 * time.Millisecond: "1.3 s", 0: "0 ms",
	} {
		if got := Brief(d); got != want {
			t.Errorf("Brief(%v) = %q, want %q", d, got, want)
		}
	}
}
