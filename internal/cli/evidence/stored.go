package evidence

import (
	"os"
	"strings"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// stored takes what the last of some reports says of Secrets, if they verify.
func (e *Flags) stored(seen *look.Seen) error {
	switch {
	case len(e.Reports) == 0 && e.ReportKey == "":
		return nil
	case len(e.Reports) == 0:
		return errs.New(errs.Invalid, "-encryption-report-key is of -encryption-report: give that too")
	case e.ReportKey == "":
		return errs.New(errs.Invalid, "a report counts only if its signature is right: give the public key of who signs it with -encryption-report-key=FILE")
	}
	text, err := os.ReadFile(e.ReportKey)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading the public key of reports: %w", err)
	}
	keys, err := attest.ParseKeys(text)
	if err != nil {
		return err
	}
	files := make([][]byte, len(e.Reports))
	for i, name := range e.Reports {
		if files[i], err = os.ReadFile(name); err != nil {
			return errs.Newf(errs.Invalid, "reading a report of encryption: %w", err)
		}
	}
	chain, err := proof.Verify(keys, files)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "verifying %s: %w", strings.Join(e.Reports, ", "), err)
	}
	last := &chain[len(chain)-1]
	seen.Control.Stored = secretsOf(last)
	seen.Control.Stored.Place = e.Reports[len(e.Reports)-1]
	if len(e.Reports) > 1 {
		seen.Control.Stored.Place = strings.Join(e.Reports, ", ")
	}
	return nil
}

// secretsOf is what a report says of Secrets.
func secretsOf(r *proof.Signed) *snapshot.Stored {
	s := r.Report
	out := &snapshot.Stored{
		Cluster: s.Cluster, Time: s.Time, Digest: r.Digest, KeyID: r.KeyID, Under: map[string]int{},
		Current: s.Read.Kind == proof.Running && s.Answered(proof.OfCluster).Answer.Answer == stored.Yes,
	}
	if r.Time.Before(out.Time) { // who signed has a clock too: the older one counts
		out.Time = r.Time
	}
	for i := range s.Resources {
		if s.Resources[i].Name != "secrets" {
			continue
		}
		out.Values += s.Resources[i].Values
		for _, g := range s.Resources[i].Under {
			if !proof.Encrypts(g.Provider) {
				out.Clear += g.Values
				continue
			}
			out.Under[g.Provider] += g.Values
		}
	}
	for _, f := range s.Findings {
		if f.Resource == "secrets" && !proof.Encrypts(f.Provider) {
			out.Names = append(out.Names, f.Name)
		}
	}
	a := s.Answered(proof.Configuration)
	out.Configuration, out.Why = a.Answer.Answer, a.Detail
	return out
}
