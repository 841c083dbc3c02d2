package revocation

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
)

const (
	// inline is up to how many revocations a CRL is built before the revocation that
	// it lacks is answered; above, it is built in the background.
	inline = 5000
	// pageSize is how many revocations one transaction reads or removes, well below store.MaxChanges.
	pageSize = 250
	// pause is the longest between two looks for what is due.
	pause = time.Minute
)

// Builder builds CRLs, one at a time.
type Builder struct {
	cfg  engine.Config
	slot chan struct{} // holds one element while something is built
}

// NewBuilder returns a builder for one mount. It has nothing to close.
func NewBuilder(cfg engine.Config) *Builder {
	return &Builder{cfg: cfg, slot: make(chan struct{}, 1)}
}

// how a CRL is to be built.
type how struct {
	force bool // whatever auto_rebuild says
	small bool // not if it is large
	delta bool
}

// Refresh builds the CRLs that lack a revocation, as a Response's After: what
// fails is built later, by Work. It never fails, for what was asked is committed.
func (b *Builder) Refresh(ctx context.Context) error {
	if _, err := b.run(ctx, how{small: true}); err != nil {
		b.cfg.Log.Warn("a CRL was not built; it is tried again", "mount", b.cfg.MountPath(), "error", err)
		b.cfg.Wake()
	}
	return nil
}

// Force builds the CRLs that are marked as stale now.
func (b *Builder) Force(ctx context.Context) error {
	_, err := b.run(ctx, how{force: true})
	return err
}

// ForceDelta builds all delta CRLs now.
func (b *Builder) ForceDelta(ctx context.Context) error {
	_, err := b.run(ctx, how{force: true, delta: true})
	return err
}

// Work builds what is due, and returns when to look again.
func (b *Builder) Work(ctx context.Context) (time.Time, error) {
	own := &Builder{cfg: b.cfg, slot: b.slot}
	own.cfg.Update = b.cfg.Duty
	next, err := own.run(ctx, how{})
	if err != nil {
		return next, err
	}
	deltas, err := own.run(ctx, how{delta: true})
	return sooner(next, deltas), err
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// run goes through all authorities. An error of one does not keep others from
// being built.
func (b *Builder) run(ctx context.Context, w how) (next time.Time, err error) {
	select {
	case b.slot <- struct{}{}:
	case <-ctx.Done():
		return time.Time{}, errs.As(errs.Unavailable, ctx.Err())
	}
	defer func() { <-b.slot }()
	signers := map[string]*authority.Signer{}
	err = b.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
		clear(signers)
		return gather(ctx, tx, signers)
	})
	if err != nil {
		return time.Time{}, err
	}
	var faults []error
	for auth, s := range signers {
		due, err := b.one(ctx, auth, s, w)
		if err != nil {
			faults = append(faults, errs.Newf(errs.KindOf(err), "building the CRL of issuer %s: %w", s.Issuer.ID, err))
		}
		next = sooner(next, due)
	}
	if len(signers) > 0 {
		next = sooner(next, b.cfg.Now().Add(pause))
	}
	return next, errors.Join(faults...)
}

// gather finds for each authority an issuer that may sign its CRL.
func gather(ctx context.Context, tx engine.Tx, signers map[string]*authority.Signer) error {
	all, err := authority.All(ctx, tx)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.KeyID == "" || i.Usage&authority.CRLSigning == 0 {
			continue
		}
		if old := signers[i.Authority]; old != nil && old.Issuer.ID < i.ID {
			continue
		}
		s, err := i.Signer(ctx, tx)
		if errs.Is(err, errs.Invalid) { // its URLs cannot be filled in, which a CRL does not need
			key, keyErr := i.KeyOf(ctx, tx)
			s, err = &authority.Signer{Issuer: i, Key: key}, keyErr
		}
		if err != nil {
			return err
		}
		signers[i.Authority] = s
	}
	return nil
}

// state is what a build starts from.
type state struct {
	cfg  *Config
	old  *lists
	mark string // of ledger.Stale; "" = the CRL lacks nothing
}

