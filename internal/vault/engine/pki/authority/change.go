package authority

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
)

// MaxIssuers and MaxKeys bound what a mount keeps: a change reads them all, in one
// transaction.
const (
	MaxIssuers = 100
	MaxKeys    = 200
)

// Change is a change of issuers, keys or defaults within one transaction. Done
// writes what belongs together.
type Change struct {
	tx      engine.Tx
	random  io.Reader
	s       *Settings
	issuers map[string]*Issuer // by ID; copies, free to change
	keys    map[string]*Key
	touched map[string]bool // IDs to write
}

// Begin reads all issuers and keys.
func Begin(ctx context.Context, tx engine.Tx, random io.Reader) (*Change, error) {
	s, err := LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	own := *s
	own.IssuerNames, own.KeyNames = maps.Clone(s.IssuerNames), maps.Clone(s.KeyNames)
	if own.IssuerNames == nil {
		own.IssuerNames = map[string]string{}
	}
	if own.KeyNames == nil {
		own.KeyNames = map[string]string{}
	}
	c := &Change{tx: tx, random: random, s: &own, issuers: map[string]*Issuer{}, keys: map[string]*Key{}, touched: map[string]bool{}}
	issuers, err := All(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, i := range issuers {
		copied := *i
		c.issuers[i.ID] = &copied
	}
	keys, err := AllKeys(ctx, tx)
	for _, k := range keys {
		copied := *k
		c.keys[k.ID] = &copied
	}
	return c, err
}

func (c *Change) newID() (string, error) {
	id, err := uuid.NewRandomFromReader(c.random)
	if err != nil {
		return "", errs.Newf(errs.Internal, "making an ID: %w", err)
	}
	return id.String(), nil
}

// checkName returns Invalid unless name can be given to an issuer or key: it must
// not look like an ID, and is not taken.
func checkName(field, name string, taken map[string]string, id string) error {
	if name == "" {
		return nil
	}
	if name == Default || isID(name) || len(name) > 128 {
		return errs.Newf(errs.Invalid, "%s must not be \"default\" nor look like an ID, and has at most 128 bytes", field)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r) {
			return errs.Newf(errs.Invalid, "%s contained invalid characters: take letters, digits, -, _ and .", field)
		}
	}
	if other := taken[strings.ToLower(name)]; other != "" && other != id {
		return errs.Newf(errs.Invalid, "%s already in use: choose another", field)
	}
	return nil
}

// rename gives a thing another name; names are found whatever their case.
func rename(taken map[string]string, from, to, id string) {
	if from != "" {
		delete(taken, strings.ToLower(from))
	}
	if to != "" {
		taken[strings.ToLower(to)] = id
	}
}

// AddKey stores a key, or finds the same one; existed says which.
func (c *Change) AddKey(signer crypto.Signer, name string) (key *Key, existed bool, err error) {
	for _, k := range c.keys {
		if keypair.Same(k.Signer.Public(), signer.Public()) {
			return k, true, nil
		}
	}
	if len(c.keys) >= MaxKeys {
		return nil, false, errs.Newf(errs.Exhausted, "a mount has at most %d keys: delete some, or take another mount", MaxKeys)
	}
	id, err := c.newID()
	if err != nil {
		return nil, false, err
	}
	if err := checkName("key_name", name, c.s.KeyNames, id); err != nil {
		return nil, false, err
	}
	der, err := keypair.Marshal(signer)
	if err != nil {
		return nil, false, err
	}
	kind, _ := keypair.Describe(signer.Public())
	k := &Key{ID: id, Name: name, Type: kind, DER: der, Signer: keypair.Signer(signer)}
	c.keys[id], c.touched[id] = k, true
	rename(c.s.KeyNames, "", name, id)
	if c.s.DefaultKey == "" {
		c.s.DefaultKey = id
	}
	for _, i := range c.issuers { // a certificate that was waiting for its key
		if i.KeyID == "" && keypair.Same(i.Certificate.PublicKey, signer.Public()) {
			i.KeyID, c.touched[i.ID] = id, true
		}
	}
	return k, false, nil
}

