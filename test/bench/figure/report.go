package figure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Print writes the figures for people.
func Print(w io.Writer, figures []Figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "name\tvalue\tunit\treference\tratio\tbound\t\t")
	for _, f := range figures {
		verdict := "ok"
		if !f.OK {
			verdict = "FAILED"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.3f\t%s %g\t%s\t\n",
			f.Name, number(f.Value), f.Unit, number(f.Reference), f.Ratio, f.sign, f.Bound, verdict)
	}
	return t.Flush()
}

// number shows three digits that matter, and whole thousands whole.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// WriteJSON replaces path with the figures.
func WriteJSON(path string, figures []Figure) error {
	rounded := make([]Figure, len(figures))
	for i, f := range figures {
		f.Value, f.Reference, f.Ratio = round(f.Value), round(f.Reference), round(f.Ratio)
		rounded[i] = f
	}
	b, err := json.MarshalIndent(rounded, "", "  ")
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return errs.Newf(errs.Unavailable, "making the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return errs.Newf(errs.Unavailable, "writing the figures: %w", err)
	}
	return nil
}

// round keeps four decimals: the rest is noise.
func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// AllOK reports whether every bound held.
func AllOK(figures []Figure) bool {
	for _, f := range figures {
		if !f.OK {
			return false
		}
	}
	return true
}
