package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// TestTampering: an adversary who can write the storage, and holds no key,
// cannot make the vault open wrongly; it stays shut and says why.
func TestTampering(t *testing.T) {
	key := newKeyfile(t)
	base := newStore(t)
	shares := initialize(t, newBarrier(t, base, key), InitConfig{Shares: 3, Threshold: 2})
	other := newStore(t)
	initialize(t, newBarrier(t, other, key), InitConfig{Shares: 3, Threshold: 2})
	get := func(s store.Store, key string) []byte {
		e, err := s.Get(t.Context(), key)
		if err != nil || !e.Exists() {
			t.Fatal(key, err)
		}
		return e.Value
	}
	edit := func(old, new string) []byte {
		b := get(base, ConfigKey)
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no %q in the configuration", old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	flipped := slices.Clone(get(base, KeyringKey))
	flipped[len(flipped)/2] ^= 1
	newer := append([]byte{2}, get(base, KeyringKey)[1:]...)
	for name, c := range map[string]struct {
		key    string
		value  []byte // nil = deleted
		people errs.Kind
		auto   errs.Kind
		say    string
	}{
		"threshold raised":         {ConfigKey, edit(`"threshold":2`, `"threshold":3`), errs.Invalid, ok, "do not open"},
		"number of shares changed": {ConfigKey, edit(`"shares":3`, `"shares":4`), errs.Internal, errs.Internal, "3 hashes for 4"},
		"key id changed":           {ConfigKey, edit(key.KeyID(), "0000000000000000"), ok, errs.NotExist, ""},
		"vault id changed":         {ConfigKey, edit(`"vault_id":"`, `"vault_id":"`+"00000000-0000-4000-8000-000000000000\",\"vault_id\":\""), errs.Internal, errs.Internal, "duplicate"},
		"format of tomorrow":       {ConfigKey, edit(`"version":2`, `"version":7`), errs.Unsupported, errs.Unsupported, "upgrade"},
		"another vault's config":   {ConfigKey, get(other, ConfigKey), errs.Invalid, errs.Internal, ""},
		"config deleted":           {ConfigKey, nil, errs.Sealed, errs.Sealed, "not initialized"},
		"another vault's keyring":  {KeyringKey, get(other, KeyringKey), errs.Internal, errs.Internal, "decrypting the keyring"},
		"keyring changed":          {KeyringKey, flipped, errs.Internal, errs.Internal, "authenticate"},
		"keyring of tomorrow":      {KeyringKey, newer, errs.Unsupported, errs.Unsupported, "upgrade"},
		"keyring cut":              {KeyringKey, flipped[:20], errs.Internal, errs.Internal, "cut short"},
		"keyring deleted":          {KeyringKey, nil, errs.Internal, errs.Internal, "backup"},
		"count deleted":            {UsageKey, nil, ok, ok, ""},
		"count changed":            {UsageKey, []byte("garbage"), ok, ok, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			for _, k := range []string{ConfigKey, KeyringKey, UsageKey} {
				v := get(base, k)
				if k == c.key {
					v = c.value
				}
				if v != nil {
					if _, err := s.Apply(t.Context(), store.Put(k, v)); err != nil {
						t.Fatal(err)
					}
				}
			}
			b := newBarrier(t, s, key)
			var err error
			for _, share := range shares {
				if _, e := b.SubmitShare(t.Context(), asHex(share)); e != nil && err == nil {
					err = e
				}
			}
			outcome(t, "by shares", err, c.people, c.say)
			b.Seal()
			outcome(t, "by key file", b.AutoUnseal(t.Context()), c.auto, "")
		})
	}
}

// ok stands for no error in tables of kinds.
const ok = errs.Kind(255)

