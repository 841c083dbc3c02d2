package operator

import (
	"crypto/rand"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/keeper"
)

// Checks says how the answers of the checks are kept current; see package keeper.
type Checks struct {
	// On keeps them. They are about the whole cluster: it does not go with Namespaces.
	On bool
	// List are the checks; app fills it in.
	List []check.Check
	// Every is how often the cluster is looked at; an hour.
	Every time.Duration
	// Content has the contents of Secrets and ConfigMaps read, for keyed fingerprints.
	Content bool
	// Exceptions is a file of findings that are accepted.
	Exceptions string
}

// check refuses what would answer for a part of the cluster as if it were all.
func (c *Checks) check(namespaces []string) error {
	switch {
	case !c.On && (c.Content || c.Exceptions != "" || c.Every != 0):
		return errs.New(errs.Invalid, "checks-interval, checks-content and checks-exceptions need checks: add --checks, or leave them out")
	case c.On && len(namespaces) > 0:
		return errs.New(errs.Invalid, "checks with namespaces: the questions are about the whole cluster: leave one of them out, and ask about single namespaces with strongkeep check")
	case c.Every != 0 && c.Every < time.Minute:
		return errs.Newf(errs.Invalid, "checks-interval %s: each look lists the whole cluster: name a minute or more", c.Every)
	}
	return nil
}

// setupChecks starts what keeps the answers of the checks current.
func (p parts) setupChecks() error {
	if !p.cfg.Checks.On {
		return nil
	}
	metrics := keeper.NewMetrics(clock.RealClock{})
	if err := p.metrics.registry.Register(metrics); err != nil {
		return errs.Newf(errs.Internal, "registering the metrics of the checks: %w", err)
	}
	cfg := keeper.Config{
		REST: p.cfg.REST, Checks: p.cfg.Checks.List, Namespace: p.cfg.OwnNamespace, Every: p.cfg.Checks.Every, Exceptions: p.cfg.Checks.Exceptions,
		Clock: clock.RealClock{}, Log: p.cfg.Log, Metrics: metrics,
	}
	if p.cfg.Checks.Content {
		// No fingerprint outlives a look: nobody else has to know the key.
		secret := make([]byte, fingerprint.KeySize)
		_, _ = rand.Read(secret) // it never fails
		key, err := fingerprint.NewKey(secret)
		if err != nil {
			return err
		}
		cfg.Key = key
	}
	k, err := keeper.New(cfg)
	if err != nil {
		return err
	}
	return p.mgr.Add(k)
}
