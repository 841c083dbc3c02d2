package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/keyfile"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

func newStore(t testing.TB) store.Store {
	t.Helper()
	s := mem.New(mem.Config{})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newBarrier(t testing.TB, s store.Store, wrappers ...Wrapper) *Barrier {
	t.Helper()
	return newBarrierWith(t, Config{Store: s, Wrappers: wrappers})
}

func newBarrierWith(t testing.TB, c Config) *Barrier {
	t.Helper()
	b := New(c)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func newKeyfile(t testing.TB) *keyfile.Key {
	t.Helper()
	k, err := keyfile.Generate(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func initialize(t testing.TB, b *Barrier, in InitConfig) []redact.Secret {
	t.Helper()
	res, err := b.Init(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return res.Shares
}

func asHex(share redact.Secret) redact.Secret {
	return redact.FromString(hex.EncodeToString(share.Reveal()))
}

func as64(share redact.Secret) redact.Secret {
	return redact.FromString(base64.StdEncoding.EncodeToString(share.Reveal()))
}

// submit gives shares and returns the last answer.
func submit(t testing.TB, b *Barrier, shares ...redact.Secret) Status {
	t.Helper()
	var st Status
	for _, s := range shares {
		var err error
		if st, err = b.SubmitShare(t.Context(), asHex(s)); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

func status(t testing.TB, b *Barrier) Status {
	t.Helper()
	st, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func sealed(t testing.TB, b *Barrier, plain string) []byte {
	t.Helper()
	v, err := b.Keyring().Seal([]byte("path"), []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustOpen(t testing.TB, b *Barrier, v []byte, want string) {
	t.Helper()
	got, err := b.Keyring().Open([]byte("path"), v)
	if err != nil || string(got) != want {
		t.Errorf("opened %q, %v; want %q", got, err, want)
	}
}

func wantKind(t testing.TB, what string, err error, kind errs.Kind, say string) {
	t.Helper()
	if !errs.Is(err, kind) || !strings.Contains(err.Error(), say) {
		t.Errorf("%s: got %v (%v), want kind %v saying %q", what, err, errs.KindOf(err), kind, say)
	}
}

func TestLifeOfAVault(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	if got := status(t, b); got != (Status{Sealed: true, Type: "shamir"}) {
		t.Errorf("before initialisation: %+v", got)
	}
	_, err := b.SubmitShare(t.Context(), redact.FromString("01"+strings.Repeat("0", 64)))
	wantKind(t, "a share before initialisation", err, errs.Sealed, "operator init")

	shares := initialize(t, b, InitConfig{})
	st := status(t, b)
	if !st.Initialized || st.Sealed || st.Shares != 5 || st.Threshold != 3 || st.Type != "shamir" || st.AutoUnseal || len(st.VaultID) != 36 {
		t.Errorf("after initialisation: %+v", st)
	}
	if len(shares) != 5 {
		t.Fatalf("%d shares", len(shares))
	}
	value := sealed(t, b, "secret")
	name, _ := b.Keyring().NameKey()

	b.Seal()
	b.Seal() // again is fine
	if got := status(t, b); !got.Sealed || got.VaultID != st.VaultID {
		t.Errorf("after sealing: %+v", got)
	}
	if _, err := b.Keyring().Open(nil, value); !errs.Is(err, errs.Sealed) {
		t.Errorf("a sealed vault answers %v", err)
	}
	_, err = b.Rotate(t.Context())
	wantKind(t, "rotating a sealed vault", err, errs.Sealed, "Vault is sealed")

	got := submit(t, b, shares[4])
	if got.Progress != 1 || !got.Sealed || len(got.Nonce) != 36 {
		t.Errorf("after one share: %+v", got)
	}
	nonce := got.Nonce
	if got = submit(t, b, shares[4], shares[4]); got.Progress != 1 || got.Nonce != nonce {
		t.Errorf("the same share counted twice: %+v", got)
	}
	if got, err = b.SubmitShare(t.Context(), as64(shares[0])); err != nil || got.Progress != 2 {
		t.Errorf("a share in base64: %+v, %v", got, err)
	}
	if got = submit(t, b, shares[2]); got.Sealed || got.Progress != 0 || got.Nonce != "" {
		t.Errorf("after three shares: %+v", got)
	}
	mustOpen(t, b, value, "secret")
	if again, _ := b.Keyring().NameKey(); !again.Equal(name) {
		t.Error("the name key is another after unsealing")
	}
	if got = submit(t, b, shares[1]); got.Sealed || got.Progress != 0 {
		t.Errorf("a share too many: %+v", got)
	}
	wantKind(t, "a reset of an unsealed vault", b.ResetUnseal(), errs.Invalid, "unsealed already")
}

func TestInitRefuses(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	for _, in := range []InitConfig{{Shares: 3, Threshold: 4}, {Shares: 5}, {Threshold: 3}, {Shares: 5, Threshold: 1}, {Shares: 300, Threshold: 3}, {Shares: -1, Threshold: -1}} {
		_, err := b.Init(t.Context(), in)
		wantKind(t, fmt.Sprint(in), err, errs.Invalid, "")
	}
	if e, _ := s.Get(t.Context(), ConfigKey); e.Exists() {
		t.Error("a refused initialisation wrote something")
	}
	initialize(t, b, InitConfig{Shares: 1, Threshold: 1})
	_, err := b.Init(t.Context(), InitConfig{})
	wantKind(t, "a second initialisation", err, errs.Exist, "already initialized")
}

// Guards against two winners: the loser's shares would open nothing.
func TestInitAtOnceHasOneWinner(t *testing.T) {
	s := newStore(t)
	nodes := []*Barrier{newBarrier(t, s), newBarrier(t, s), newBarrier(t, s)}
	won := make(chan []redact.Secret, 24)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			res, err := nodes[i%3].Init(context.Background(), InitConfig{Shares: 3, Threshold: 2})
			switch {
			case err == nil:
				won <- res.Shares
			case !errs.Is(err, errs.Exist):
				t.Errorf("a loser got %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d initialisations won", len(won))
	}
	shares := <-won
	for _, b := range nodes {
		b.Seal()
		if st := submit(t, b, shares[2], shares[0]); st.Sealed {
			t.Error("the winner's shares do not open the vault on every node")
		}
	}
}

func TestInitOverAHalfOfAVault(t *testing.T) {
	s := newStore(t)
	if _, err := s.Apply(t.Context(), store.Put(KeyringKey, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	_, err := newBarrier(t, s).Init(t.Context(), InitConfig{})
	wantKind(t, "a keyring without configuration", err, errs.Internal, "restore it from a backup")
}

func TestWrongShares(t *testing.T) {
	b := newBarrier(t, newStore(t))
	shares := initialize(t, b, InitConfig{Shares: 5, Threshold: 3})
	b.Seal()
	foreign := func(number byte) redact.Secret { // well-formed, of no vault
		raw := slices.Clone(shares[0].Reveal())
		raw[0], raw[5] = number, raw[5]^0x55
		return redact.New(raw)
	}
	free := byte(1)
	for slices.ContainsFunc(shares, func(s redact.Secret) bool { return shamir.Number(s) == free }) {
		free++
	}

	submit(t, b, shares[0], foreign(free))
	_, err := b.SubmitShare(t.Context(), asHex(shares[1]))
	wantKind(t, "a foreign share among three", err, errs.Invalid, "give 3 shares again")
	if st := status(t, b); st.Progress != 0 || st.Nonce != "" || !st.Sealed {
		t.Errorf("a wrong set did not reset: %+v", st)
	}

	submit(t, b, shares[0])
	_, again := b.SubmitShare(t.Context(), asHex(foreign(shamir.Number(shares[0]))))
	if again == nil || again.Error() != err.Error() {
		t.Errorf("a contradicting share tells more than a wrong set: %v", again)
	}
	if st := status(t, b); st.Progress != 0 {
		t.Errorf("a contradiction did not reset: %+v", st)
	}

	st := submit(t, b, shares[0])
	for _, text := range []string{"", "garbage", strings.Repeat("f", 66), strings.Repeat("0", 66)} {
		_, err := b.SubmitShare(t.Context(), redact.FromString(text))
		wantKind(t, fmt.Sprintf("%q", text), err, errs.Invalid, "check that")
	}
	if got := status(t, b); got != st {
		t.Errorf("text that is no share changed the attempt: %+v, was %+v", got, st)
	}

	if err := b.ResetUnseal(); err != nil {
		t.Fatal(err)
	}
	if got := status(t, b); got.Progress != 0 || got.Nonce != "" {
		t.Errorf("after a reset: %+v", got)
	}
	if got := submit(t, b, shares[0]); got.Nonce == st.Nonce {
		t.Error("a new attempt has the nonce of the old one")
	}
	if got := submit(t, b, shares[1], shares[2]); got.Sealed {
		t.Error("the right shares no longer open the vault")
	}
}

func TestSharesOfAnotherVault(t *testing.T) {
	one, other := newBarrier(t, newStore(t)), newBarrier(t, newStore(t))
	initialize(t, one, InitConfig{Shares: 2, Threshold: 2})
	shares := initialize(t, other, InitConfig{Shares: 2, Threshold: 2})
	one.Seal()
	submit(t, one, shares[0])
	_, err := one.SubmitShare(t.Context(), asHex(shares[1]))
	wantKind(t, "another vault's shares", err, errs.Invalid, "do not open this vault")
}

func TestAttempt(t *testing.T) {
	_, shares, err := shamir.Deal(3, 2)
	if err != nil {
		t.Fatal(err)
	}
	clone := func(i int) redact.Secret { return redact.New(slices.Clone(shares[i].Reveal())) }
	var a attempt
	held := clone(0)
	if !a.add(held, "set 1") || !a.add(clone(0), "set 1") || len(a.shares) != 1 {
		t.Errorf("one share twice: %d", len(a.shares))
	}
	nonce := a.nonce
	// The shares were made anew by another node meanwhile.
	if !a.add(clone(1), "set 2") || len(a.shares) != 1 || a.nonce == nonce {
		t.Errorf("shares of two sets are held together: %d", len(a.shares))
	}
	if !bytes.Equal(held.Reveal(), make([]byte, shamir.ShareSize)) {
		t.Error("a dropped share is still in memory")
	}
}

func TestSharesGivenAtOnce(t *testing.T) {
	b := newBarrier(t, newStore(t))
	shares := initialize(t, b, InitConfig{Shares: 9, Threshold: 5})
	value := sealed(t, b, "v")
	for range 20 {
		b.Seal()
		var wg sync.WaitGroup
		for _, s := range shares {
			wg.Go(func() {
				if _, err := b.SubmitShare(context.Background(), asHex(s)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		mustOpen(t, b, value, "v")
	}
}

func TestKeyFileAndSharesEachOpenTheVault(t *testing.T) {
	s, key := newStore(t), newKeyfile(t)
	b := newBarrier(t, s, key)
	if st := status(t, b); st.Type != "keyfile" || !st.AutoUnseal || st.Initialized {
		t.Errorf("before initialisation: %+v", st)
	}
	wantKind(t, "auto-unseal before initialisation", b.AutoUnseal(t.Context()), errs.Sealed, "not initialized")
	shares := initialize(t, b, InitConfig{})
	value := sealed(t, b, "secret")
	if st := status(t, b); st.Type != "keyfile" || !st.AutoUnseal || st.Shares != 5 || st.Threshold != 3 {
		t.Errorf("initialised: %+v", st)
	}
	b.Seal()
	if err := b.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.AutoUnseal(t.Context()); err != nil {
		t.Errorf("auto-unseal of an unsealed vault: %v", err)
	}
	mustOpen(t, b, value, "secret")

	// The promise that recovery keys elsewhere do not keep (§5.2): the key is
	// gone, and the shares still open the vault.
	gone := newBarrier(t, s)
	wantKind(t, "no key configured", gone.AutoUnseal(t.Context()), errs.Unsupported, "operator unseal")
	submit(t, gone, shares[:3]...)
	mustOpen(t, gone, value, "secret")

	wrong := newBarrier(t, s, newKeyfile(t))
	wantKind(t, "another key file", wrong.AutoUnseal(t.Context()), errs.NotExist, key.KeyID())
	wantKind(t, "another key file", wrong.AutoUnseal(t.Context()), errs.NotExist, "shares of initialization open the vault too")
	submit(t, wrong, shares[2:]...)
	mustOpen(t, wrong, value, "secret")

	second := newBarrier(t, s, newKeyfile(t), key)
	if err := second.AutoUnseal(t.Context()); err != nil {
		t.Errorf("the right key as the second: %v", err)
	}
}

func TestKeyFileConfiguredLater(t *testing.T) {
	s := newStore(t)
	initialize(t, newBarrier(t, s), InitConfig{})
	b := newBarrier(t, s, newKeyfile(t))
	wantKind(t, "a key that is not among the wrappings", b.AutoUnseal(t.Context()), errs.NotExist, "initialized without one")
	if st := status(t, b); st.Type != "shamir" || st.AutoUnseal {
		t.Errorf("the status promises an auto-unseal: %+v", st)
	}
}

// badWrapper fails in one way.
type badWrapper struct{ wrap, unwrap func() ([]byte, error) }

func (badWrapper) Name() string  { return "bad" }
func (badWrapper) KeyID() string { return "bad-1" }
func (w badWrapper) Wrap(context.Context, []byte, redact.Secret) ([]byte, error) {
	return w.wrap()
}
func (w badWrapper) Unwrap(context.Context, []byte, []byte) (redact.Secret, error) {
	b, err := w.unwrap()
	return redact.New(b), err
}

// Guards against a vault that is made and cannot be opened by its own key.
func TestInitChecksItsWrappers(t *testing.T) {
	good := func() ([]byte, error) { return []byte("blob"), nil }
	denied := func() ([]byte, error) { return nil, errs.New(errs.Denied, "no decrypt permission") }
	down := func() ([]byte, error) { return nil, errs.New(errs.Unavailable, "unreachable") }
	for name, c := range map[string]struct {
		w    badWrapper
		kind errs.Kind
		say  string
	}{
		"cannot wrap":         {badWrapper{down, good}, errs.Unavailable, "wrapping the root key by bad key"},
		"cannot unwrap":       {badWrapper{good, denied}, errs.Denied, "no decrypt permission"},
		"unwraps other bytes": {badWrapper{good, good}, errs.Internal, "something else"},
	} {
		s := newStore(t)
		_, err := newBarrier(t, s, c.w).Init(t.Context(), InitConfig{})
		wantKind(t, name, err, c.kind, c.say)
		if e, _ := s.Get(t.Context(), ConfigKey); e.Exists() {
			t.Errorf("%s: the vault was made all the same", name)
		}
	}
}

func TestRotate(t *testing.T) {
	s := newStore(t)
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	b := newBarrierWith(t, Config{Store: s, Now: func() time.Time { at = at.Add(time.Hour); return at }})
	shares := initialize(t, b, InitConfig{Shares: 1, Threshold: 1})
	var values [][]byte
	for term := uint32(1); term <= 4; term++ {
		info, err := b.RotationInfo()
		if err != nil || info.Term != term || info.Due {
			t.Errorf("term %d: %+v, %v", term, info, err)
		}
		v := sealed(t, b, fmt.Sprint(term))
		if v[3] != byte(term) {
			t.Errorf("sealed under term %d, not %d", v[3], term)
		}
		values = append(values, v)
		before := info.Installed
		if info, err = b.Rotate(t.Context()); err != nil || info.Term != term+1 || !info.Installed.After(before) || info.Encryptions != 0 {
			t.Errorf("rotation %d: %+v, %v", term, info, err)
		}
	}
	check := func(b *Barrier) {
		for i, v := range values {
			mustOpen(t, b, v, fmt.Sprint(i+1))
		}
	}
	check(b)
	fresh := newBarrier(t, s)
	submit(t, fresh, shares...)
	check(fresh)
}

func TestRotateAtOnce(t *testing.T) {
	s := newStore(t)
	one := newBarrier(t, s)
	shares := initialize(t, one, InitConfig{Shares: 1, Threshold: 1})
	two := newBarrier(t, s)
	submit(t, two, shares...)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := []*Barrier{one, two}[i%2].Rotate(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh := newBarrier(t, s)
	submit(t, fresh, shares...)
	if info, _ := fresh.RotationInfo(); info.Term != 17 {
		t.Errorf("16 rotations led to term %d", info.Term)
	}
}

func TestClose(t *testing.T) {
	s := newStore(t)
	b := New(Config{Store: s})
	shares := initialize(t, b, InitConfig{Shares: 1, Threshold: 1})
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := b.SubmitShare(t.Context(), asHex(shares[0]))
	wantKind(t, "unsealing after Close", err, errs.Unavailable, "shutting down")
	if !b.Keyring().Sealed() {
		t.Error("a closed barrier was unsealed")
	}
}

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
		"number of shares changed": {ConfigKey, edit(`"shares":3`, `"shares":4`), errs.Invalid, ok, "do not open"},
		"key id changed":           {ConfigKey, edit(key.KeyID(), "0000000000000000"), ok, errs.NotExist, ""},
		"vault id changed":         {ConfigKey, edit(`"vault_id":"`, `"vault_id":"`+"00000000-0000-4000-8000-000000000000\",\"vault_id\":\""), errs.Internal, errs.Internal, "duplicate"},
		"format of tomorrow":       {ConfigKey, edit(`"version":1`, `"version":7`), errs.Unsupported, errs.Unsupported, "upgrade"},
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
	if !strings.Contains(out.String(), "do not open this vault") || !strings.Contains(out.String(), "Progress:2") {
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

// goldenVault is a vault as it lies on a disk somewhere, with all that opens it.
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
