package audit

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/verify"
)

// Exit codes of audit verify beside those of all commands (docs/cli.md).
const (
	exitTampered session.Exit = 10
	exitUnproven session.Exit = 11
)

// app is one run of the program.
type app struct{ *session.Session }

// Commands returns the commands below audit that are about the log's content.
func Commands(s *session.Session) []*cobra.Command {
	a := &app{s}
	return []*cobra.Command{a.verify(), a.search(), a.key(), a.checkpoint()}
}

func (a *app) verify() *cobra.Command {
	var keys, checkpoints []string
	c := &cobra.Command{
		Use: "verify FILE...", Short: "Prove that audit files are complete and unaltered", Args: session.Args(1, -1),
		Long: `Prove that audit files are complete and unaltered, and name the first line that is not.
Give rotated files in the order they were written, the oldest first; .gz is read as it is.
No server is needed. Without -key the key is taken from the files themselves, which is
no proof against somebody who could rewrite all of them.

What was cut off the end shows only against a newer checkpoint from elsewhere: -checkpoint
takes a file with what "strongkeep audit checkpoint" or the server's log said.

Exit codes: 0 proven, 10 tampered with, 11 nothing wrong but some lines are of no chain.`,
		Example: `  strongkeep audit key file > audit.key
  strongkeep audit verify -key=@audit.key audit.log.1 audit.log`,
		RunE: func(_ *cobra.Command, files []string) error {
			cfg, err := verifyConfig(keys, checkpoints)
			if err != nil {
				return err
			}
			r, err := verify.Files(cfg, files...)
			if err != nil {
				return err
			}
			if err := a.report(r); err != nil {
				return err
			}
			switch {
			case !r.Intact():
				return exitTampered
			case !r.OK():
				return exitUnproven
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "public key of the log, or @FILE with one; may be repeated")
	c.Flags().StringArrayVar(&checkpoints, "checkpoint", nil, "file with checkpoints that were kept elsewhere; may be repeated")
	return c
}

func verifyConfig(keys, checkpoints []string) (cfg verify.Config, err error) {
	for _, key := range keys {
		if file, ok := strings.CutPrefix(key, "@"); ok {
			content, err := os.ReadFile(file)
			if err != nil {
				return cfg, errs.Newf(errs.Invalid, "reading the key: %w", err)
			}
			key = string(content)
		}
		cfg.Keys = append(cfg.Keys, strings.Fields(key)...)
	}
	if err := cfg.Keys.Check(); err != nil {
		return cfg, err
	}
	for _, file := range checkpoints {
		content, err := os.ReadFile(file)
		if err != nil {
			return cfg, errs.Newf(errs.Invalid, "reading the checkpoint: %w", err)
		}
		found, err := verify.Checkpoints(string(content))
		if err != nil {
			return cfg, errs.Newf(errs.Invalid, "%s: %w", file, err)
		}
		cfg.Elsewhere = append(cfg.Elsewhere, found...)
	}
	return cfg, nil
}

// report prints what was found, problems first.
func (a *app) report(r *verify.Report) error {
	if a.Format != "table" {
		return a.Print(struct {
			OK bool `json:"ok"`
			*verify.Report
		}{r.OK(), r}, nil, nil)
	}
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "and %d more problems\n", r.More)
	}
	for _, p := range r.Torn {
		fmt.Fprintf(&b, "%s: a line without its end, as a crash leaves it; nobody got an answer for it\n", p)
	}
	for _, u := range r.Unchecked {
		fmt.Fprintln(&b, u)
	}
	if r.Unchained > 0 {
		fmt.Fprintf(&b, "%d lines are of no chain, or no checkpoint proves them: nothing can be said of them\n", r.Unchained)
	}
	if r.Unproven > 0 {
		fmt.Fprintf(&b, "%d lines at the end are not covered by a checkpoint yet\n", r.Unproven)
	}
	conclude(&b, r)
	_, err := a.Env.Stdout.Write([]byte(b.String()))
	return err
}

// conclude prints the verdict.
func conclude(b *strings.Builder, r *verify.Report) {
	switch {
	case !r.Intact():
		fmt.Fprintf(b, "NOT AS IT WAS WRITTEN: the first wrong line is %s\n", r.Problems[0].Place)
	case r.Checkpoints == 0:
		b.WriteString("NOT PROVEN: there is no checkpoint in it\n")
	case r.Size == r.From+r.Unproven:
		b.WriteString("nothing is wrong, and no line is covered by a checkpoint yet\n")
	default:
		fmt.Fprintf(b, "%d lines, %d to %d of the log, are complete and unaltered by %d checkpoints\n", r.Size-r.From-r.Unproven, r.From+1, r.Size-r.Unproven, r.Checkpoints)
	}
	if !r.KeyGiven && r.Key != "" {
		fmt.Fprintf(b, "the key was taken from the files: compare with \"strongkeep audit key\": %s\n", r.Key)
	}
}

func (a *app) key() *cobra.Command {
	return &cobra.Command{
		Use: "key [DEVICE]", Short: "Print the public key that an audit device's checkpoints are signed with", Args: session.Args(0, 1),
		Example: "  strongkeep audit key file",
		RunE: func(c *cobra.Command, given []string) error {
			return a.proof(c, given, "key")
		},
	}
}

func (a *app) checkpoint() *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint [DEVICE]", Short: "Print the last signed checkpoint, to be kept elsewhere", Args: session.Args(0, 1),
		Example: "  strongkeep audit checkpoint file > checkpoint-$(date +%F).txt",
		RunE: func(c *cobra.Command, given []string) error {
			return a.proof(c, given, "note")
		},
	}
}

// proof prints one field of a device's checkpoint, or all of it for programs.
func (a *app) proof(c *cobra.Command, given []string, field string) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	device := "file"
	if len(given) > 0 {
		device = session.Clean(given[0])
	}
	s, err := client.Logical().ReadWithContext(c.Context(), "sys/audit/"+device+"/checkpoint")
	if err != nil {
		return err
	}
	if s == nil {
		return errs.Newf(errs.NotExist, "there is no audit device %s", device)
	}
	if a.Format != "table" {
		return a.Print(s.Data, nil, nil)
	}
	_, err = fmt.Fprintln(a.Env.Stdout, strings.TrimRight(session.Text(s.Data[field]), "\n"))
	return err
}
