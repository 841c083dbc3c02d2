package recipient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// person makes a PGP key; life 0 = it never expires.
func person(t testing.TB, life time.Duration) *pgp.Entity {
	t.Helper()
	e, err := pgp.NewEntity("Ann", "", "ann@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(life / time.Second), Time: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func public(t testing.TB, e *pgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armored(t testing.TB, kind string, raw []byte) string {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whoever has the private key reads it, in each form that a key is given in.
func TestPGP(t *testing.T) {
	e := person(t, 0)
	raw := public(t, e)
	text := armored(t, "PGP PUBLIC KEY BLOCK", raw)
	for name, given := range map[string]string{
		"base64": base64.StdEncoding.EncodeToString(raw), "base64 in lines": strings.ReplaceAll(base64.StdEncoding.EncodeToString(raw), "A", "A\n"),
		"armored": text, "base64 of armored": base64.StdEncoding.EncodeToString([]byte(text)),
	} {
		r, err := Parse(given, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Fingerprint != hex.EncodeToString(e.PrimaryKey.Fingerprint) {
			t.Errorf("%s: fingerprint %s", name, r.Fingerprint)
		}
		sealed, err := r.Encrypt(redact.FromString("a share"), now)
		if err != nil {
			t.Fatal(err)
		}
		m, err := pgp.ReadMessage(bytes.NewReader(sealed), pgp.EntityList{e}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := io.ReadAll(m.UnverifiedBody); err != nil || string(back) != "a share" {
			t.Errorf("%s: %q, %v", name, back, err)
		}
	}
}

// The program that people have reads it too.
func TestGnuPG(t *testing.T) {
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Skip("there is no gpg here")
	}
	home, err := os.MkdirTemp("", "gpg") // its sockets bear no long paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	run := func(in []byte, args ...string) []byte {
		t.Helper()
		c := exec.CommandContext(t.Context(), gpg, append([]string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		c.Stdin = bytes.NewReader(in)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("gpg %v: %v", args, err)
		}
		return out
	}
	run(nil, "--quick-generate-key", "ann@example.com", "default", "default", "never")
	t.Cleanup(func() { // the agent that it has started
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "gpgconf", "--homedir", home, "--kill", "all").Run()
	})
	r, err := Parse(base64.StdEncoding.EncodeToString(run(nil, "--export", "ann@example.com")), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := r.Encrypt(redact.FromString("a share"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if back := run(sealed, "--decrypt"); string(back) != "a share" {
		t.Errorf("gpg reads %q", back)
	}
}

func TestAge(t *testing.T) {
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for text, identity := range map[string]age.Identity{classic.Recipient().String(): classic, hybrid.Recipient().String(): hybrid} {
		r, err := Parse(" "+text+"\n", now)
		if err != nil || r.Fingerprint != text {
			t.Fatal(r.Fingerprint, err)
		}
		sealed, err := r.Encrypt(redact.FromString("a share"), now)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := age.Decrypt(bytes.NewReader(sealed), identity)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := io.ReadAll(plain); err != nil || string(back) != "a share" {
			t.Errorf("%q, %v", back, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	e := person(t, 0)
	var private bytes.Buffer
	if err := e.SerializePrivate(&private, nil); err != nil {
		t.Fatal(err)
	}
	two := append(public(t, e), public(t, person(t, 0))...)
	signs := person(t, 0)
	signs.Subkeys = nil
	secret, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	as64 := base64.StdEncoding.EncodeToString
	for name, c := range map[string]struct{ text, say string }{
		"nothing":     {"", "no PGP key"},
		"keybase":     {"keybase:ann", "not looked up"},
		"garbage":     {"%%%", "neither"},
		"not a key":   {as64([]byte("hello")), "no PGP key"},
		"torn":        {as64(public(t, e)[:40]), "no PGP key"},
		"torn armor":  {armored(t, "PGP PUBLIC KEY BLOCK", public(t, e))[:90], "no PGP key"},
		"two keys":    {as64(two), "more than one (2)"},
		"private":     {as64(private.Bytes()), "private PGP key"},
		"expired":     {as64(public(t, person(t, time.Hour))), "expired"},
		"signs only":  {as64(public(t, signs)), "no part for encryption"},
		"age private": {secret.String(), "private age key"},
		"age torn":    {secret.Recipient().String()[:30], "no age recipient"},
		"age file":    {secret.Recipient().String() + "\n# of ann", "no age recipient"},
		"huge":        {strings.Repeat("A", maxText+1), "too large"},
	} {
		_, err := Parse(c.text, now.Add(2*time.Hour))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want %q", name, err, c.say)
		}
		if c.text != "" && len(c.text) > 8 && err != nil && strings.Contains(err.Error(), c.text[:9]) && name != "keybase" {
			t.Errorf("%s: the message quotes what was given: %v", name, err)
		}
	}
	if _, err := ParseAll([]string{secret.Recipient().String()}, 2, now); !errs.Is(err, errs.Invalid) {
		t.Errorf("one recipient for two shares: %v", err)
	}
	if _, err := ParseAll([]string{secret.Recipient().String(), "x"}, 2, now); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "recipient 2 of 2") {
		t.Errorf("a bad second one: %v", err)
	}
}

// Shares for recipients are the text of their hex digits; plain ones are the bytes.
func TestSeal(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := ParseAll([]string{id.Recipient().String()}, 1, now)
	if err != nil {
		t.Fatal(err)
	}
	share := []redact.Secret{redact.New([]byte{1, 2, 0xff})}
	plain, err := Seal(share, nil, now)
	if err != nil || plain.Hex[0] != "0102ff" || plain.Base64[0] != "AQL/" || plain.Fingerprints != nil {
		t.Errorf("%+v, %v", plain, err)
	}
	sealed, err := Seal(share, to, now)
	if err != nil || sealed.Fingerprints[0] != to[0].Fingerprint {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(sealed.Base64[0])
	if err != nil || hex.EncodeToString(raw) != sealed.Hex[0] {
		t.Fatal("hex and base64 differ")
	}
	back, err := age.Decrypt(bytes.NewReader(raw), id)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(back); string(text) != "0102ff" {
		t.Errorf("%q", text)
	}
}

func FuzzParse(f *testing.F) {
	e := person(f, 0)
	raw := public(f, e)
	f.Add(base64.StdEncoding.EncodeToString(raw))
	f.Add(armored(f, "PGP PUBLIC KEY BLOCK", raw))
	f.Add("age1x")
	f.Add("keybase:x")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text, now)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("kind %v", errs.KindOf(err))
			}
			return
		}
		if out, err := r.Encrypt(redact.FromString("0123456789abcdef"), now); err == nil && bytes.Contains(out, []byte("0123456789abcdef")) {
			t.Error("the secret is in the clear")
		}
	})
}
