package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
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

// asVersion1 makes the stored configuration what earlier versions wrote: no hashes, no names.
func asVersion1(t testing.TB, s store.Store) {
	t.Helper()
	e, err := s.Get(t.Context(), ConfigKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rootkey.Decode(e.Value)
	if err != nil {
		t.Fatal(err)
	}
	c.Version = 1
	for i := range c.Wrappings {
		w := &c.Wrappings[i]
		w.Hashes, w.Name, w.Added = nil, "", time.Time{}
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), store.Put(ConfigKey, raw)); err != nil {
		t.Fatal(err)
	}
}

// A wrong share is told, and those before it are kept.
func TestAWrongShareIsTold(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	shares := initialize(t, b, InitConfig{Shares: 5, Threshold: 3})
	b.Seal()
	other := newBarrier(t, newStore(t))
	foreign := initialize(t, other, InitConfig{Shares: 5, Threshold: 3})
	submit(t, b, shares[0])
	mistyped := redact.New(slices.Clone(shares[1].Reveal()))
	mistyped.Reveal()[9] ^= 1
	for _, wrong := range []redact.Secret{foreign[0], mistyped} {
		_, err := b.SubmitShare(t.Context(), asHex(wrong))
		wantKind(t, "a wrong share", err, errs.Invalid, "are kept")
	}
	if st := submit(t, b, shares[1], shares[2]); st.Sealed {
		t.Errorf("wrong shares spoilt right ones: %+v", st)
	}
}

// A set that was dealt before hashes were kept.
func TestWrongShares(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	shares := initialize(t, b, InitConfig{Shares: 5, Threshold: 3})
	b.Seal()
	asVersion1(t, s)
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
	s := newStore(t)
	one, other := newBarrier(t, s), newBarrier(t, newStore(t))
	initialize(t, one, InitConfig{Shares: 2, Threshold: 2})
	shares := initialize(t, other, InitConfig{Shares: 2, Threshold: 2})
	one.Seal()
	asVersion1(t, s)
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
	add := func(i int, set string) (again bool) {
		t.Helper()
		again, err := a.add(clone(i), set)
		if err != nil {
			t.Error(err)
		}
		return again
	}
	if add(0, "set 1") || !add(0, "set 1") || a.given.Len() != 1 {
		t.Errorf("one share twice: %d", a.given.Len())
	}
	held := a.given.Shares()[0]
	nonce := a.nonce
	// The shares were made anew by another node meanwhile.
	if add(1, "set 2") || a.given.Len() != 1 || a.nonce == nonce {
		t.Errorf("shares of two sets are held together: %d", a.given.Len())
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
	wantKind(t, "another key file", wrong.AutoUnseal(t.Context()), errs.NotExist, "shares open the vault too")
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
	wantKind(t, "a key that is not among the wrappings", b.AutoUnseal(t.Context()), errs.NotExist, "unsealed by another way")
	if st := status(t, b); st.Type != "shamir" || st.AutoUnseal {
		t.Errorf("the status promises an auto-unseal: %+v", st)
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
