package certificate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The properties that readers see, named as in a Secret of type kubernetes.io/tls.
const (
	propertyCert = "tls.crt"
	propertyKey  = "tls.key"
	propertyCA   = "ca.crt"
)

// usualSettle is for how long a new authority must have been in the bundle.
const usualSettle = 15 * time.Minute

// Kind makes Targets of spec.target.certificate.
type Kind struct{}

// cert is a certificate that its shelf publishes.
type cert struct {
	*shelf.Shelf
	cfg    target.Config
	spec   v1alpha1.CertificateTarget
	bundle *bundle // nil: none
	settle time.Duration
}

var (
	_ target.Target      = cert{}
	_ target.Observer    = cert{}
	_ target.Rehearser   = cert{}
	_ target.Confirmable = cert{}
	_ target.Lender      = cert{}
)

// Open implements target.Kind.
func (Kind) Open(cfg target.Config) (target.Target, error) {
	if cfg.Spec.Certificate == nil {
		return nil, errs.New(errs.Invalid, "spec.target.certificate is missing")
	}
	c := cert{cfg: cfg, spec: *cfg.Spec.Certificate, settle: usualSettle}
	if c.spec.PKIMount == "" {
		c.spec.PKIMount = "pki"
	}
	if err := check(&c.spec); err != nil {
		return nil, errs.Newf(errs.Invalid, "spec.target.certificate.%w", err)
	}
	var err error
	if c.Shelf, err = shelf.New(cfg.Vault, c.spec.KVPath); err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.target.certificate: %w", err)
	}
	if c.spec.BundleSettle != nil {
		c.settle = c.spec.BundleSettle.Duration
	}
	if c.spec.BundlePath != "" {
		if c.bundle, err = newBundle(c.Shelf, c.spec.BundlePath); err != nil {
			return nil, errs.Newf(errs.KindOf(err), "spec.target.certificate.bundlePath: %w", err)
		}
	}
	return c, nil
}

func check(s *v1alpha1.CertificateTarget) error { //nolint:cyclop // a flat list of conditions
	for segment := range strings.SplitSeq(s.PKIMount, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "?#%") {
			return errs.Newf(errs.Invalid, "pkiMount: %q is not a mount", s.PKIMount)
		}
	}
	switch {
	case s.PKIRole == "" || strings.ContainsAny(s.PKIRole, "/?#%") || strings.Trim(s.PKIRole, ".") == "":
		return errs.Newf(errs.Invalid, "pkiRole: %q is not a role", s.PKIRole)
	case s.CommonName == "":
		return errs.New(errs.Invalid, "commonName is missing")
	case strings.Contains(strings.Join(append(s.AltNames, s.IPSans...), ""), ","):
		return errs.New(errs.Invalid, "altNames: write one name per item, without commas")
	case s.TTL != nil && s.TTL.Duration < time.Minute:
		return errs.Newf(errs.Invalid, "ttl: %v: it must be 1m at least", s.TTL.Duration)
	case s.BundleSettle != nil && s.BundleSettle.Duration < 0:
		return errs.New(errs.Invalid, "bundleSettle must not be negative")
	}
	return nil
}

// noteExtended is set when the turn put its authority into the bundle.
const noteExtended = "extended"

// Stage issues a certificate, unless the turn has one, proves that it is one with
// its key and its chain, and puts its authority into the bundle: trusting one
// more authority of the same engine harms nobody.
func (c cert) Stage(ctx context.Context, t target.Turn) (target.State, error) {
	if _, err := c.Shelf.Stage(ctx, t, c.make); err != nil {
		return target.State{}, err
	}
	return c.Observe(ctx)
}

func (c cert) make(ctx context.Context, d shelf.Draft) (shelf.Staged, error) {
	if c.bundle != nil {
		if err := c.bundle.claim(ctx, c.Path()); err != nil {
			return shelf.Staged{}, err
		}
	}
	m, err := c.issue(ctx)
	if err != nil {
		return shelf.Staged{}, err
	}
	out := shelf.Staged{Values: m.values(), Notes: map[string]string{}}
	if c.bundle == nil {
		return out, nil
	}
	extended, _, err := c.bundle.extend(ctx, authorities(out.Values), authorities(d.Live))
	if extended {
		out.Notes[noteExtended] = "yes"
	}
	return out, err
}

