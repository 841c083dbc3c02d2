package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/search"
)

// searchFlags are the flags of search.
type searchFlags struct {
	search.Query
	since, until string
	lastRead     string
	hash         string // device whose hash of standard input is looked for
	raw          bool
	limit        int
}

func (a *app) search() *cobra.Command {
	var f searchFlags
	c := &cobra.Command{
		Use: "search FILE...", Short: "Find who did what when in audit files", Args: session.Args(1, -1),
		Long: `Find who did what when in audit files, rotated and compressed (.gz) ones too. No server is
needed, except for -hash, which asks one what the value on standard input looks like in the log.
All conditions must hold. A request has two lines; the answer's is shown unless -type says otherwise.`,
		Example: `  strongkeep audit search -path='secret/data/payments/*' -operation=read -since=24h audit.log
  strongkeep audit search -last-read='secret/data/payments/*' audit.log.1.gz audit.log
  strongkeep audit search -error -since=2026-03-01 -format=json audit.log
  printf %s "$LEAKED_TOKEN" | strongkeep audit search -hash=file audit.log`,
		RunE: func(c *cobra.Command, files []string) error {
			if err := a.prepare(c, &f); err != nil {
				return err
			}
			if f.lastRead != "" {
				return a.lastRead(c, &f, files)
			}
			return a.find(c, &f, files)
		},
	}
	l := c.Flags()
	l.StringVar(&f.Path, "path", "", "glob of the path: * is anything, a segment + is one segment")
	l.StringVar(&f.Operation, "operation", "", "read, list, create, update, patch or delete")
	l.StringVar(&f.Accessor, "token-accessor", "", "accessor of the token, as it stands in the log")
	l.StringVar(&f.Entity, "entity", "", "ID of the entity")
	l.StringVar(&f.DisplayName, "display-name", "", "glob of the token's display name")
	l.StringVar(&f.Query.Namespace, "in-namespace", "", "path of the namespace")
	l.StringVar(&f.Mount, "mount-type", "", "type of the mount, such as kv")
	l.StringVar(&f.Remote, "remote", "", "address of the client")
	l.StringVar(&f.RequestID, "request-id", "", "ID of the request")
	l.StringVar(&f.Query.Error, "error-text", "", "a part of the error's text")
	l.BoolVar(&f.OnlyErrors, "error", false, "only what was refused or went wrong")
	l.BoolVar(&f.NoErrors, "no-error", false, "only what went well")
	l.StringVar(&f.since, "since", "", "from then on: 2026-03-01, 2026-03-01T12:00:00Z, or 24h for a day ago")
	l.StringVar(&f.until, "until", "", "before then")
	l.StringVar(&f.Type, "type", "response", "request, response or all")
	l.StringVar(&f.Contains, "contains", "", "a text anywhere in the line")
	l.StringVar(&f.hash, "hash", "", "name of the audit device: finds the lines that hold the value on standard input")
	l.StringVar(&f.lastRead, "last-read", "", "glob of paths: who read each when last, and how often")
	l.BoolVar(&f.raw, "raw", false, "print the whole lines")
	l.IntVar(&f.limit, "limit", 0, "stop after so many entries; 0 = all")
	return c
}

// prepare completes the query.
func (a *app) prepare(c *cobra.Command, f *searchFlags) (err error) {
	if f.Type == "all" {
		f.Type = ""
	}
	now := time.Now()
	if f.Since, err = when("since", f.since, now); err != nil {
		return err
	}
	if f.Until, err = when("until", f.until, now); err != nil {
		return err
	}
	if f.lastRead != "" {
		f.Path = f.lastRead
	}
	if f.hash == "" {
		return nil
	}
	if f.Contains != "" {
		return errs.New(errs.Invalid, "-hash and -contains exclude each other")
	}
	f.Contains, err = a.hashOf(c, f.hash)
	if !c.Flags().Changed("type") {
		f.Type = "" // values stand in requests and in answers
	}
	return err
}

// hashOf asks the server what standard input looks like in a device's lines.
func (a *app) hashOf(c *cobra.Command, device string) (string, error) {
	value, err := io.ReadAll(io.LimitReader(a.Env.Stdin, 1<<20))
	if err != nil {
		return "", errs.Newf(errs.Invalid, "reading the value from standard input: %w", err)
	}
	value = bytes.TrimSuffix(value, []byte("\n"))
	if len(value) == 0 {
		return "", errs.New(errs.Invalid, "standard input is empty: -hash takes the value from there, so that it does not stay in the shell's history")
	}
	client, err := a.Client()
	if err != nil {
		return "", err
	}
	if err := a.RefuseWrapping(); err != nil {
		return "", err
	}
	return client.Sys().AuditHashWithContext(c.Context(), session.Clean(device), string(value))
}

