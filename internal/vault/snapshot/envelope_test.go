package snapshot_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func enveloped(t testing.TB, s store.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	e := snapshot.NewEnvelope(&b)
	info, err := snapshot.Write(t.Context(), e, snapshot.Source{Store: s, Keys: keys(1), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Seal(&info); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func checkEnvelope(t testing.TB, file []byte) (snapshot.Info, error) {
	t.Helper()
	in, err := snapshot.Unwrap(bytes.NewReader(file))
	if err != nil {
		return snapshot.Info{}, err
	}
	return snapshot.Check(t.Context(), in)
}

// What comes out of an envelope of several parts is the snapshot; torn anywhere, or with
// another byte in what counts, it is refused.
func TestEnvelope(t *testing.T) {
	s := sample(t, 100)
	for i := range 7 {
		apply(t, s, store.Put("large/"+string(rune('a'+i)), bytes.Repeat([]byte{byte(i)}, store.MaxValue)))
	}
	file := enveloped(t, s)
	info, err := checkEnvelope(t, file)
	if err != nil || info.Entries != 108 || info.Authenticate(keys(1)) != nil {
		t.Fatal(info, err)
	}
	for _, n := range []int{1, 100, 5 << 20, len(file) - 9, len(file) - 1} {
		if _, err := checkEnvelope(t, file[:n]); !errs.Is(err, errs.Invalid) {
			t.Errorf("torn at %d of %d: %v", n, len(file), err)
		}
	}
	small := enveloped(t, sample(t, 3))
	plain := save(t, sample(t, 3), keys(1))
	for n := range small {
		broken := bytes.Clone(small)
		broken[n] ^= 0x10
		info, err := checkEnvelope(t, broken)
		if err == nil && info.Authenticate(keys(1)) != nil {
			t.Fatalf("byte %d: another snapshot came out", n)
		}
	}
	if _, err := checkEnvelope(t, plain); err != nil {
		t.Error("without an envelope: ", err)
	}
}

// The archive of another program is not taken for a damaged one of ours.
func TestOtherArchive(t *testing.T) {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	to := tar.NewWriter(zip)
	_ = to.WriteHeader(&tar.Header{Name: "meta.json", Size: 2, Mode: 0o600})
	_, _ = to.Write([]byte("{}"))
	if err := errors.Join(to.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := checkEnvelope(t, b.Bytes())
	wantKind(t, err, errs.Invalid, "snapshot of Vault cannot be read")
}

func FuzzUnwrap(f *testing.F) {
	f.Add(enveloped(f, sample(f, 3)))
	f.Add([]byte("\x1f\x8b"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := checkEnvelope(t, file); err != nil && !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
			t.Fatal(err)
		}
	})
}

// opener opens values that begin with their key.
type opener struct{}

func (opener) Open(aad, sealed []byte) ([]byte, error) {
	if !strings.HasPrefix(string(sealed), string(aad)) {
		return nil, errs.New(errs.Internal, "it does not authenticate")
	}
	return sealed[len(aad):], nil
}

// Every entry is opened, but for those that bring their own encryption.
func TestProve(t *testing.T) {
	s := sample(t, 0)
	apply(t, s, store.Put("core/keyring", []byte("x")), store.Put("core/AAAAAAAAAAAAAAAAAAAAAA", []byte("core/AAAAAAAAAAAAAAAAAAAAAA, sealed")), store.Put("data/a", []byte("data/a, sealed")))
	if n, err := snapshot.Prove(t.Context(), s, opener{}); n != (snapshot.Proof{Entries: 4}) || err != nil {
		t.Fatal(n, err)
	}
	for _, key := range []string{"core/BAAAAAAAAAAAAAAAAAAAAA", "core/a/b", "data/b", "lease/c"} {
		apply(t, s, store.Put(key, []byte("of another vault")))
		_, err := snapshot.Prove(t.Context(), s, opener{})
		wantKind(t, err, errs.Internal, key, "does not authenticate")
		apply(t, s, store.Delete(key))
	}
}
