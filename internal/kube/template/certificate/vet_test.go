package certificate

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" // the PRF that PBKDF2 has unless another is named
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

func free(int) error { return nil }

// pair returns PEM of a certificate, of that which issued it, and of its key.
func pair(t *testing.T) (leaf, issuer, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	create := func(template, parent *x509.Certificate) *x509.Certificate {
		template.SerialNumber, template.NotAfter = big.NewInt(1), time.Unix(1<<32, 0)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &k.PublicKey, k)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true}
	ca = create(ca, ca)
	c := create(&x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}}, ca)
	if key, err = keyPEM(k); err != nil {
		t.Fatal(err)
	}
	return certificatesPEM([]*x509.Certificate{c}), certificatesPEM([]*x509.Certificate{ca}), key
}

// Archives of all known writers are read, with and without a password.
func TestArchivesOfAllKinds(t *testing.T) {
	leaf, middle, keyText := pair(t)
	certs, err := parseCertificates(leaf + middle)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(keyText))
	key, err := parseKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	want, err := keyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		encoder  *pkcs12.Encoder
		password string
	}{
		"modern": {pkcs12.Modern, "p"}, "modern, empty": {pkcs12.Modern, ""}, "modern, letters": {pkcs12.Modern2023, "zażółć"},
		"RC2": {pkcs12.LegacyRC2, "p"}, "RC2, empty": {pkcs12.LegacyRC2, ""}, "3DES": {pkcs12.LegacyDES, "p"}, "3DES, empty": {pkcs12.LegacyDES, ""},
		"none": {pkcs12.Passwordless, ""}, "PBMAC1": {pkcs12.Modern2026, "p"}, "PBMAC1, empty": {pkcs12.Modern2026, ""},
		"long password": {pkcs12.LegacyDES, strings.Repeat("long", 40)},
	} {
		raw, err := c.encoder.Encode(key, certs[0], certs[1:], c.password)
		if err != nil {
			t.Fatal(err)
		}
		r := Reader{Spend: free}
		if out, err := r.Key(c.password, string(raw)); err != nil || out != want {
			t.Errorf("%s: the key: %.40q, %v", name, out, err)
		}
		if out, err := r.Certificates(c.password, base64.StdEncoding.EncodeToString(raw)); err != nil || out != leaf+middle {
			t.Errorf("%s: the certificates: %.40q, %v", name, out, err)
		}
		var known Error
		if out, err := r.Certificates("wrong", string(raw)); c.encoder != pkcs12.Passwordless && (!errors.As(err, &known) || out != "") {
			t.Errorf("%s with a wrong password: %.40q, %v", name, out, err)
		}
	}
}

// An archive says how often to hash a password: an INTEGER after a salt, which
// may be of any class.
func TestRounds(t *testing.T) {
	type parameters struct {
		Salt   []byte
		Rounds int64
	}
	type odd struct {
		Salt   asn1.RawValue
		Rounds int64
	}
	oddSalt := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: asn1.TagOctetString, Bytes: []byte("salt")}
	inside, err := asn1.Marshal(parameters{[]byte("salt"), 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v    any
		want int
	}{
		{parameters{[]byte("salt"), 2048}, 2048}, {[]parameters{{nil, 1}, {nil, 2}}, 3}, {odd{oddSalt, 5}, 5}, {inside, 7},
		{parameters{inside, 1}, 8}, {parameters{nil, -5}, 0}, {parameters{nil, 1 << 31}, mostRounds + 1}, {parameters{nil, 1 << 62}, mostRounds + 1}, {[]int{1 << 40}, 0},
	} {
		der, err := asn1.Marshal(c.v)
		if err != nil {
			t.Fatal(err)
		}
		if got := rounds(der, 0); got != c.want {
			t.Errorf("rounds(%+v) = %d, want %d", c.v, got, c.want)
		}
	}
	deep := []byte{}
	for range deepestArchive + 5 {
		if deep, err = asn1.Marshal(deep); err != nil {
			t.Fatal(err)
		}
	}
	if got := rounds(deep, 0); got <= mostRounds {
		t.Errorf("too deep: %d", got)
	}
}

// encryptedPart returns an EncryptedData of contents, under PBES2 with the
// password "p".
func encryptedPart(t *testing.T, contents []byte) content {
	t.Helper()
	must := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	salt, iv := []byte("saltsalt"), make([]byte, aes.BlockSize)
	key, err := pbkdf2.Key(sha1.New, "p", salt, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	cipherBlock, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	n := aes.BlockSize - len(contents)%aes.BlockSize
	padded := append(bytes.Clone(contents), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(cipherBlock, iv).CryptBlocks(padded, padded)
	algorithm := func(parameters asn1.RawValue, oid ...int) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: parameters}
	}
	kdf := algorithm(must(struct {
		Salt   []byte
		Rounds int
	}{salt, 10}), 1, 2, 840, 113549, 1, 5, 12)
	pbes2 := algorithm(must([]pkix.AlgorithmIdentifier{kdf, algorithm(must(iv), 2, 16, 840, 1, 101, 3, 4, 1, 42)}), 1, 2, 840, 113549, 1, 5, 13)
	type info struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Content   []byte `asn1:"tag:0"`
	}
	return content{Type: oids().encrypted, Value: explicit(must(struct {
		Version int
		Info    info
	}{0, info{oids().data, pbes2, padded}}).FullBytes)}
}

