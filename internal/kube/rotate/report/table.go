package report

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Table writes the report for eyes.
func (r Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "STATE\tKIND\tNAMESPACE\tNAME\tCLASS\tOWNER\tAGE\tMAX\tLAST PROOF\tLAST TURN\tNEXT") //nolint:errcheck // Flush says
	for i := range r.Rows {
		x := &r.Rows[i]
		age := days(x.AgeSeconds)
		if x.AtMost {
			age = "≤ " + age
		}
		limit, proof, turn := "-", "-", "-"
		if x.MaxSeconds > 0 {
			limit = days(x.MaxSeconds)
		}
		if x.LastProof != nil {
			proof = x.LastProof.UTC().Format(time.DateOnly)
		}
		if x.LastTurn > 0 {
			turn = fmt.Sprintf("%d %s", x.LastTurn, x.LastResult)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.State, x.Kind, x.Namespace, x.Name, //nolint:errcheck // Flush says
			cmp.Or(x.Class, "-"), cmp.Or(x.Owner, "-"), age, limit, proof, turn, cmp.Or(x.Next, "-"))
	}
	return t.Flush()
}

// days writes seconds as people say them.
func days(seconds int64) string {
	switch {
	case seconds >= 2*86400:
		return fmt.Sprintf("%dd", seconds/86400)
	case seconds >= 2*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	}
	return fmt.Sprintf("%dm", seconds/60)
}