// Publish makes readers see side. The new one is Pending until its authority has
// been in the bundle for long enough.
func (c cert) Publish(ctx context.Context, t target.Turn, side target.Side) (target.State, error) {
	v, err := c.Look(ctx, t)
	if err != nil {
		return target.State{}, err
	}
	if c.bundle != nil && !v.Over {
		values := v.New
		if side == target.Old {
			values = v.Old
		}
		if err := c.ahead(ctx, v, authorities(values)); err != nil {
			return target.State{}, err
		}
	}
	if _, err := c.Shelf.Publish(ctx, t, side); err != nil {
		return target.State{}, err
	}
	return c.Observe(ctx)
}

// ahead sees to it that clients trust cas before they meet a certificate of them.
// Going back needs no wait: the old authority has never left.
func (c cert) ahead(ctx context.Context, v shelf.View, cas pool) error {
	_, since, err := c.bundle.extend(ctx, cas, nil)
	if err != nil || v.First || authorities(v.Old).has(cas) {
		return err
	}
	if ready := since.Add(c.settle); c.cfg.Clock.Now().Before(ready) {
		return target.Pending("the bundle at " + c.bundle.at.At() + " got a new certificate authority at " + since.UTC().Format(time.RFC3339) +
			": the certificate is published at " + ready.UTC().Format(time.RFC3339) + ", when all that trust the bundle have it")
	}
	return nil
}

// Retire revokes the certificate of side, proves it by the engine's word, and
// takes its authority from the bundle when the other side is not of it.
func (c cert) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	if err := c.BeginRetire(ctx, t, side); err != nil {
		return err
	}
	v, err := c.Look(ctx, t)
	if err != nil {
		return err
	}
	gone, stays := v.Old, v.New
	if side == target.New {
		gone, stays = v.New, v.Old
	}
	if !v.Over {
		if err := c.revoke(ctx, gone, slices.Contains(v.Confirmed, side)); err != nil {
			return err
		}
		if c.bundle != nil && !v.First && (side == target.Old || v.Notes[noteExtended] != "") {
			if err := c.bundle.prune(ctx, authorities(gone), authorities(stays)); err != nil {
				return err
			}
		}
	}
	return c.Shelf.Retire(ctx, t, side)
}

// Lend implements target.Lender. Who serves with what is lent is trusted by those
// who trust the bundle only once they have read it anew.
func (c cert) Lend(ctx context.Context, t target.Turn) (redact.Secret, error) {
	return c.Staged(ctx, t)
}

// Confirm notes that a certificate which this engine cannot revoke was revoked
// where it was issued.
func (c cert) Confirm(ctx context.Context, t target.Turn, side target.Side) error {
	return c.MarkRemoved(ctx, t, side)
}

// Observe also says when the certificate has had two thirds of its life.
func (c cert) Observe(ctx context.Context) (target.State, error) {
	state, err := c.Shelf.Observe(ctx)
	if err != nil || state.Version == "" {
		return state, err
	}
	live, err := c.Live(ctx)
	if err != nil {
		return state, err
	}
	if leaf := leafOf(live); leaf != nil {
		renew := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) * 2 / 3)
		state.MaxAge = max(renew.Sub(state.Changed), time.Second)
	}
	return state, nil
}

// Rehearse reads everything that a turn reads; it issues nothing, which would stay
// in the engine's books.
func (c cert) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	lines, err := c.Shelf.Rehearse(ctx, t)
	if err != nil {
		return lines, err
	}
	if _, err := c.cfg.Vault.Call(ctx, "GET", c.spec.PKIMount+"/cert/ca", nil); err != nil {
		return lines, err
	}
	lines = append(lines, "the engine at "+c.spec.PKIMount+" has an authority; whether the role allows the names is not tried")
	if c.bundle != nil {
		page, err := c.bundle.at.Read(ctx)
		if err != nil {
			return lines, err
		}
		if _, err := parse(page.Values); err != nil {
			return lines, err
		}
		lines = append(lines, "the bundle at "+c.bundle.at.At()+" can be read")
	}
	return lines, nil
}

// Removal implements target.Prover.
func (cert) Removal() (text string, proven bool) {
	return "it is revoked, by the word of who issued it; no use of it was tried", false
}
