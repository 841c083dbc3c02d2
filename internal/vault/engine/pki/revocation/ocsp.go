package revocation

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
)

const (
	typeOCSP = "application/ocsp-response"
	maxOCSP  = 2048 // bytes of a request; one serial number takes about 100
)

// ocspAnswer is an answer of the protocol's own (RFC 6960). The statuses are Vault's.
func ocspAnswer(status int, der []byte) *engine.Response {
	return &engine.Response{Raw: &engine.Raw{Status: status, ContentType: typeOCSP, Body: der}}
}

func (h *handlers) ocspGet(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.ocsp(ctx, tx, req, decodePath(req.Params["request"]))
}

func (h *handlers) ocspPost(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.ocsp(ctx, tx, req, req.Body.Binary())
}

// decodePath reads base64 out of a path, whose escapes some clients double. nil: it is none.
func decodePath(text string) []byte {
	if len(text) > 2*maxOCSP {
		return nil
	}
	if unescaped, err := url.PathUnescape(text); err == nil {
		text = unescaped
	}
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(text), "=")
	der, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return der
}

// ocsp says of one certificate whether it is revoked. What was never issued here is
// good, too, as in Vault: certificates of roles with no_store are not known here.
func (h *handlers) ocsp(ctx context.Context, tx engine.Tx, req *engine.Request, der []byte) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	if c.OCSPDisable {
		return ocspAnswer(401, ocsp.UnauthorizedErrorResponse), nil
	}
	asked := parseOCSP(der)
	if asked == nil {
		return ocspAnswer(400, ocsp.MalformedRequestErrorResponse), nil
	}
	issuer, err := asker(ctx, tx, asked)
	if err != nil {
		return nil, err
	}
	if issuer == nil {
		return ocspAnswer(401, ocsp.UnauthorizedErrorResponse), nil
	}
	t := ocsp.Response{
		Status: ocsp.Good, SerialNumber: asked.SerialNumber, IssuerHash: asked.HashAlgorithm,
		ThisUpdate: req.Time.Truncate(time.Second), SignatureAlgorithm: x509.SignatureAlgorithm(issuer.RevocationAlg),
	}
	if expiry := span(c.OCSPExpiry); expiry > 0 {
		t.NextUpdate = t.ThisUpdate.Add(expiry)
	}
	r, err := ledger.LoadRevocation(ctx, tx, issuer.Authority, ledger.SerialOf(asked.SerialNumber))
	if err != nil {
		return nil, err
	}
	if r != nil {
		t.Status, t.RevokedAt, t.RevocationReason = ocsp.Revoked, r.At, ocsp.Unspecified
	}
	return h.answer(ctx, tx, req, issuer, &t)
}

// answer signs t, or takes what was signed for the same question not long ago.
func (h *handlers) answer(ctx context.Context, tx engine.Tx, req *engine.Request, issuer *authority.Issuer, t *ocsp.Response) (*engine.Response, error) {
	q := ask(issuer, t)
	if kept := h.answers.get(q, req.Time); kept != nil {
		return ocspAnswer(200, kept), nil
	}
	key, err := issuer.KeyOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	signed := h.signOCSP(issuer, key, t)
	if signed == nil {
		return ocspAnswer(500, ocsp.InternalErrorErrorResponse), nil
	}
	h.answers.put(q, signed, req.Time)
	return ocspAnswer(200, signed), nil
}

// parseOCSP reads a request in DER; nil if it is none, or out of bounds.
func parseOCSP(der []byte) *ocsp.Request {
	if len(der) == 0 || len(der) > maxOCSP {
		return nil
	}
	asked, err := ocsp.ParseRequest(der)
	if err != nil || asked.SerialNumber == nil || asked.SerialNumber.Sign() < 0 || asked.SerialNumber.BitLen() > 8*ledger.MaxSerial {
		return nil
	}
	return asked
}

// signOCSP returns a signed answer in DER; nil: the issuer's key cannot sign any.
func (h *handlers) signOCSP(issuer *authority.Issuer, key *authority.Key, t *ocsp.Response) []byte {
	answer, err := ocsp.CreateResponse(issuer.Certificate, issuer.Certificate, *t, key.Signer)
	if err != nil { // Ed25519, which the library does not sign with
		h.cfg.Log.Warn("an OCSP answer could not be signed", "mount", h.cfg.MountPath(), "issuer", issuer.ID, "error", err)
		return nil
	}
	return answer
}

// asker finds the issuer that a request means, and that may answer it. nil: none.
func asker(ctx context.Context, tx engine.Tx, asked *ocsp.Request) (*authority.Issuer, error) {
	if !asked.HashAlgorithm.Available() {
		return nil, nil
	}
	all, err := authority.All(ctx, tx)
	if err != nil {
		return nil, err
	}
	var best *authority.Issuer
	for _, i := range all {
		if i.KeyID == "" || i.Usage&authority.OCSPSigning == 0 || best != nil && best.ID < i.ID {
			continue
		}
		if string(digest(asked.HashAlgorithm, i.Certificate.RawSubject)) == string(asked.IssuerNameHash) && string(digest(asked.HashAlgorithm, publicBits(i.Certificate))) == string(asked.IssuerKeyHash) {
			best = i
		}
	}
	return best, nil
}

func digest(h crypto.Hash, data []byte) []byte {
	d := h.New()
	d.Write(data)
	return d.Sum(nil)
}

// publicBits are the bits of a public key, without its algorithm.
func publicBits(c *x509.Certificate) []byte {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil
	}
	return spki.Key.RightAlign()
}
