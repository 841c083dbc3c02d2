package template

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" // the PRF that PBKDF2 has unless another is named
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Archives of all known writers are read, with and without a password.
func TestArchivesOfAllKinds(t *testing.T) {
	_, middle, leaf, keyText := chain(t)
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
		data := map[string]string{"a": string(raw), "p": c.password}
		r := NewRun(data, Limits{}, still)
		if out, err := r.Text("t", "{{ pkcs12keyPass .p .a }}"); err != nil || string(out) != want {
			t.Errorf("%s: the key: %.40q, %v", name, out, err)
		}
		if out, err := r.Text("t", "{{ .a | b64enc | pkcs12certPass .p }}"); err != nil || string(out) != leaf+middle {
			t.Errorf("%s: the certificates: %.40q, %v", name, out, err)
		}
		if out, err := r.Text("t", "{{ .a | pkcs12certPass `wrong` }}"); c.encoder != pkcs12.Passwordless && (!errs.Is(err, errs.Invalid) || len(out) > 0) {
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
	_, _, leaf, _ := chain(t)
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
		_, err := NewRun(map[string]string{"a": c.archive}, Limits{}, still).Text("t", "{{ pkcs12keyPass `p` .a }}")
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	many := marshal(struct {
		Salt   []byte
		Rounds int
	}{nil, mostRounds})
	b := &budget{limits: Limits{}.withDefaults(), now: still}
	for range 2 {
		_, err := b.vetted(many, "")
		if !strings.Contains(err.Error(), "not a PKCS#12") {
			t.Errorf("within the budget: %v", err)
		}
	}
	if _, err := b.vetted(many, ""); !strings.Contains(err.Error(), "too many keys") {
		t.Errorf("rounds do not count: %v", err)
	}
}

// Reading a key takes the third power of its length.
func TestLongKeysAreRefused(t *testing.T) {
	long := make([]byte, 20_000)
	if _, err := rand.Read(long); err != nil {
		t.Fatal(err)
	}
	data := map[string]string{
		"pem": string(pem.EncodeToMemory(&pem.Block{Type: typePrivateKey, Bytes: long})),
		"jwk": `{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("A", 3000) + `"}`,
		"two": `{"kty":"RSA","e":"AQAB","n":"AQAB","n":"` + strings.Repeat("A", 3000) + `"}`,
	}
	for _, source := range []string{"{{ rsaDecrypt `RSA-OAEP` `` `x` .pem }}", "{{ jwkPublicKeyPem .jwk }}", "{{ jwkPrivateKeyPem .jwk }}", "{{ jwkPublicKeyPem .two }}"} {
		if _, err := NewRun(data, Limits{}, still).Text("t", source); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%s: %v", source, err)
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
		r := NewRun(map[string]string{"a": string(raw)}, Limits{Keys: 1}, still)
		for _, source := range []string{"{{ pkcs12key .a }}", "{{ pkcs12cert .a }}"} {
			if _, err := r.Text("t", source); err != nil && errs.KindOf(err) == errs.Internal {
				t.Error(err)
			}
		}
	})
}
