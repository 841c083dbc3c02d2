package encryption

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof/page"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

func (x command) reportVerify() *cobra.Command {
	var key, html string
	c := &cobra.Command{
		Use: "verify FILE...", Short: "Verify reports without a cluster or a vault, and show the last one", Args: cobra.MinimumNArgs(1),
		Long: `Verify the signatures of reports, that each continues the one before and that none is
missing between them, and show the last one. Nothing is asked of anybody. That no report was
cut off at the end, and that an earlier chain was not thrown away, only somebody can tell who
has kept the digest of a later one.

Exit code 10 if a report is not as it was signed, or one is missing. What a report answers
changes nothing of the exit code: -field=report.answers has it.`,
		Example: "  strongkeep encryption report verify report-*.json -key=report.pub -html=report.html",
		RunE: func(_ *cobra.Command, given []string) error {
			if key == "" {
				return errs.New(errs.Invalid, "name the public key with -key=FILE: strongkeep encryption report new-key printed it, or of a vault strongkeep read -field=public_keys evidence/keys")
			}
			chain, err := readReports(given, key)
			if errs.Is(err, errs.Conflict) {
				_, _ = fmt.Fprintln(x.Env.Stderr, "Error: the reports do not verify:", err)
				return exitFound
			}
			if err != nil {
				return err
			}
			return x.showReport(chain[len(chain)-1], chain, html)
		},
	}
	c.Flags().StringVar(&key, "key", "", "file with the public key (PEM) to trust, or several")
	c.Flags().StringVar(&html, "html", "", "write the last one to this file too, as a page that opens without a network")
	return c
}

// readReports reads and verifies files of reports. Kind Conflict: one is not as it was signed.
func readReports(paths []string, key string) ([]proof.Signed, error) {
	text, err := os.ReadFile(key)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the public key: %w", err)
	}
	keys, err := attest.ParseKeys(text)
	if err != nil {
		return nil, err
	}
	files := make([][]byte, len(paths))
	for i, path := range paths {
		if files[i], err = os.ReadFile(path); err != nil {
			return nil, errs.Newf(errs.Invalid, "reading a report: %w", err)
		}
	}
	chain, err := proof.Verify(keys, files)
	if errs.KindOf(err) == errs.Invalid && err != nil {
		return nil, errs.Newf(errs.Conflict, "%w", err)
	}
	return chain, err
}

// shown is a report as programs get it.
type shown struct {
	Verified bool             `json:"verified"`
	Reports  int              `json:"reports"` // in the chain that was verified
	First    int64            `json:"first"`
	Seq      int64            `json:"seq"`
	Log      string           `json:"log"`
	Time     string           `json:"time"` // when it was signed
	By       attest.Author    `json:"by"`
	KeyID    string           `json:"key_id"`
	Digest   string           `json:"digest"`
	Previous string           `json:"previous,omitempty"`
	Doubts   []string         `json:"doubts"`
	Holds    bool             `json:"holds"`
	Report   *proof.Statement `json:"report"`
}

// showReport prints a report, the last one of a chain.
func (x command) showReport(v proof.Signed, chain []proof.Signed, html string) error {
	if len(chain) == 0 {
		chain = []proof.Signed{v}
	}
	doubts := proof.Doubts(chain)
	if html != "" {
		if err := writePage(html, page.View{Signed: v, Reports: len(chain), Doubts: doubts}); err != nil {
			return err
		}
	}
	if x.Format != "table" || x.Field != "" {
		return x.Print(shown{
			Verified: true, Reports: len(chain), First: chain[0].Seq, Seq: v.Seq, Log: v.Log, Time: moment(v.Time), By: v.By, KeyID: v.KeyID, Digest: v.Digest,
			Previous: v.Previous, Doubts: doubts, Holds: v.Report.Holds(), Report: v.Report,
		}, nil, nil)
	}
	x.Warn(doubts)
	s := v.Report
	err := errors.Join(
		x.say("Report %d of encryption at rest, cluster %s, %s, by %s %s on %s.\n", v.Seq, s.Cluster, moment(s.Time), s.By.Program, s.By.Version, session.First(s.By.Host, "an unknown machine")),
		x.say("Signed %s by key %.16s…; the signature is right, and %d of %d reports from number %d on are here.\n", moment(v.Time), v.KeyID, len(chain), v.Seq-chain[0].Seq+1, chain[0].Seq))
	answers := make([]stored.Answer, len(s.Answers))
	for i, a := range s.Answers {
		answers[i] = a.Answer
	}
	err = errors.Join(err, x.printReport(&stored.Report{Origin: s.Read.Origin, Resources: s.Resources, Answers: answers, Findings: s.Findings, Found: s.Found}))
	var servers []session.Row
	for _, at := range s.Servers {
		servers = append(servers, session.Row{at.URL, session.First(at.Hash, "-"), moment(at.Reloaded), moment(at.Told)})
	}
	return errors.Join(err, x.table(session.Row{"API SERVER", "HAS IN FORCE", "RELOADED", "TOLD"}, servers))
}

// writePage writes the page whole or not at all.
func writePage(path string, v page.View) error {
	d, err := draft.Open(path)
	if err != nil {
		return session.Unwritable(errs.Newf(errs.Invalid, "writing the page: %w", err))
	}
	defer d.Discard()
	if err := page.Write(io.Writer(d), v); err != nil {
		return err
	}
	if err := d.Replace(); err != nil {
		return session.Unwritable(errs.Newf(errs.Invalid, "writing the page: %w", err))
	}
	return nil
}