// Key returns a key of the change; "" and "default" are the default one.
func (c *Change) Key(ref string) (*Key, error) {
	id := ref
	if ref == "" || ref == Default {
		id = c.s.DefaultKey
	} else if named := c.s.KeyNames[strings.ToLower(ref)]; named != "" {
		id = named
	}
	if k := c.keys[id]; k != nil {
		return k, nil
	}
	return nil, errs.New(errs.Invalid, "unable to find PKI key for reference: it is neither the ID nor the name of a key; list keys/ for both")
}

// Issuer returns an issuer of the change, which may be changed until Done, if
// Touch is told.
func (c *Change) Issuer(ref string) (*Issuer, error) {
	id := ref
	if ref == "" || ref == Default {
		id = c.s.Default
	} else if named := c.s.IssuerNames[strings.ToLower(ref)]; named != "" {
		id = named
	}
	if i := c.issuers[id]; i != nil {
		return i, nil
	}
	return nil, errs.New(errs.Invalid, "unable to find PKI issuer for reference: it is neither the ID nor the name of an issuer; list issuers/ for both")
}

// Touch says that the issuer or key of that ID was changed.
func (c *Change) Touch(id string) { c.touched[id] = true }

// NameIssuer gives an issuer another name, "" for none.
func (c *Change) NameIssuer(i *Issuer, name string) error {
	if err := checkName("issuer_name", name, c.s.IssuerNames, i.ID); err != nil {
		return err
	}
	rename(c.s.IssuerNames, i.Name, name, i.ID)
	i.Name, c.touched[i.ID] = name, true
	return nil
}

// NameKey gives a key another name, "" for none.
func (c *Change) NameKey(k *Key, name string) error {
	if err := checkName("key_name", name, c.s.KeyNames, k.ID); err != nil {
		return err
	}
	rename(c.s.KeyNames, k.Name, name, k.ID)
	k.Name, c.touched[k.ID] = name, true
	return nil
}

// AddIssuer stores a certificate, or finds the same one; existed says which. Kind
// Invalid: it is no CA's.
func (c *Change) AddIssuer(cert *x509.Certificate, name string) (issuer *Issuer, existed bool, err error) {
	for _, i := range c.issuers {
		if bytes.Equal(i.DER, cert.Raw) {
			return i, true, nil
		}
	}
	switch {
	case !cert.IsCA || !cert.BasicConstraintsValid:
		return nil, false, errs.New(errs.Invalid, "refusing to import a certificate that is not marked as a CA certificate")
	case len(c.issuers) >= MaxIssuers:
		return nil, false, errs.Newf(errs.Exhausted, "a mount has at most %d issuers: delete some, or take another mount", MaxIssuers)
	}
	id, err := c.newID()
	if err != nil {
		return nil, false, err
	}
	if err := checkName("issuer_name", name, c.s.IssuerNames, id); err != nil {
		return nil, false, err
	}
	i := &Issuer{ID: id, Name: name, DER: cert.Raw, Usage: AllUsages, NotAfter: NotAfterErr, Certificate: cert, PEM: keypair.PEM("CERTIFICATE", cert.Raw), Authority: Authority(cert)}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		i.Usage &^= CRLSigning
	}
	for _, k := range c.keys {
		if keypair.Same(k.Signer.Public(), cert.PublicKey) {
			i.KeyID = k.ID
		}
	}
	c.issuers[id], c.touched[id] = i, true
	rename(c.s.IssuerNames, "", name, id)
	return i, false, nil
}

// Promote makes an issuer that was just added the default if there is none yet
// or the mount follows the latest.
func (c *Change) Promote(i *Issuer) {
	if i.KeyID != "" && (c.s.Default == "" || c.s.Follow) {
		c.s.Default = i.ID
	}
}

