package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func trusted(t testing.TB, keys ...ed25519.PrivateKey) attest.Keys {
	t.Helper()
	k := attest.Keys{}
	for _, key := range keys {
		if err := k.Add(key.Public().(ed25519.PublicKey)); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func entry(seq int64, previous string) attest.Entry {
	return attest.Entry{
		Log: "log-1", Name: "shop/db", Seq: seq, Turn: seq * 2, Time: time.Date(2026, 11, 21, 12, 0, int(seq), 0, time.UTC),
		Previous: previous, By: attest.Author{DisplayName: "operator", Metadata: map[string]string{"b": "2", "a": "1"}},
		Statement: []byte(fmt.Sprintf(`{"turn":%d}`, seq*2)),
	}
}

func seal(t testing.TB, k ed25519.PrivateKey, e attest.Entry) (raw, payload []byte) {
	t.Helper()
	payload, err := e.Payload()
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := attest.Sign(k, attest.TypeEntry, payload)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = envelope.Encode(); err != nil {
		t.Fatal(err)
	}
	return raw, payload
}

func chain(t testing.TB, n int64) [][]byte {
	var out [][]byte
	previous := ""
	for i := int64(1); i <= n; i++ {
		raw, payload := seal(t, key(1), entry(i, previous))
		out, previous = append(out, raw), attest.Digest(payload)
	}
	return out
}

// The example of DSSE's protocol.md.
func TestPAE(t *testing.T) {
	if got := string(attest.PAE("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Errorf("%q", got)
	}
	if got := string(attest.PAE("", nil)); got != "DSSEv1 0  0 " {
		t.Errorf("%q", got)
	}
}

func TestVerifyChain(t *testing.T) {
	got, err := attest.VerifyChain(trusted(t, key(1)), chain(t, 4))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[3].Seq != 4 || got[3].Previous != got[2].Digest || got[0].By.DisplayName != "operator" || string(got[1].Statement) != `{"turn":4}` {
		t.Errorf("%+v", got)
	}
	if _, err := attest.VerifyChain(trusted(t, key(1)), chain(t, 4)[2:]); err != nil {
		t.Errorf("a chain from number 3: %v", err)
	}
}

// Everything that can be done to a chain without the key is seen.
func TestVerifyChainFinds(t *testing.T) {
	good := chain(t, 4)
	other := func(change func(*attest.Entry)) []byte {
		first, err := attest.Verify(trusted(t, key(1)), good[0])
		if err != nil {
			t.Fatal(err)
		}
		e := entry(2, first.Digest)
		change(&e)
		raw, _ := seal(t, key(1), e)
		return raw
	}
	resigned, _ := seal(t, key(2), entry(1, ""))
	for _, tc := range []struct {
		name  string
		chain [][]byte
		text  string
	}{
		{"one left out", [][]byte{good[0], good[2]}, "some are missing"},
		{"order changed", [][]byte{good[1], good[0]}, "stands behind number 2"},
		{"one twice", [][]byte{good[0], good[0]}, "stands behind number 1"},
		{"one replaced", [][]byte{good[0], other(func(e *attest.Entry) { e.Previous = "sha256:00" })}, "was replaced"},
		{"another name", [][]byte{good[0], other(func(e *attest.Entry) { e.Name = "shop/x" })}, "is of shop/x"},
		{"another log", [][]byte{good[0], other(func(e *attest.Entry) { e.Log = "log-2" })}, "another log"},
		{"turn goes back", [][]byte{good[0], other(func(e *attest.Entry) { e.Turn = 1 })}, "turn 1"},
		{"signed by a stranger", [][]byte{resigned}, "not among the 1 trusted"},
		{"payload changed", [][]byte{tamper(t, good[0], func(p []byte) []byte { return bytes.Replace(p, []byte(`"turn":2`), []byte(`"turn":9`), 1) })}, "signature is wrong"},
		{"payload longer", [][]byte{tamper(t, good[0], func(p []byte) []byte { return append(p, ' ') })}, "signature is wrong"},
		{"nothing", [][]byte{[]byte("{}")}, "no payloadType"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := attest.VerifyChain(trusted(t, key(1)), tc.chain)
			if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%v, want %q", err, tc.text)
			}
		})
	}
}

func tamper(t *testing.T, raw []byte, change func([]byte) []byte) []byte {
	e, err := attest.ParseEnvelope(raw)
	if err != nil {
		t.Fatal(err)
	}
	e.Payload = change(e.Payload)
	raw, err = e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What is signed as one thing is never taken for another.
func TestTypesAreApart(t *testing.T) {
	endorsement, err := attest.Endorse(key(1), attest.NextKey{Log: "log-1", Version: 2, PublicKey: pemOf(t, key(2))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.Verify(trusted(t, key(1)), endorsement); err == nil || !strings.Contains(err.Error(), attest.TypeKey) {
		t.Errorf("an endorsement as a statement: %v", err)
	}
	raw, _ := seal(t, key(1), entry(1, ""))
	if err := trusted(t, key(1)).Extend("log-1", raw); err == nil {
		t.Error("a statement endorses a key")
	}
	renamed := bytes.Replace(endorsement, []byte(attest.TypeKey), []byte(attest.TypeEntry), 1)
	if _, err := attest.Verify(trusted(t, key(1)), renamed); err == nil || !strings.Contains(err.Error(), "signature is wrong") {
		t.Errorf("an endorsement renamed: %v", err)
	}
}

func pemOf(t *testing.T, k ed25519.PrivateKey) string {
	text, err := attest.EncodeKey(k.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Who trusts the first key comes to trust those after it, of the same log only.
func TestExtend(t *testing.T) {
	second, err := attest.Endorse(key(1), attest.NextKey{Log: "log-1", Version: 2, PublicKey: pemOf(t, key(2))})
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := attest.Endorse(key(9), attest.NextKey{Log: "log-1", Version: 2, PublicKey: pemOf(t, key(3))})
	keys := trusted(t, key(1))
	raw, _ := seal(t, key(2), entry(1, ""))
	if _, err := attest.Verify(keys, raw); err == nil {
		t.Fatal("the second key is trusted before it is endorsed")
	}
	if err := keys.Extend("log-2", second); err == nil {
		t.Error("an endorsement of another log counts")
	}
	if err := keys.Extend("log-1", stranger); err == nil || len(keys) != 1 {
		t.Error("a stranger endorses")
	}
	if err := keys.Extend("log-1", second); err != nil {
		t.Fatal(err)
	}
	if _, err := attest.Verify(keys, raw); err != nil {
		t.Error(err)
	}
}

func TestParseKeys(t *testing.T) {
	keys, err := attest.ParseKeys([]byte("# from the vault\n" + pemOf(t, key(1)) + "\n" + pemOf(t, key(2))))
	if err != nil || len(keys) != 2 {
		t.Fatal(len(keys), err)
	}
	rsa := "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n"
	for name, text := range map[string]string{
		"nothing": "", "no PEM": "hello", "a certificate": strings.ReplaceAll(pemOf(t, key(1)), "PUBLIC KEY", "CERTIFICATE"), "RSA": rsa,
		"damaged": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
	} {
		if _, err := attest.ParseKeys([]byte(text)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseEnvelope(t *testing.T) {
	sig := base64.StdEncoding.EncodeToString(make([]byte, 64))
	many := strings.TrimSuffix(strings.Repeat(`{"sig":"`+sig+`"},`, 17), ",")
	for _, bad := range []string{
		``, `null`, `[]`, `{`, `{"payloadType":"x"}`,
		`{"payloadType":"x","payload":"","signatures":[]}`,
		`{"payloadType":"x","payload":"!","signatures":[{"sig":"` + sig + `"}]}`,
		`{"payloadType":"x","payload":"","signatures":[{"sig":"!"}]}`,
		`{"payloadType":"x","payload":"","signatures":[` + many + `]}`,
		`{"payloadType":"x","payloadType":"y","payload":"","signatures":[{"sig":"` + sig + `"}]}`,
		`{"payloadtype":"x","payload":"","signatures":[{"sig":"` + sig + `"}]}`,
		`{"payloadType":"x","payload":"","signatures":[{"sig":"` + sig + `"}]} {}`,
		`{"payload":"` + strings.Repeat("A", attest.MaxEnvelope) + `"}`,
	} {
		if _, err := attest.ParseEnvelope([]byte(bad)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%.80s: %v", bad, err)
		}
	}
	// Both alphabets of base64 (DSSE envelope.md).
	for _, payload := range []string{"+/8=", "-_8="} {
		e, err := attest.ParseEnvelope([]byte(`{"payloadType":"x","payload":"` + payload + `","signatures":[{"sig":"` + sig + `"}]}`))
		if err != nil || !bytes.Equal(e.Payload, []byte{0xfb, 0xff}) {
			t.Errorf("%s: %x, %v", payload, e.Payload, err)
		}
	}
}

func FuzzParseEnvelope(f *testing.F) {
	raw, _ := seal(f, key(1), entry(1, ""))
	f.Add(raw)
	f.Add([]byte(`{"payloadType":"x","payload":"-_8=","signatures":[{"keyid":"k","sig":""}]}`))
	keys := trusted(f, key(1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := attest.ParseEnvelope(raw)
		if err != nil {
			if errs.KindOf(err) != errs.Invalid {
				t.Errorf("kind of %v", err)
			}
			return
		}
		out, err := e.Encode()
		if err != nil {
			t.Fatalf("what was parsed does not encode: %v", err)
		}
		again, err := attest.ParseEnvelope(out)
		if err != nil || !bytes.Equal(again.Payload, e.Payload) || again.PayloadType != e.PayloadType {
			t.Errorf("%v", err)
		}
		if v, err := attest.Verify(keys, raw); err == nil && string(v.Statement) != `{"turn":2}` {
			t.Errorf("something was verified that was never signed: %s", raw)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	e := entry(1, "")
	e.Statement = []byte(`{"x":"` + strings.Repeat("x", 100<<10) + `"}`)
	raw, _ := seal(b, key(1), e)
	keys := trusted(b, key(1))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := attest.Verify(keys, raw); err != nil {
			b.Fatal(err)
		}
	}
}
