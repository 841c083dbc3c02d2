package report

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Style is how lines look.
type Style struct {
	Terminal bool // show the step under way, and replace its line
	Colour   bool
}

// StyleOf returns what suits a file: colours on a terminal only, and not where
// NO_COLOR is set (https://no-color.org).
func StyleOf(f *os.File, getenv func(string) string) Style {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && getenv("TERM") != "dumb"
	return Style{Terminal: terminal, Colour: terminal && getenv("NO_COLOR") == ""}
}

// Outcome is what came of a step.
type Outcome struct {
	Text  string   // one line
	Notes []string // shown below it
	Slow  bool     // it worked, but took longer than promised
}

// Report prints to one writer. It is for one goroutine.
type Report struct {
	w     io.Writer
	style Style
	now   func() time.Time

	began time.Time
	step  time.Time // when the step under way began
	name  string    // of the step under way; empty: none is
}

// New returns a report that begins now. Errors of w are ignored: what is
// reported happens all the same.
func New(w io.Writer, style Style, now func() time.Time) *Report {
	return &Report{w: w, style: style, now: now, began: now()}
}

// The marks of a line and their colours (ECMA-48, 8.3.117).
const (
	markOK   = "ok"
	markSlow = "slow"
	markFail = "FAIL"

	green, yellow, red = "32", "33", "31"
)

// nameWidth is that of the column of names.
const nameWidth = 15

// Begin starts a step. The one before has ended.
func (r *Report) Begin(name string) {
	r.name, r.step = name, r.now()
	if r.style.Terminal {
		r.print("%4s %9s  %s…", "", "", name)
	}
}

// Done ends the step under way.
func (r *Report) Done(o Outcome) {
	mark, colour := markOK, green
	if o.Slow {
		mark, colour = markSlow, yellow
	}
	r.end(mark, colour, o.Text)
	for _, note := range o.Notes {
		r.print("%s%s\n", strings.Repeat(" ", 4+1+9+2+nameWidth+2), note)
	}
}

// Fail ends the step under way; without one it does nothing.
func (r *Report) Fail(text string) {
	if r.name != "" {
		r.end(markFail, red, text)
	}
}

func (r *Report) end(mark, colour, text string) {
	if r.style.Terminal {
		r.print("\r\x1b[K")
	}
	mark = fmt.Sprintf("%4s", mark)
	if r.style.Colour {
		mark = "\x1b[" + colour + "m" + mark + "\x1b[0m"
	}
	r.print("%s %9s  %-*s  %s\n", mark, Seconds(r.now().Sub(r.step)), nameWidth, r.name, text)
	r.name = ""
}

// Say prints a line that belongs to no step, or is news of the one under way.
func (r *Report) Say(line string) {
	if r.name == "" || !r.style.Terminal {
		r.print("%s\n", line)
		return
	}
	r.print("\r\x1b[K%s\n%4s %9s  %s…", line, "", "", r.name)
}

// Lines returns a writer that says each line written to it.
func (r *Report) Lines() io.Writer { return &liner{report: r} }

// Elapsed is the time since New.
func (r *Report) Elapsed() time.Duration { return r.now().Sub(r.began) }

func (r *Report) print(format string, args ...any) { _, _ = fmt.Fprintf(r.w, format, args...) }

type liner struct {
	report *Report
	rest   string
}

func (l *liner) Write(b []byte) (int, error) {
	lines := strings.Split(l.rest+string(b), "\n")
	for _, line := range lines[:len(lines)-1] {
		l.report.Say(line)
	}
	l.rest = lines[len(lines)-1]
	return len(b), nil
}

// Seconds writes a duration so that those below each other can be compared:
// always in seconds, to the hundredth.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// Brief writes a duration for a sentence: 84 ms, 1.3 s.
func Brief(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Count writes a number with separators: 12,345.
func Count(n int) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
