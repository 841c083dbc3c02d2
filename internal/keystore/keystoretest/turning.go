package keystoretest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Turning is the suite of keys that are turned. one and same are two clients of one
// key with one version; turn makes another version and returns once the store has it.
func Turning(t *testing.T, one, same keystore.Versioned, turn func()) {
	t.Helper()
	plain := redact.FromString("canary-seed-0123456789abcdef0123")
	aad := []byte("associated")
	before := history(t, one)
	if len(before.Versions) != 1 || before.Lineage == "" {
		t.Fatalf("a new key has %d versions and lineage %q", len(before.Versions), before.Lineage)
	}
	first := before.Versions[0].ID
	old := wrapAs(t, one, first, aad, plain)
	id := one.KeyID()

	turn()

	after := history(t, one)
	if len(after.Versions) != 2 || after.Versions[0] != before.Versions[0] || after.Lineage != before.Lineage || one.KeyID() != id {
		t.Fatalf("after turning the history is %+v, before %+v", after, before)
	}
	if other := history(t, same); other.Lineage != after.Lineage || !slices.Equal(other.Versions, after.Versions) {
		t.Errorf("two clients of a key see %+v and %+v", after, other)
	}
	second := after.Versions[1].ID
	if second == first {
		t.Fatal("two versions have one id")
	}
	for _, version := range []string{first, second} {
		blob := wrapAs(t, one, version, aad, plain)
		opens(t, same, aad, blob, plain)
		if _, err := same.Unwrap(t.Context(), []byte("associates"), blob); err == nil {
			t.Errorf("a blob under %q was unwrapped with other associated data", version)
		}
		moved(t, same, aad, blob, version)
	}
	opens(t, one, aad, old, plain)
	newest, err := one.Wrap(t.Context(), aad, plain)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := one.VersionOf(newest); err != nil || got != second {
		t.Errorf("Wrap used version %q, %v, want %q", got, err, second)
	}
	if _, err := one.WrapAs(t.Context(), "999999", aad, plain); err == nil || errs.Is(err, errs.Unavailable) {
		t.Errorf("wrapping under a version that there is not: %v", err)
	}
	for _, none := range [][]byte{nil, {}, []byte("\xff"), bytes.Repeat([]byte("\xff"), 100), newest[:5]} {
		if v, err := one.VersionOf(none); !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
			t.Errorf("%d bytes that are no blob are of version %q, %v", len(none), v, err)
		}
	}
}

// moved changes each byte: whatever version the blob says it is under then, it does
// not open.
func moved(t *testing.T, k keystore.Versioned, aad, blob []byte, version string) {
	t.Helper()
	if got, err := k.VersionOf(blob); err != nil || got != version {
		t.Errorf("a blob under %q is of version %q, %v", version, got, err)
	}
	for i := range min(len(blob), 24) { // what says the version, and some of the rest
		bad := slices.Clone(blob)
		bad[i] ^= 1
		if _, err := k.Unwrap(t.Context(), aad, bad); err == nil {
			t.Errorf("a blob under %q with byte %d changed was unwrapped", version, i)
		}
	}
}

func history(t *testing.T, k keystore.Versioned) keystore.History {
	t.Helper()
	h, err := k.History(t.Context())
	if err != nil {
		t.Fatal("asking for the history:", err)
	}
	for _, v := range h.Versions {
		if v.ID == "" || !v.Wraps {
			t.Errorf("version %+v of a key that has not been restricted", v)
		}
	}
	return h
}

func wrapAs(t *testing.T, k keystore.Versioned, version string, aad []byte, plain redact.Secret) []byte {
	t.Helper()
	blob, err := k.WrapAs(t.Context(), version, aad, plain)
	if err != nil {
		t.Fatalf("wrapping under version %q: %v", version, err)
	}
	if got, err := k.VersionOf(blob); err != nil || got != version {
		t.Fatalf("asked for version %q, and the blob is of %q, %v", version, got, err)
	}
	return blob
}
