package doctor

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// answer is what doctor prints as JSON. Fields are only ever added.
type answer struct {
	Schema    string             `json:"schema"`
	Diagnoses []doctor.Diagnosis `json:"diagnoses"`
}

const schema = "strongkeep.io/doctor/v1"

// show prints what was found about something.
func (x *commands) show(found []doctor.Diagnosis, about string) error {
	if found == nil {
		found = []doctor.Diagnosis{}
	}
	if x.Format != "table" || x.Field != "" {
		if err := x.Print(answer{schema, found}, nil, nil); err != nil {
			return err
		}
	} else if err := x.text(found, about); err != nil {
		return err
	}
	if len(found) > 0 {
		return session.Exit(exitFound)
	}
	return nil
}

// text is for eyes: a paragraph each.
func (x *commands) text(found []doctor.Diagnosis, about string) error {
	w := bufio.NewWriter(x.Env.Stdout)
	line := func(format string, args ...any) {
		_, _ = fmt.Fprintln(w, printable.Line(fmt.Sprintf(format, args...))) // Flush has the error
	}
	if len(found) == 0 {
		line("Nothing is known to be wrong with the secrets of %s.", about)
	}
	for i := range found {
		d := &found[i]
		if i > 0 {
			line("")
		}
		line("%s: %s", d.Object, words(d.Cause))
		line("  %s (%s)", d.Confidence, d.Symptom)
		for _, e := range d.Evidence {
			line("  seen: %s", words(fmt.Sprintf("%s %s: %s", e.Object, e.Field, doctor.Short(e.Fact))))
		}
		if len(d.Affected) > 0 {
			line("  pods: %s", strings.Join(d.Affected, ", "))
		}
		if d.Fix.Command != "" {
			line("  do:   %s", d.Fix.Command)
		}
		if d.Fix.Text != "" {
			line("  do:   %s", words(d.Fix.Text))
		}
		if d.Fix.Patch != "" {
			line("  do:   kubectl apply of")
			for l := range strings.Lines(strings.TrimSpace(d.Fix.Patch)) {
				line("    %s", strings.TrimRight(l, "\n"))
			}
		}
	}
	return w.Flush()
}

// words are a text in one line: messages of conditions and events may have many.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }
