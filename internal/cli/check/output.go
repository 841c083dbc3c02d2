package check

import (
	"bufio"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/html"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/json"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/junit"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/sarif"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/table"
)

// Formats are those that -o takes here and nowhere else.
func Formats() []string { return []string{"sarif", "junit", "html"} }

// write writes the report where and as it was asked for. compared says that there was
// one before.
func (x *command) write(r *check.Report, compared bool, failing func(*check.Marked) bool) error {
	if x.Field != "" {
		return x.Print(r, nil, nil)
	}
	write := func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 64<<10)
		if err := x.format(out, r, compared, failing); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return errs.Newf(errs.Unavailable, "writing the report: %w", err)
		}
		return nil
	}
	if x.file == "" {
		return write(x.Env.Stdout)
	}
	if err := replace(x.file, write); err != nil {
		return session.Unwritable(err)
	}
	_, _ = fmt.Fprintln(x.Env.Stderr, "wrote", x.file)
	return nil
}

func (x *command) format(w io.Writer, r *check.Report, compared bool, failing func(*check.Marked) bool) error {
	switch x.Format {
	case "json":
		return json.Write(w, r)
	case "yaml":
		text, err := yaml.Marshal(r)
		if err != nil {
			return errs.Newf(errs.Internal, "encoding YAML: %w", err)
		}
		_, err = w.Write(text)
		return err
	case "sarif":
		return sarif.Write(w, r, sarif.Options{Version: x.Version, Compared: compared})
	case "junit":
		return junit.Write(w, r, failing)
	case "html":
		return html.Write(w, r)
	}
	return table.Write(w, r, table.Options{All: x.all})
}

// replace writes a file whole or not at all.
func replace(name string, write func(io.Writer) error) error {
	d, err := draft.Open(name)
	if err != nil {
		return errs.Newf(errs.Invalid, "writing the report: %w", err)
	}
	defer d.Discard()
	if err := write(d); err != nil {
		return err
	}
	if err := d.Replace(); err != nil {
		return errs.Newf(errs.Invalid, "writing the report: %w", err)
	}
	return nil
}
