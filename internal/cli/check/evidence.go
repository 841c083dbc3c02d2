package check

import (
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// evidence is what no API server tells, and a user may give.
type evidence struct{ encryption, since, audit string }

func (e *evidence) add(f *pflag.FlagSet) {
	f.StringVar(&e.encryption, "encryption-config", "", "the API server's EncryptionConfiguration; its keys are dropped while it is read")
	f.StringVar(&e.since, "encryption-since", "", "when that came into force, such as 2026-03-01T10:00:00Z")
	f.StringVar(&e.audit, "audit-policy", "", "the API server's audit policy")
}

// into puts what was given into what was seen.
func (e *evidence) into(seen *look.Seen) error {
	if e.encryption == "" && e.since != "" {
		return errs.New(errs.Invalid, "-encryption-since is of -encryption-config: give that too")
	}
	if e.encryption != "" {
		text, err := os.ReadFile(e.encryption)
		if err != nil {
			return errs.Newf(errs.Invalid, "reading the EncryptionConfiguration: %w", err)
		}
		if seen.Control.Encryption, err = control.Encryption(e.encryption, text); err != nil {
			return err
		}
		if e.since != "" {
			if seen.Control.Encryption.Since, err = time.Parse(time.RFC3339, e.since); err != nil {
				return errs.Newf(errs.Invalid, "-encryption-since: %q is no time such as 2026-03-01T10:00:00Z", e.since)
			}
		}
		seen.Coverage["encryption"] = snapshot.Gap{}
	}
	if e.audit != "" {
		text, err := os.ReadFile(e.audit)
		if err != nil {
			return errs.Newf(errs.Invalid, "reading the audit policy: %w", err)
		}
		if seen.Control.AuditPolicy, err = control.AuditPolicy(e.audit, text); err != nil {
			return err
		}
		seen.Coverage["audit-policy"] = snapshot.Gap{}
	}
	return nil
}