// SetDefaults changes the defaults; a nil pointer leaves one as it is.
func (c *Change) SetDefaults(issuer, key *string, follow *bool) error {
	if issuer != nil {
		i, err := c.Issuer(*issuer)
		if err != nil {
			return err
		}
		c.s.Default = i.ID
	}
	if key != nil {
		k, err := c.Key(*key)
		if err != nil {
			return err
		}
		c.s.DefaultKey = k.ID
	}
	if follow != nil {
		c.s.Follow = *follow
	}
	return nil
}

// Settings are as they will be; do not change them.
func (c *Change) Settings() *Settings { return c.s }

// DeleteIssuer removes an issuer. Its key stays.
func (c *Change) DeleteIssuer(i *Issuer) (wasDefault bool) {
	rename(c.s.IssuerNames, i.Name, "", i.ID)
	delete(c.issuers, i.ID)
	delete(c.touched, i.ID)
	c.tx.Delete(issuerFolder + i.ID)
	if wasDefault = c.s.Default == i.ID; wasDefault {
		c.s.Default = ""
	}
	return wasDefault
}

// DeleteKey removes a key for good. Issuers that have it can sign no more.
func (c *Change) DeleteKey(k *Key) (wasDefault bool) {
	rename(c.s.KeyNames, k.Name, "", k.ID)
	delete(c.keys, k.ID)
	delete(c.touched, k.ID)
	c.tx.Delete(keyFolder + k.ID)
	for _, i := range c.issuers {
		if i.KeyID == k.ID {
			i.KeyID, c.touched[i.ID] = "", true
		}
	}
	if wasDefault = c.s.DefaultKey == k.ID; wasDefault {
		c.s.DefaultKey = ""
	}
	return wasDefault
}

// DeleteAll removes all issuers and keys.
func (c *Change) DeleteAll() {
	for _, i := range c.issuers {
		c.DeleteIssuer(i)
	}
	for _, k := range c.keys {
		c.DeleteKey(k)
	}
}

// Done puts the chains together and writes what changed.
func (c *Change) Done() error {
	for _, i := range c.issuers {
		if chain := c.chain(i); !slices.Equal(chain, i.Chain) {
			i.Chain, c.touched[i.ID] = chain, true
		}
	}
	c.s.Changes++
	if err := put(c.tx, settingsKey, c.s); err != nil {
		return err
	}
	for id := range c.touched {
		var err error
		if i := c.issuers[id]; i != nil {
			err = put(c.tx, issuerFolder+id, i)
		} else if k := c.keys[id]; k != nil {
			err = put(c.tx, keyFolder+id, k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chain returns the IDs of the issuers above i, nearest first. Of several that
// could have signed it, the one that lasts longest is taken.
func (c *Change) chain(i *Issuer) []string {
	if len(i.ManualChain) > 0 {
		return slices.DeleteFunc(slices.Clone(i.ManualChain), func(id string) bool { return id == i.ID || c.issuers[id] == nil })
	}
	var chain []string
	seen := map[string]bool{i.Authority: true}
	for at := i; !at.Root(); {
		up := c.parent(at, seen)
		if up == nil {
			break
		}
		chain = append(chain, up.ID)
		seen[up.Authority] = true
		at = up
	}
	return chain
}

func (c *Change) parent(i *Issuer, seen map[string]bool) *Issuer {
	var best *Issuer
	for _, p := range c.issuers {
		if seen[p.Authority] || !bytes.Equal(p.Certificate.RawSubject, i.Certificate.RawIssuer) || i.Certificate.CheckSignatureFrom(p.Certificate) != nil {
			continue
		}
		if best == nil || better(p, best) {
			best = p
		}
	}
	return best
}

// better prefers roots, then what lasts longer, then the lower ID, so that the
// choice does not depend on the order of a map.
func better(a, b *Issuer) bool {
	if ra, rb := a.Root(), b.Root(); ra != rb {
		return ra
	}
	if n := a.Certificate.NotAfter.Compare(b.Certificate.NotAfter); n != 0 {
		return n > 0
	}
	return cmp.Less(a.ID, b.ID)
}