// A key with parameters of its own inside an encrypted part is seen only by who
// decrypts it.
func TestHiddenRounds(t *testing.T) {
	marshal := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	slow := asn1.RawValue{FullBytes: marshal(struct {
		Salt   []byte
		Rounds int
	}{[]byte("salt"), 1 << 31})}
	hidden := marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}, Parameters: slow}, make([]byte, 64)})
	leaf, _, _ := pair(t)
	block, _ := pem.Decode([]byte(leaf))
	cert := bag{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}, Value: explicit(marshal(struct {
		Type asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}, block.Bytes}))}
	key := bag{Type: oids().shrouded, Value: explicit(hidden)}
	long := bag{Type: oids().key, Value: explicit(marshal(make([]byte, longestKeyDER+2<<10)))}

	archiveOf := func(parts ...content) string {
		raw, err := sealed(marshal(parts), encoded("p"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	plain := func(bags ...bag) content {
		part, err := data(marshal(bags))
		if err != nil {
			t.Fatal(err)
		}
		return part
	}
	slowMAC := pfx{Version: 3, AuthSafe: plain(cert)}
	slowMAC.MAC.Mac.Algorithm.Algorithm = oids().sha256
	slowMAC.MAC.Mac.Digest, slowMAC.MAC.Salt, slowMAC.MAC.Rounds = make([]byte, 32), []byte("salt"), 1<<31
	for name, c := range map[string]struct{ archive, want string }{
		"in the MAC":                       {string(marshal(slowMAC)), "a million rounds"},
		"in the open":                      {archiveOf(plain(cert, key)), "a million rounds"},
		"in an encrypted part":             {archiveOf(encryptedPart(t, marshal([]bag{key}))), "something else than certificates"},
		"in one, after a certificate":      {archiveOf(encryptedPart(t, marshal([]bag{cert, key}))), "something else than certificates"},
		"in the second of two":             {archiveOf(encryptedPart(t, marshal([]bag{cert})), encryptedPart(t, marshal([]bag{key, cert}))), "something else than certificates"},
		"a long key":                       {archiveOf(plain(long)), "too long"},
		"a certificate only, for the test": {archiveOf(encryptedPart(t, marshal([]bag{cert}))), "not a PKCS#12 archive of one key"},
	} {
		_, err := Reader{Spend: free}.Key("p", c.archive)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	many := marshal(struct {
		Salt   []byte
		Rounds int
	}{nil, mostRounds})
	spent := 0
	r := Reader{Spend: func(units int) error { spent += units; return errors.New("too much") }}
	if _, err := r.Certificates("", string(many)); err == nil || err.Error() != "too much" || spent != mostRounds/roundsPerUnit {
		t.Errorf("%d units: %v", spent, err)
	}
}

// Reading a key takes the third power of its length.
func TestLongKeysAreRefused(t *testing.T) {
	long := make([]byte, 20_000)
	if _, err := rand.Read(long); err != nil {
		t.Fatal(err)
	}
	number := strings.Repeat("A", 3000)
	text := string(pem.EncodeToMemory(&pem.Block{Type: typePrivateKey, Bytes: long}))
	_, decrypting := RSADecrypt("RSA-OAEP", "", "x", text)
	_, public := JWKPublicKey(`{"kty":"RSA","e":"AQAB","n":"` + number + `"}`)
	_, private := JWKPrivateKey(`{"kty":"RSA","e":"AQAB","n":"AQAB","d":"` + number + `"}`)
	_, twice := JWKPublicKey(`{"kty":"RSA","e":"AQAB","n":"AQAB","n":"` + number + `"}`)
	for i, err := range []error{decrypting, public, private, twice} {
		if err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func FuzzArchive(f *testing.F) {
	// Trust stores of one certificate, with an empty password and one round.
	for _, name := range []string{"modern", "3des", "passwordless"} {
		raw, err := os.ReadFile("testdata/" + name + ".p12")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := Reader{Spend: func(units int) error {
			if units > 0 {
				return errors.New("too much")
			}
			return nil
		}}
		if out, err := r.Key("", string(raw)); err != nil && out != "" {
			t.Error(err)
		}
		if out, err := r.Certificates("", string(raw)); err != nil && out != "" {
			t.Error(err)
		}
	})
}
