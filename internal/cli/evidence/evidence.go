package evidence

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/activity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Flags name what is given. The zero Flags give nothing.
type Flags struct {
	Encryption, Since, AuditPolicy string
	// Logs are audit logs, - is standard input; Repos are clones.
	Logs, Repos []string
	// Reports are signed reports of what lies in etcd, ReportKey the public key for them.
	Reports   []string
	ReportKey string
}

// Add adds the flags to a command.
func (e *Flags) Add(f *pflag.FlagSet) {
	f.StringVar(&e.Encryption, "encryption-config", "", "the API server's EncryptionConfiguration; its keys are dropped while it is read")
	f.StringVar(&e.Since, "encryption-since", "", "when that came into force, such as 2026-03-01T10:00:00Z")
	f.StringSliceVar(&e.Reports, "encryption-report", nil, "reports of strongkeep encryption report, which are verified; the last one says what lies in etcd")
	f.StringVar(&e.ReportKey, "encryption-report-key", "", "the public key (PEM) of who signs those reports")
	f.StringVar(&e.AuditPolicy, "audit-policy", "", "the API server's audit policy")
	f.StringSliceVar(&e.Logs, "audit-log", nil, "audit logs of the API server, also compressed; as EKS, AKS and GKE export them; - is standard input")
	f.StringSliceVar(&e.Repos, "repo", nil, "Git repositories to look for secrets and pipelines in, deleted commits included")
}

// Into puts what was given into what was seen.
func (e *Flags) Into(ctx context.Context, s *session.Session, seen *look.Seen) error {
	if e.Encryption == "" && e.Since != "" {
		return errs.New(errs.Invalid, "-encryption-since is of -encryption-config: give that too")
	}
	if e.Encryption != "" {
		if err := e.encryption(seen); err != nil {
			return err
		}
	}
	if err := e.stored(seen); err != nil {
		return err
	}
	if e.AuditPolicy != "" {
		if err := e.auditPolicy(seen); err != nil {
			return err
		}
	}
	if len(e.Logs) > 0 {
		log, err := Activity(e.Logs, s.Env.Stdin)
		if err != nil {
			return err
		}
		seen.Activity = log
		seen.Coverage["activity"] = snapshot.Gap{}
	}
	if len(e.Repos) > 0 {
		return e.repos(ctx, seen)
	}
	return nil
}

func (e *Flags) encryption(seen *look.Seen) error {
	text, err := os.ReadFile(e.Encryption)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading the EncryptionConfiguration: %w", err)
	}
	config, err := control.Encryption(e.Encryption, text)
	if err != nil {
		return err
	}
	if e.Since != "" {
		if config.Since, err = time.Parse(time.RFC3339, e.Since); err != nil {
			return errs.Newf(errs.Invalid, "-encryption-since: %q is no time such as 2026-03-01T10:00:00Z", e.Since)
		}
	}
	seen.Control.Encryption = config
	seen.Coverage["encryption"] = snapshot.Gap{}
	return nil
}

func (e *Flags) auditPolicy(seen *look.Seen) error {
	text, err := os.ReadFile(e.AuditPolicy)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading the audit policy: %w", err)
	}
	policy, err := control.AuditPolicy(e.AuditPolicy, text)
	if err != nil {
		return err
	}
	seen.Control.AuditPolicy, seen.Control.AuditPlace = policy, e.AuditPolicy
	seen.Coverage["audit-policy"] = snapshot.Gap{}
	return nil
}

// repos looks at repositories, for the values of the cluster too if their key is
// known.
func (e *Flags) repos(ctx context.Context, seen *look.Seen) error {
	c := repo.Config{Key: seen.Key}
	if seen.Key != nil && seen.Key.ID() == seen.Snapshot.Key {
		c.Live = repo.Live(seen.Snapshot)
	}
	var missing []string
	seen.Repos = nil
	for _, dir := range e.Repos {
		got, err := repo.Look(ctx, dir, c)
		if err != nil {
			return err
		}
		seen.Repos = append(seen.Repos, got.Repo)
		missing = append(missing, got.Missing...)
	}
	seen.Coverage["repos"] = snapshot.Gap{Reason: strings.Join(missing, "; ")}
	return nil
}

// Activity reads audit logs; - is standard input.
func Activity(names []string, stdin io.Reader) (*snapshot.Activity, error) {
	var log activity.Log
	for _, name := range names {
		if err := one(&log, name, stdin); err != nil {
			return nil, err
		}
	}
	return log.Activity(), nil
}

func one(log *activity.Log, name string, stdin io.Reader) error {
	if name == "-" {
		return log.Add("standard input", stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading an audit log: %w", err)
	}
	defer func() { _ = f.Close() }()
	return log.Add(name, f)
}