func (b *Builder) one(ctx context.Context, auth string, s *authority.Signer, w how) (due time.Time, err error) {
	var st state
	err = b.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
		if st.cfg, err = loadConfig(ctx, tx); err != nil {
			return err
		}
		if st.old, err = loadLists(ctx, tx, auth); err != nil {
			return err
		}
		e, err := tx.Get(ctx, ledger.Stale+auth)
		st.mark = string(e.Value)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	now := b.cfg.Now().UTC()
	at, needed := st.due(now, w)
	if !needed {
		return at, nil
	}
	if w.small && st.old.Complete.Entries > inline {
		b.cfg.Wake()
		return now, nil
	}
	if err := b.build(ctx, auth, s, &st, w.delta); err != nil {
		return time.Time{}, err
	}
	return now.Add(min(pause, span(st.cfg.Expiry)/2)), nil
}

// due decides when a CRL is to be built, and whether that is now.
func (st *state) due(now time.Time, w how) (time.Time, bool) {
	if w.delta {
		if !st.cfg.EnableDelta || st.cfg.Disable || st.old.Complete.Number == 0 {
			return time.Time{}, false
		}
		last := max(st.old.Delta.This, st.old.Complete.This)
		at := time.Unix(last, 0).Add(span(st.cfg.DeltaInterval))
		return at, w.force || !now.Before(at)
	}
	if st.old.Complete.Number == 0 || st.mark != "" && (w.force || !st.cfg.AutoRebuild) {
		return now, true
	}
	at := st.old.Complete.next().Add(-st.cfg.early())
	return at, !now.Before(at)
}

// build makes one CRL and puts it in place.
func (b *Builder) build(ctx context.Context, auth string, s *authority.Signer, st *state, delta bool) error {
	folder := ledger.Revoked + auth + "/"
	if delta {
		folder = ledger.Recent + auth + "/"
	}
	var revoked []ledger.Revocation
	if !st.cfg.Disable {
		var err error
		if revoked, err = b.revocations(ctx, folder); err != nil {
			return err
		}
	}
	now := b.cfg.Now().UTC().Truncate(time.Second)
	made := crl{Number: st.old.Last + 1, Entries: len(revoked), This: now.Unix(), Next: now.Add(span(st.cfg.Expiry)).Unix()}
	made.Generation = strconv.FormatInt(made.Number, 10)
	base := int64(0)
	if delta {
		base = st.old.Complete.Number
		made.Next = min(made.Next, st.old.Complete.Next)
	}
	der, err := sign(b, s, &made, revoked, base)
	if err != nil {
		return err
	}
	if err := b.write(ctx, auth, &made, der); err != nil {
		return err
	}
	if err := b.place(ctx, auth, st, made, delta); err != nil {
		return err
	}
	if delta {
		return nil
	}
	return b.forget(ctx, auth, revoked)
}

// revocations reads all of a folder, a page to a transaction. What is revoked
// meanwhile may be missing; then the mark has changed, and the CRL is built anew.
func (b *Builder) revocations(ctx context.Context, folder string) ([]ledger.Revocation, error) {
	var all []ledger.Revocation
	for after := ""; ; {
		var page []ledger.Revocation
		var last string
		err := b.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
			page, last, err = ledger.Page(ctx, tx, folder, after, pageSize)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if last == "" {
			return all, nil
		}
		after = last
	}
}

// oidDelta says that a CRL is a delta CRL, and above which one (RFC 5280 §5.2.4).
var oidDelta = asn1.ObjectIdentifier{2, 5, 29, 27}

