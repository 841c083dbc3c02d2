package migrate

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/migrate"
)

// exitWrong is the exit code when something is not as it should be.
const exitWrong = 10

// show prints the plan. What is refused, or would change, ends it with 10.
func (x *command) show(p *migrate.Plan) error {
	if x.Format != "table" || x.Field != "" {
		if err := x.Print(p, nil, nil); err != nil {
			return err
		}
	} else if err := x.tables(p); err != nil {
		return err
	}
	for i := range p.Objects {
		if v := p.Objects[i].Verdict; v == migrate.Refused || v == migrate.Changes {
			return session.Exit(exitWrong)
		}
	}
	return nil
}

func (x *command) tables(p *migrate.Plan) error {
	w := bufio.NewWriter(x.Env.Stdout)
	rows := [][]string{}
	for _, o := range p.Originals {
		rows = append(rows, []string{o.Name, o.Class, o.Image})
	}
	section(w, []string{"THE ORIGINAL", "CLASS", "IMAGE"}, rows)
	rows = nil
	for _, d := range p.Definitions {
		rows = append(rows, []string{d.Name, strings.Join(d.Served, " "), strings.Join(d.Stored, " "), said(d.Says)})
	}
	section(w, []string{"DEFINITION", "SERVED", "STORED", "SAYS"}, rows)
	rows = nil
	count := map[migrate.Verdict]int{}
	for i := range p.Objects {
		o := &p.Objects[i]
		count[o.Verdict]++
		rows = append(rows, []string{string(o.Verdict), o.Kind, strings.TrimPrefix(o.Namespace+"/"+o.Name, "/"), said(o.Says)})
	}
	section(w, []string{"VERDICT", "KIND", "OBJECT", "SAYS"}, rows)
	rows = nil
	for i := range p.Moves {
		m := &p.Moves[i]
		says := append([]string{}, m.Blocked...)
		if len(m.Pushes) > 0 {
			says = append(says, "pushed by "+strings.Join(m.Pushes, " "))
		}
		rows = append(rows, []string{strings.Join(m.Namespaces, ","), string(m.State), fmt.Sprint(m.ExternalSecrets), fmt.Sprint(len(m.Stores)), said(says)})
	}
	section(w, []string{"MOVES TOGETHER", "STATE", "EXTERNALSECRETS", "STORES", "BLOCKED BY"}, rows)
	lines(w, "To take care of:", p.Cautions)
	lines(w, "Could not be asked:", p.Unknown)
	_, _ = fmt.Fprintf(w, "%d objects fit, %d with a note, %d would change a Secret, %d are refused. Nothing was written.\n",
		count[migrate.Fits], count[migrate.Note], count[migrate.Changes], count[migrate.Refused])
	return w.Flush()
}

func said(all []string) string {
	if len(all) == 0 {
		return "-"
	}
	return strings.ReplaceAll(strings.Join(all, "; "), "\n", " ")
}

func section(w io.Writer, header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush()
	_, _ = fmt.Fprintln(w)
}

func lines(w io.Writer, title string, all []string) {
	if len(all) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, title)
	for _, text := range all {
		_, _ = fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(text, "\n", " "))
	}
	_, _ = fmt.Fprintln(w)
}

// report prints what came of moves.
func (x *command) report(outcomes []migrate.Outcome) error {
	rows, wrong := make([]session.Row, len(outcomes)), false
	for i, o := range outcomes {
		rows[i] = session.Row{o.Namespace, o.ExternalSecret, session.First(o.Secret, "-"), o.Result}
		wrong = wrong || o.Wrong
	}
	if err := x.Print(outcomes, session.Row{"Namespace", "ExternalSecret", "Secret", "Result"}, rows); err != nil {
		return err
	}
	if !wrong {
		return nil
	}
	text := "Not everything is as promised: strongkeep explain externalsecret says why; -back gives the stores back."
	if x.apply {
		text += " Does an operator run with -class=" + x.class + " -only-class?"
	}
	_, _ = fmt.Fprintln(x.Env.Stderr, text)
	return session.Exit(exitWrong)
}
