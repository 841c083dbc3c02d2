package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strconv"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Options say how to sign. Those that a key's type has no use for are not
// looked at.
type Options struct {
	Hash      crypto.Hash // 0 = none: prehashed PKCS #1 v1.5 without a DigestInfo
	Prehashed bool        // the input is a digest of Hash
	PKCS1     bool        // RSA: PKCS #1 v1.5 instead of PSS
	JWS       bool        // ECDSA: r and s side by side instead of ASN.1; and base64url without padding for all
	Salt      int         // RSA-PSS: bytes, or one of rsa's PSSSaltLength constants
	Context   []byte      // Ed25519: at most 255 bytes, makes it Ed25519ctx (RFC 8032 §5.1)
}

// Texts are Options as clients write them; "" is the default.
type Texts struct {
	Hash, Algorithm, Marshaling, Salt string
	Prehashed                         bool
	Context                           []byte
}

// Parse reads Texts. Errors are Invalid, and name the field and its values.
func (t Texts) Parse() (o Options, err error) {
	o.Prehashed, o.Context = t.Prehashed, t.Context
	switch t.Algorithm {
	case "", "pss":
	case "pkcs1v15":
		o.PKCS1 = true
	default:
		return o, errs.New(errs.Invalid, "unsupported signature algorithm: signature_algorithm must be pss or pkcs1v15")
	}
	switch t.Marshaling {
	case "", "asn1":
	case "jws":
		o.JWS = true
	default:
		return o, errs.New(errs.Invalid, "invalid marshaling type: marshaling_algorithm must be asn1 or jws")
	}
	if len(t.Context) > 255 {
		return o, errs.New(errs.Invalid, "signature_context must be at most 255 bytes")
	}
	if t.Hash == None {
		if !o.Prehashed || !o.PKCS1 {
			return o, errs.New(errs.Invalid, "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15")
		}
	} else if o.Hash, err = ParseHash(t.Hash); err != nil {
		return o, err
	}
	o.Salt, err = parseSalt(t.Salt)
	return o, err
}

func parseSalt(text string) (int, error) {
	switch text {
	case "", "auto", "0":
		return rsa.PSSSaltLengthAuto, nil
	case "hash", "-1":
		return rsa.PSSSaltLengthEqualsHash, nil
	}
	// More than any modulus has room for is refused when it is used.
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errs.New(errs.Invalid, "invalid salt length: salt_length must be auto, hash or a number of bytes")
	}
	return int(n), nil
}

// digest returns what is signed in place of input.
func (o *Options) digest(input []byte) ([]byte, error) {
	switch {
	case !o.Prehashed:
		return Sum(o.Hash, input), nil
	case o.Hash != 0 && len(input) != o.Hash.Size():
		return nil, errs.Newf(errs.Invalid, "the prehashed input has %d bytes, but a digest of the hash_algorithm has %d", len(input), o.Hash.Size())
	case o.Hash == 0 && len(input) == 0:
		return nil, errs.New(errs.Invalid, "missing input")
	}
	return input, nil
}

// edwards returns the form of Ed25519 that is meant: with prehashed it is
// Ed25519ph, which is defined with SHA-512 only.
func (o *Options) edwards(input []byte) (*ed25519.Options, error) {
	e := &ed25519.Options{Context: string(o.Context)}
	if !o.Prehashed {
		return e, nil
	}
	if o.Hash != crypto.SHA512 {
		return nil, errs.New(errs.Invalid, "prehashed input of an ed25519 key means Ed25519ph, which needs hash_algorithm=sha2-512; send the input itself otherwise")
	}
	e.Hash = crypto.SHA512
	_, err := o.digest(input)
	return e, err
}

func (o *Options) rsa() crypto.SignerOpts {
	if o.PKCS1 {
		return o.Hash
	}
	return &rsa.PSSOptions{SaltLength: o.Salt, Hash: o.Hash}
}

// Sign returns the signature of input as text, without the front that names the
// key's version. Errors are Invalid.
func (o *Options) Sign(signer crypto.Signer, input []byte) (string, error) {
	raw, err := o.sign(signer, input)
	if err != nil {
		return "", err
	}
	return o.encoding().EncodeToString(raw), nil
}

func (o *Options) sign(signer crypto.Signer, input []byte) ([]byte, error) {
	if private, ok := signer.(ed25519.PrivateKey); ok {
		opts, err := o.edwards(input)
		if err != nil {
			return nil, err
		}
		return refuse(private.Sign(nil, input, opts))
	}
	digest, err := o.digest(input)
	if err != nil {
		return nil, err
	}
	private, ok := signer.(*ecdsa.PrivateKey)
	if !ok {
		return refuse(signer.Sign(rand.Reader, digest, o.rsa()))
	}
	raw, err := refuse(ecdsa.SignASN1(rand.Reader, private, digest))
	if err != nil || !o.JWS {
		return raw, err
	}
	return sideBySide(raw, size(&private.PublicKey))
}

// refuse makes what a signer cannot do the client's affair: a salt longer than
// the key has room for, a hash function without an identifier.
func refuse(raw []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "signing with these options: %w", err)
	}
	return raw, nil
}

func (o *Options) encoding() *base64.Encoding {
	if o.JWS {
		return base64.RawURLEncoding
	}
	return base64.StdEncoding
}

// Verify reports whether signature is one of input. What is not even encoded
// as a signature is an error of kind Invalid.
func (o *Options) Verify(public crypto.PublicKey, input []byte, signature string) (bool, error) {
	raw, err := o.encoding().DecodeString(signature)
	if err != nil {
		return false, errs.New(errs.Invalid, "invalid base64 signature value")
	}
	if public, ok := public.(ed25519.PublicKey); ok {
		opts, err := o.edwards(input)
		return err == nil && ed25519.VerifyWithOptions(public, input, raw, opts) == nil, err
	}
	digest, err := o.digest(input)
	if err != nil {
		return false, err
	}
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		return o.verifyECDSA(public, digest, raw)
	case *rsa.PublicKey:
		if o.PKCS1 {
			return rsa.VerifyPKCS1v15(public, o.Hash, digest, raw) == nil, nil
		}
		return rsa.VerifyPSS(public, o.Hash, digest, raw, &rsa.PSSOptions{SaltLength: o.Salt, Hash: o.Hash}) == nil, nil
	}
	return false, errs.Newf(errs.Internal, "a public key of type %T cannot verify", public)
}

func (o *Options) verifyECDSA(public *ecdsa.PublicKey, digest, raw []byte) (bool, error) {
	if o.JWS {
		if len(raw) != 2*size(public) {
			return false, nil
		}
		var err error
		if raw, err = sequence(raw); err != nil {
			return false, err
		}
	}
	return ecdsa.VerifyASN1(public, digest, raw), nil
}

// size is the bytes of a number modulo the curve's order.
func size(public *ecdsa.PublicKey) int { return (public.Curve.Params().N.BitLen() + 7) / 8 }

// sideBySide turns SEQUENCE{r, s} (RFC 3279 §2.2.3) into r | s, each of size
// bytes (RFC 7518 §3.4).
func sideBySide(der []byte, size int) ([]byte, error) {
	var r, s big.Int
	var inner cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) {
		return nil, errs.New(errs.Internal, "a signature just made is not ASN.1")
	}
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}

// sequence undoes sideBySide.
func sequence(raw []byte) ([]byte, error) {
	r, s := new(big.Int).SetBytes(raw[:len(raw)/2]), new(big.Int).SetBytes(raw[len(raw)/2:])
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(s)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a signature: %w", err)
	}
	return der, nil
}