func outcome(t *testing.T, what string, err error, kind errs.Kind, say string) {
	t.Helper()
	if kind != ok {
		wantKind(t, what, err, kind, say)
	} else if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// TestCanaries plants known keys and looks for them in everything that a
// barrier says.
func TestCanaries(t *testing.T) {
	var out bytes.Buffer
	s, key := newStore(t), newKeyfile(t)
	b := newBarrierWith(t, Config{Store: s, Wrappers: []Wrapper{key}, Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	say := func(v any) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	res, err := b.Init(t.Context(), InitConfig{})
	if err != nil {
		t.Fatal(err)
	}
	say(res)
	session, ring := b.current(), b.keys.ring.Load()
	m, _, err := session.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaks := map[string][]byte{"seed": m.seed, "term key": m.terms[0].key}
	b.Seal() // ends the upkeep, with which printing would race
	keys := newKeyring()
	keys.install(ring, m.seed)
	say(keys)
	say(ring)
	say(session)
	say(session.root)
	for i, share := range res.Shares[:3] {
		leaks[fmt.Sprint("share ", i)] = share.Reveal()
		st, err := b.SubmitShare(t.Context(), asHex(share))
		say(st)
		say(err)
		say(&b.attempt)
		text := hex.EncodeToString(share.Reveal())
		for _, bad := range []string{text[:60], text + "0", "z" + text[1:], text[:64] + "zz", base64.StdEncoding.EncodeToString(share.Reveal())[:43]} {
			_, err := b.SubmitShare(t.Context(), redact.FromString(bad))
			say(err)
		}
	}
	b.Seal()
	for _, share := range res.Shares[:3] {
		raw := slices.Clone(share.Reveal())
		raw[9] ^= 1
		_, err := b.SubmitShare(t.Context(), asHex(redact.New(raw)))
		say(err)
	}
	say(New(Config{Store: s, Wrappers: []Wrapper{newKeyfile(t)}}).AutoUnseal(t.Context()))
	if !strings.Contains(out.String(), "no share of the set") || !strings.Contains(out.String(), "Progress:2") {
		t.Fatal("the test did not see what it looks through")
	}
	for name, secret := range leaks {
		for _, form := range []string{string(secret[4:12]), hex.EncodeToString(secret[4:12]), base64.StdEncoding.EncodeToString(secret[6:15]), strings.Trim(fmt.Sprint(secret[4:10]), "[]")} {
			if strings.Contains(strings.ToLower(out.String()), strings.ToLower(form)) {
				t.Errorf("a %s was printed as %q", name, form)
			}
		}
	}
}

// TestGoldenVault opens a vault as it lies on a disk somewhere, by all that
// opens it. Never change its files.
func TestGoldenVault(t *testing.T) {
	dir := filepath.Join("testdata", "vault-v1")
	if _, err := os.Stat(dir); os.IsNotExist(err) && *newGolden {
		makeGoldenVault(t, dir)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s := newStore(t)
	for name, key := range map[string]string{"seal-config": ConfigKey, "keyring": KeyringKey, "keyring-usage": UsageKey} {
		if _, err := s.Apply(t.Context(), store.Put(key, read(name))); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "key") // a checkout's modes are too open
	if err := os.WriteFile(file, read("keyfile"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	b := newBarrier(t, s, key)
	check := func(how string) {
		mustOpen(t, b, read("value-term-1"), "sealed under term 1")
		mustOpen(t, b, read("value-term-2"), "sealed under term 2")
		d, err := b.Keyring().Derive("golden")
		if err != nil || hex.EncodeToString(d.Reveal()) != string(read("derived")) {
			t.Errorf("opened by %s: the derived key is another (%v)", how, err)
		}
	}
	for _, share := range strings.Fields(string(read("shares"))) {
		if _, err := b.SubmitShare(t.Context(), redact.FromString(share)); err != nil {
			t.Fatal(err)
		}
	}
	check("shares")
	if info, _ := b.RotationInfo(); info.Term != 2 || info.Encryptions < 2 || info.Installed.IsZero() {
		t.Errorf("rotation info: %+v", info)
	}
	b.Seal()
	if err := b.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("key file")
}

func makeGoldenVault(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "key")
	key, err := keyfile.Generate(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	b := newBarrier(t, s, key)
	shares := initialize(t, b, InitConfig{Shares: 3, Threshold: 2})
	write("value-term-1", sealed(t, b, "sealed under term 1"))
	if _, err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	write("value-term-2", sealed(t, b, "sealed under term 2"))
	d, err := b.Keyring().Derive("golden")
	if err != nil {
		t.Fatal(err)
	}
	write("derived", []byte(hex.EncodeToString(d.Reveal())))
	write("shares", []byte(hex.EncodeToString(shares[0].Reveal())+"\n"+base64.StdEncoding.EncodeToString(shares[2].Reveal())+"\n"))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write("keyfile", text)
	for name, key := range map[string]string{"seal-config": ConfigKey, "keyring": KeyringKey, "keyring-usage": UsageKey} {
		e, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		write(name, e.Value)
	}
}
