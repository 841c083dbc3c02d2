package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// material is what was issued, in PEM.
type material struct {
	chain, ca string
	key       redact.Secret
}

func (m material) values() shelf.Values {
	return shelf.Values{
		propertyCert: shelf.Text(redact.FromString(m.chain)), propertyCA: shelf.Text(redact.FromString(m.ca)), propertyKey: shelf.Text(m.key),
	}
}

// issue asks the engine for a key and a certificate. One whose answer is lost is
// no danger: its key is lost too.
func (c cert) issue(ctx context.Context) (material, error) {
	body := map[string]any{"common_name": c.spec.CommonName}
	if len(c.spec.AltNames) > 0 {
		body["alt_names"] = strings.Join(c.spec.AltNames, ",")
	}
	if len(c.spec.IPSans) > 0 {
		body["ip_sans"] = strings.Join(c.spec.IPSans, ",")
	}
	if c.spec.TTL != nil {
		body["ttl"] = strconv.FormatInt(int64(c.spec.TTL.Duration/time.Second), 10) + "s"
	}
	raw, err := c.cfg.Vault.Call(ctx, http.MethodPost, c.spec.PKIMount+"/issue/"+c.spec.PKIRole, body)
	if err != nil {
		return material{}, err
	}
	return read(raw, append([]string{c.spec.CommonName}, c.spec.AltNames...), c.cfg.Clock.Now())
}

// read reads the answer of issue and proves it: the key is the certificate's, the
// chain leads to its authority, it is valid now, and it has the names. No error
// quotes it.
func read(raw []byte, names []string, now time.Time) (material, error) {
	var answer struct {
		Certificate string   `json:"certificate"`
		Issuing     string   `json:"issuing_ca"`
		Chain       []string `json:"ca_chain"`
		Key         string   `json:"private_key"`
	}
	if json.Unmarshal(raw, &answer) != nil {
		return material{}, errs.New(errs.Invalid, "the PKI engine's answer is not that of issue/ROLE: check pkiMount")
	}
	leaf := certificates(answer.Certificate)
	above := certificates(strings.Join(append(answer.Chain, answer.Issuing), "\n"))
	if len(leaf) != 1 || len(above) == 0 {
		return material{}, errs.New(errs.Invalid, "the PKI engine issued no certificate, or one without an authority")
	}
	chain, anchors := leaf, pool{}
	for _, ca := range above {
		switch {
		case bytes.Equal(ca.RawIssuer, ca.RawSubject):
			anchors = anchors.with(ca)
		case !pool(chain).has(pool{ca}):
			chain = append(chain, ca)
		}
	}
	if len(anchors) == 0 { // the root is elsewhere: what is topmost here is trusted
		anchors, chain = pool{chain[len(chain)-1]}, chain[:len(chain)-1]
	}
	m := material{pool(chain).pem(), anchors.pem(), redact.FromString(answer.Key)}
	return m, prove(m, chain, anchors, names, now)
}

func prove(m material, chain []*x509.Certificate, anchors pool, names []string, now time.Time) error {
	if _, err := tls.X509KeyPair([]byte(m.chain), m.key.Reveal()); err != nil {
		return errs.New(errs.Invalid, "the PKI engine's certificate and key are no pair") // the error may quote it
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range anchors {
		roots.AddCert(ca)
	}
	for _, ca := range chain[1:] {
		between.AddCert(ca)
	}
	leaf := chain[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return errs.Newf(errs.Invalid, "the PKI engine's certificate is not one of its authority now: %w", err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(leaf.DNSNames, func(has string) bool { return strings.EqualFold(has, name) }) &&
			!slices.Contains(leaf.EmailAddresses, name) && !strings.EqualFold(leaf.Subject.CommonName, name) {
			return errs.Newf(errs.Invalid, "the PKI engine's certificate is not for %q: see what the role allows", name)
		}
	}
	return nil
}

// revoke revokes what values hold, and asks the engine whether it is. confirmed:
// a person says that it is, where the engine does not know it.
func (c cert) revoke(ctx context.Context, values shelf.Values, confirmed bool) error {
	leaf := leafOf(values)
	if leaf == nil || leaf.NotAfter.Before(c.cfg.Clock.Now()) {
		return nil
	}
	serial := serialOf(leaf)
	revoked, err := c.revoked(ctx, leaf)
	if err != nil || revoked {
		return err
	}
	_, err = c.cfg.Vault.Call(ctx, http.MethodPost, c.spec.PKIMount+"/revoke", map[string]string{"certificate": pool{leaf}.pem()})
	if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotExist) {
		if confirmed {
			return nil
		}
		namespace, name, _ := strings.Cut(c.cfg.Rotation, "/")
		return target.Pending("the engine at " + c.spec.PKIMount + " did not issue the certificate " + serial +
			": revoke it where it was issued, then: strongkeep rotation confirm-retired -n " + namespace + " " + name)
	}
	if err != nil {
		return err
	}
	if revoked, err = c.revoked(ctx, leaf); err == nil && !revoked {
		err = errs.Newf(errs.Unavailable, "the certificate %s was revoked, and the engine at %q does not say so", serial, c.spec.PKIMount)
	}
	return err
}

// revoked reports whether the engine says that this very certificate is revoked.
func (c cert) revoked(ctx context.Context, leaf *x509.Certificate) (bool, error) {
	raw, err := c.cfg.Vault.Call(ctx, http.MethodGet, c.spec.PKIMount+"/cert/"+serialOf(leaf), nil)
	if errs.Is(err, errs.NotExist) || errs.Is(err, errs.Invalid) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var answer struct {
		Certificate string      `json:"certificate"`
		At          json.Number `json:"revocation_time"`
	}
	if json.Unmarshal(raw, &answer) != nil {
		return false, errs.Newf(errs.Invalid, "the PKI engine's answer is not that of cert/%s", serialOf(leaf))
	}
	at, err := answer.At.Int64()
	return err == nil && at > 0 && pool(certificates(answer.Certificate)).has(pool{leaf}), nil
}

func serialOf(leaf *x509.Certificate) string {
	var out []string
	for _, b := range leaf.SerialNumber.Bytes() {
		out = append(out, hex.EncodeToString([]byte{b}))
	}
	return strings.Join(out, ":")
}

// leafOf returns the certificate that values hold; nil when there is none.
func leafOf(values shelf.Values) *x509.Certificate {
	text, err := values.Text(propertyCert)
	if err != nil {
		return nil
	}
	if all := certificates(text); len(all) > 0 {
		return all[0]
	}
	return nil
}

// certificates returns those in a text of PEM; what is none is left out.
func certificates(text string) []*x509.Certificate {
	var out []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out
		}
		if made, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			out = append(out, made)
		}
	}
}
