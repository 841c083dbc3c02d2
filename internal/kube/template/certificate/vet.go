package certificate

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"
)

// A PKCS#12 archive (RFC 7292) names how often its passwords are to be hashed,
// and package pkcs12 obeys: 2^31 rounds take minutes. So an archive is looked at
// before it is read.

const (
	mostRounds     = 1_000_000
	roundsPerUnit  = 250_000
	deepestArchive = 40
)

type pfx struct {
	Version  int
	AuthSafe content
	MAC      macData `asn1:"optional"`
}

type content struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

type macData struct {
	Mac struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Salt   []byte
	Rounds int `asn1:"optional,default:1"`
}

type bag struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"tag:0,explicit"`
}

// rounds returns how often all of the archive's visible parameters ask for a
// hash, without saturating above mostRounds. They are, whatever they belong to,
// an INTEGER after a salt, which has the number of OCTET STRING; its class is
// not looked at, as package pkcs12 does not.
func rounds(der []byte, depth int) int {
	total, salted := 0, false
	for len(der) > 0 && total <= mostRounds {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			break // what it cannot read, the decoder cannot
		}
		der = rest
		octets := v.Tag == asn1.TagOctetString
		switch {
		case salted && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger:
			var n int
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err != nil || n > mostRounds {
				n = mostRounds + 1
			}
			total += max(n, 0)
		case depth > deepestArchive:
			return mostRounds + 1
		case v.IsCompound || octets:
			total += rounds(v.Bytes, depth+1)
		}
		salted = octets
	}
	return total
}

// vetted returns an archive that is cheap to read and stands for raw.
func (r Reader) vetted(raw []byte, password string) ([]byte, error) {
	n := rounds(raw, 0)
	if n > mostRounds {
		return nil, fail("the PKCS#12 archive asks for more than a million rounds of password hashing")
	}
	if err := r.Spend((n + roundsPerUnit/2) / roundsPerUnit); err != nil {
		return nil, err
	}
	return probe(raw, password)
}

func errNotArchive() error { return fail("this is not a PKCS#12 archive, or the password is wrong") }

// probe looks into the encrypted parts of an archive, where a key with
// parameters of its own could hide. Package pkcs12 refuses a second key before
// it decrypts it: each part is read behind a key of ours and must hold
// certificates only, as they do from all known writers.
//
// An empty password has two encodings, of which the decoder takes the one that
// the archive's MAC fits. The archive returned then has a MAC for the one that
// the parts were read with; nothing is lost, as a MAC with a known password
// protects nothing.
func probe(raw []byte, password string) ([]byte, error) {
	var archive pfx
	var safe []byte
	var parts []content
	if rest, err := asn1.Unmarshal(raw, &archive); err != nil || len(rest) > 0 {
		return nil, errNotArchive()
	}
	if _, err := asn1.Unmarshal(archive.AuthSafe.Value.Bytes, &safe); err != nil {
		return nil, errNotArchive()
	}
	if _, err := asn1.Unmarshal(safe, &parts); err != nil {
		return nil, errNotArchive()
	}
	if !shortKeys(parts) {
		return nil, fail("the private key of the PKCS#12 archive is too long: the limit is RSA of 8192 bits")
	}
	encrypted := slices.DeleteFunc(slices.Clone(parts), func(c content) bool { return !c.Type.Equal(oids().encrypted) })
	if len(encrypted) == 0 {
		return raw, nil
	}
	if password != "" {
		return raw, certificatesOnly(encrypted, password, encoded(password))
	}
	for _, encoding := range [][]byte{encoded(""), nil} {
		if certificatesOnly(encrypted, "", encoding) == nil {
			return sealed(safe, encoding)
		}
	}
	return nil, errNotArchive()
}

// shortKeys is false when a part that is not encrypted holds a key that takes
// long to read.
func shortKeys(parts []content) bool {
	for _, part := range parts {
		var octets []byte
		var bags []bag
		if _, err := asn1.Unmarshal(part.Value.Bytes, &octets); err != nil {
			continue // what it cannot read, the decoder cannot
		}
		if _, err := asn1.Unmarshal(octets, &bags); err != nil {
			continue
		}
		for _, b := range bags {
			if (b.Type.Equal(oids().key) || b.Type.Equal(oids().shrouded)) && len(b.Value.Bytes) > longestKeyDER+1<<10 {
				return false
			}
		}
	}
	return true
}

// certificatesOnly is nil when every part can be read and holds no key.
func certificatesOnly(parts []content, password string, encoding []byte) error {
	key, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		return errNotArchive()
	}
	bags, err := asn1.Marshal([]bag{{Type: oids().key, Value: explicit(key)}})
	if err != nil {
		return errNotArchive()
	}
	ours, err := data(bags)
	if err != nil {
		return errNotArchive()
	}
	for _, part := range parts {
		safe, err := asn1.Marshal([]content{ours, part})
		if err != nil {
			return errNotArchive()
		}
		archive, err := sealed(safe, encoding)
		if err != nil {
			return err
		}
		if _, _, _, err := pkcs12.DecodeChain(archive, password); err != nil {
			return fail("this is not a PKCS#12 archive, the password is wrong, or an encrypted part holds something else than certificates")
		}
	}
	return nil
}

// sealed returns an archive of the given contents with a MAC of one round. It is
// read at once and never leaves this package.
func sealed(safe, password []byte) ([]byte, error) {
	auth, err := data(safe)
	if err != nil {
		return nil, errNotArchive()
	}
	out := pfx{Version: 3, AuthSafe: auth}
	out.MAC.Mac.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oids().sha256}
	out.MAC.Salt = make([]byte, sha256.BlockSize)
	out.MAC.Rounds = 1
	// RFC 7292 appendix B.2 for one block and one round: H(ID | salt | password).
	input := append(bytes.Repeat([]byte{3}, sha256.BlockSize), out.MAC.Salt...)
	if len(password) > 0 {
		n := (len(password) + sha256.BlockSize - 1) / sha256.BlockSize * sha256.BlockSize
		input = append(input, bytes.Repeat(password, n/len(password)+1)[:n]...)
	}
	key := sha256.Sum256(input)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(safe)
	out.MAC.Mac.Digest = mac.Sum(nil)
	archive, err := asn1.Marshal(out)
	if err != nil {
		return nil, errNotArchive()
	}
	return archive, nil
}

// encoded is a password as RFC 7292 appendix B.1 wants it.
func encoded(password string) []byte {
	out := make([]byte, 0, 2*len(password)+2)
	for _, c := range append(utf16.Encode([]rune(password)), 0) {
		out = append(out, byte(c>>8), byte(c))
	}
	return out
}

func data(octets []byte) (content, error) {
	der, err := asn1.Marshal(octets)
	return content{Type: oids().data, Value: explicit(der)}, err
}

func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

type identifiersOfArchives struct{ data, encrypted, key, shrouded, sha256 asn1.ObjectIdentifier }

func oids() identifiersOfArchives {
	return identifiersOfArchives{
		data:      asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1},
		encrypted: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6},
		key:       asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1},
		shrouded:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2},
		sha256:    asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1},
	}
}
