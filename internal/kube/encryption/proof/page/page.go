// Package page writes a report of encryption at rest as one page that opens without a
// network, and prints.
//
// Start reading at Write.
package page

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
)

//go:embed page.gohtml
var source string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"time":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
	"class": func(answer string) string { return strings.ReplaceAll(answer, " ", "-") },
	"join":  func(all []string) string { return strings.Join(all, ", ") },
	"more":  func(all, shown int) int { return all - shown },
}).Parse(source))

// View is what the page shows.
type View struct {
	proof.Signed
	Reports int // that were verified with it
	Doubts  []string
}

// Write writes the page. The kind of its error is Unavailable.
func Write(w io.Writer, v View) error {
	if err := page.Execute(w, v); err != nil {
		return errs.Newf(errs.Unavailable, "writing the page: %w", err)
	}
	return nil
}
