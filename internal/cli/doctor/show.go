package doctor

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
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
	if len(found) == 0 {
		_, _ = fmt.Fprintf(w, "Nothing is known to be wrong with the secrets of %s.\n", about)
	}
	for i := range found {
		d := &found[i]
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		_, _ = fmt.Fprintf(w, "%s: %s\n", d.Object, d.Cause)
		_, _ = fmt.Fprintf(w, "  %s (%s)\n", d.Confidence, d.Symptom)
		for _, e := range d.Evidence {
			_, _ = fmt.Fprintf(w, "  seen: %s\n", strings.Join(strings.Fields(fmt.Sprintf("%s %s: %s", e.Object, e.Field, doctor.Short(e.Fact))), " "))
		}
		if len(d.Affected) > 0 {
			_, _ = fmt.Fprintf(w, "  pods: %s\n", strings.Join(d.Affected, ", "))
		}
		if d.Fix.Command != "" {
			_, _ = fmt.Fprintf(w, "  do:   %s\n", d.Fix.Command)
		}
		if d.Fix.Text != "" {
			_, _ = fmt.Fprintf(w, "  do:   %s\n", d.Fix.Text)
		}
		if d.Fix.Patch != "" {
			_, _ = fmt.Fprintf(w, "  do:   kubectl apply of\n    %s\n", strings.ReplaceAll(strings.TrimSpace(d.Fix.Patch), "\n", "\n    "))
		}
	}
	return w.Flush()
}
