package revocation

import (
	"crypto"
	"crypto/x509"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
)

// maxAnswers bounds a generation of answers, of about 300 bytes each with keys
// of EC, so what strangers may have kept by asking for numbers at random.
const maxAnswers = 2048

// question is all that an OCSP answer says beside its times. What is revoked, and
// every setting that matters, is read for each request: an answer from before a
// revocation answers another question.
type question struct {
	issuer  string // ID; its certificate and key never change
	hash    crypto.Hash
	alg     x509.SignatureAlgorithm // what the issuer signs revocations with
	serial  ledger.Serial
	revoked int64         // Unix time in nanoseconds; 0 = good
	expiry  time.Duration // 0: it does not say how long it is good for
}

// answers are signed OCSP answers in two generations: when the younger is full it
// becomes the older, whose entries are dropped unless they are asked for again.
// Safe for concurrent use.
type answers struct {
	mu         sync.Mutex
	young, old map[question]answer
}

type answer struct {
	der  []byte    // shared, never changed
	till time.Time // half of its life: whoever staples it has the other half
}

func newAnswers() *answers { return &answers{young: map[question]answer{}} }

// get returns an answer that is young enough, nil if there is none.
func (a *answers) get(q question, now time.Time) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.young[q]
	if !ok {
		if kept, ok = a.old[q]; ok {
			a.keep(q, kept)
		}
	}
	if !ok || !now.Before(kept.till) {
		return nil
	}
	return kept.der
}

func (a *answers) put(q question, der []byte, now time.Time) {
	if q.expiry <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(q, answer{der, now.Add(q.expiry / 2)})
}

func (a *answers) keep(q question, kept answer) {
	if len(a.young) >= maxAnswers {
		a.old, a.young = a.young, make(map[question]answer, maxAnswers)
	}
	a.young[q] = kept
}

// ask is the question that t answers.
func ask(i *authority.Issuer, t *ocsp.Response) question {
	q := question{issuer: i.ID, hash: t.IssuerHash, alg: t.SignatureAlgorithm, serial: ledger.SerialOf(t.SerialNumber)}
	if !t.NextUpdate.IsZero() {
		q.expiry = t.NextUpdate.Sub(t.ThisUpdate)
	}
	if t.Status == ocsp.Revoked {
		q.revoked = t.RevokedAt.UnixNano()
	}
	return q
}