// when reads a time, a date, or how long ago.
func when(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, errs.Newf(errs.Invalid, "-%s %q: use a time such as 2026-03-01T12:00:00Z, a date, or 24h for a day ago", flag, text)
}

// find prints entries as they are found: a table's widths come from its first rows.
func (a *app) find(c *cobra.Command, f *searchFlags, files []string) error {
	out := &printer{app: a, raw: f.raw}
	n := 0
	result, err := search.Files(c.Context(), f.Query, func(e *search.Entry) error {
		if err := out.entry(e); err != nil {
			return err
		}
		if n++; n == f.limit {
			return search.ErrStop
		}
		return nil
	}, files...)
	if endErr := out.end(); err == nil {
		err = endErr
	}
	if result != nil {
		a.badLines(result)
	}
	return err
}

// badLines warns of lines that are no entries.
func (a *app) badLines(r *search.Result) {
	for _, b := range r.Bad {
		a.Warn([]string{fmt.Sprintf("%s:%d: this line is no entry; it was passed over", b.File, b.Line)})
	}
	if more := r.BadLines - int64(len(r.Bad)); more > 0 {
		a.Warn([]string{fmt.Sprintf("%d more lines are no entries", more)})
	}
}

// printer writes entries in the format asked for.
type printer struct {
	*app
	raw  bool
	n    int
	rows []session.Row
}

// tableRows is how many rows a table's column widths are fitted to at a time.
const tableRows = 200

var tableHeader = session.Row{"Time", "Operation", "Path", "Who", "Remote", "Error", "Where"}

func (p *printer) entry(e *search.Entry) error {
	p.n++
	w := p.Env.Stdout
	switch {
	case p.raw:
		_, err := fmt.Fprintf(w, "%s\n", e.Raw)
		return err
	case p.Format == "json":
		lead := ",\n  "
		if p.n == 1 {
			lead = "[\n  "
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(e); err != nil {
			return errs.Newf(errs.Internal, "encoding an entry: %w", err)
		}
		_, err := fmt.Fprintf(w, "%s%s", lead, bytes.TrimRight(b.Bytes(), "\n"))
		return err
	case p.Format == "yaml":
		return p.Print([]*search.Entry{e}, nil, nil)
	}
	p.rows = append(p.rows, session.Row{
		e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), oneLine(e.Operation), oneLine(full(e.Namespace, e.Path)), oneLine(person(e.DisplayName, e.Entity, e.Accessor)), oneLine(e.Remote),
		oneLine(e.Error), fmt.Sprintf("%s:%d", e.File, e.Line),
	})
	if len(p.rows) == tableRows {
		return p.flush()
	}
	return nil
}

func (p *printer) flush() error {
	var header session.Row
	if p.n <= tableRows {
		header = tableHeader
	}
	rows := p.rows
	p.rows = p.rows[:0]
	return p.Print(nil, header, rows)
}

func (p *printer) end() error {
	switch {
	case p.raw:
		return nil
	case p.Format == "json" && p.n == 0:
		_, err := fmt.Fprintln(p.Env.Stdout, "[]")
		return err
	case p.Format == "json":
		_, err := fmt.Fprintln(p.Env.Stdout, "\n]")
		return err
	case p.Format == "yaml" && p.n == 0:
		_, err := fmt.Fprintln(p.Env.Stdout, "[]")
		return err
	case p.Format == "table" && (len(p.rows) > 0 || p.n == 0):
		return p.flush()
	}
	return nil
}

func full(namespace, path string) string {
	if namespace == "" {
		return path
	}
	return namespace + "/" + path
}

// person is the best name there is.
func person(name, entity, accessor string) string {
	return session.First(name, session.First(entity, session.First(accessor, "-")))
}

// oneLine keeps what a log holds from moving the cursor or forging rows.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)), " ")
}

func (a *app) lastRead(c *cobra.Command, f *searchFlags, files []string) error {
	readers, result, err := search.LastRead(c.Context(), f.Query, files...)
	if err != nil {
		return err
	}
	a.badLines(result)
	if f.limit > 0 {
		readers = readers[:min(f.limit, len(readers))]
	}
	rows := make([]session.Row, len(readers))
	for i, r := range readers {
		rows[i] = session.Row{
			oneLine(r.Path), oneLine(person(r.DisplayName, r.Entity, r.Accessor)), r.Last.UTC().Format(time.RFC3339), fmt.Sprint(r.Count), r.First.UTC().Format(time.RFC3339), r.Remote,
		}
	}
	return a.Print(readers, session.Row{"Path", "Who", "Last", "Times", "First", "Remote"}, rows)
}