func sign(b *Builder, s *authority.Signer, c *crl, revoked []ledger.Revocation, base int64) ([]byte, error) {
	t := &x509.RevocationList{
		Number: big.NewInt(c.Number), ThisUpdate: time.Unix(c.This, 0).UTC(), NextUpdate: c.next(),
		RevokedCertificateEntries: make([]x509.RevocationListEntry, 0, len(revoked)),
	}
	for _, r := range revoked {
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.Serial.Int(), RevocationTime: r.At})
	}
	if base > 0 {
		value, err := asn1.Marshal(base)
		if err != nil {
			return nil, errs.Newf(errs.Internal, "encoding a delta CRL: %w", err)
		}
		t.ExtraExtensions = []pkix.Extension{{Id: oidDelta, Critical: true, Value: value}}
	}
	t.SignatureAlgorithm = x509.SignatureAlgorithm(s.Issuer.RevocationAlg)
	if t.SignatureAlgorithm == 0 {
		var err error
		if t.SignatureAlgorithm, err = authority.Algorithm(s.Key.Signer.Public(), 0, isPSS(s.Issuer.Certificate.SignatureAlgorithm)); err != nil {
			return nil, err
		}
	}
	issuer := s.Issuer.Certificate
	if issuer.KeyUsage&x509.KeyUsageCRLSign == 0 || len(issuer.SubjectKeyId) == 0 {
		copied := *issuer
		copied.KeyUsage |= x509.KeyUsageCRLSign // the issuer's usage has been asked; a certificate without any key usage may do all
		if len(copied.SubjectKeyId) == 0 {
			return nil, errs.New(errs.Invalid, "the issuer's certificate has no subject key identifier, which a CRL must name")
		}
		issuer = &copied
	}
	der, err := x509.CreateRevocationList(b.cfg.Random, t, issuer, s.Key.Signer)
	return der, errs.As(errs.Internal, err)
}

func isPSS(a x509.SignatureAlgorithm) bool {
	return a == x509.SHA256WithRSAPSS || a == x509.SHA384WithRSAPSS || a == x509.SHA512WithRSAPSS
}

// write stores the parts, one to a transaction: together they are too large for one.
func (b *Builder) write(ctx context.Context, auth string, c *crl, der []byte) error {
	for start := 0; start < len(der); start += partBytes {
		part := der[start:min(start+partBytes, len(der))]
		n := c.Parts
		err := b.cfg.Update(ctx, func(_ context.Context, tx engine.Tx) error {
			tx.Put(partKey(auth, c.Generation, n), part)
			return nil
		})
		if err != nil {
			return err
		}
		c.Parts++
	}
	return nil
}

// place puts a CRL in place of the one before, unless another node was faster.
func (b *Builder) place(ctx context.Context, auth string, st *state, made crl, delta bool) error {
	return b.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		l, err := loadLists(ctx, tx, auth)
		if err != nil {
			return err
		}
		if l.Last != st.old.Last {
			return errs.New(errs.Unavailable, "another node has just built this CRL")
		}
		placed := *l
		placed.Last = made.Number
		target := &placed.Complete
		if delta {
			target = &placed.Delta
		}
		if target.Old != "" {
			if err := dropParts(ctx, tx, auth, target.Old); err != nil {
				return err
			}
		}
		made.Old = target.Generation
		*target = made
		if delta {
			return placed.store(tx, auth)
		}
		e, err := tx.Get(ctx, ledger.Stale+auth)
		if err != nil {
			return err
		}
		if e.Exists() && string(e.Value) == st.mark {
			tx.Delete(ledger.Stale + auth)
		}
		return placed.store(tx, auth)
	})
}

// forget removes from what delta CRLs list the revocations that a complete CRL now has.
func (b *Builder) forget(ctx context.Context, auth string, revoked []ledger.Revocation) error {
	for start := 0; start < len(revoked); start += pageSize {
		page := revoked[start:min(start+pageSize, len(revoked))]
		err := b.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
			for _, r := range page {
				key := ledger.Recent + auth + "/" + string(r.Serial)
				e, err := tx.Get(ctx, key)
				if err != nil {
					return err
				}
				if e.Exists() {
					tx.Delete(key)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// markAll marks the CRLs of all authorities that have an issuer as stale.
func markAll(ctx context.Context, tx engine.Tx, mark string) error {
	all, err := authority.All(ctx, tx)
	for _, i := range all {
		tx.Put(ledger.Stale+i.Authority, []byte(mark))
	}
	return err
}
