package keystoretest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Run is the suite of keys. one is under test and must be reachable; same is a
// second client of the same key, made anew; other has a different key.
func Run(t *testing.T, one, same, other keystore.Key) {
	t.Helper()
	key := redact.FromString("canary-root-key-0123456789abcdef")
	aad := []byte("associated")
	blob, err := one.Wrap(t.Context(), aad, key)
	if err != nil {
		t.Fatalf("wrapping: %v", err)
	}
	t.Run("round trip", func(t *testing.T) { opens(t, one, aad, blob, key) })
	t.Run("another client of the key", func(t *testing.T) { opens(t, same, aad, blob, key) })
	t.Run("the blob is not the key", func(t *testing.T) {
		if bytes.Contains(blob, key.Reveal()) {
			t.Error("the blob has the key in the clear")
		}
	})
	t.Run("identity", func(t *testing.T) { identity(t, one, same, other) })
	t.Run("refusals", func(t *testing.T) { refusals(t, one, other, aad, blob) })
	t.Run("concurrent use", func(t *testing.T) { concurrent(t, one, key) })
	t.Run("nothing prints the key", func(t *testing.T) {
		_, err := other.Unwrap(t.Context(), aad, blob)
		if out := fmt.Sprintf("%v %+v %s %v", one, one, one, err); strings.Contains(out, "canary") {
			t.Error("a wrapped key was printed")
		}
	})
}

func opens(t *testing.T, w keystore.Key, aad, blob []byte, want redact.Secret) {
	t.Helper()
	got, err := w.Unwrap(t.Context(), aad, blob)
	if err != nil {
		t.Fatalf("unwrapping: %v", err)
	}
	if !got.Equal(want) {
		t.Error("unwrapping gave another key than was wrapped")
	}
}

func identity(t *testing.T, one, same, other keystore.Key) {
	t.Helper()
	switch {
	case one.Name() == "" || len(one.Name()) > 64 || one.Name() == "shamir":
		t.Errorf("a wrapper cannot be called %q", one.Name())
	case one.KeyID() == "" || len(one.KeyID()) > 255:
		t.Errorf("a key id of %d bytes cannot be stored", len(one.KeyID()))
	case one.Name() != same.Name() || one.KeyID() != same.KeyID():
		t.Error("the same key has two identities")
	case one.KeyID() == other.KeyID():
		t.Error("two keys have one identity")
	}
}

func refusals(t *testing.T, one, other keystore.Key, aad, blob []byte) {
	t.Helper()
	refuse := func(name string, w keystore.Key, aad, blob []byte) {
		t.Helper()
		if _, err := w.Unwrap(t.Context(), aad, blob); err == nil {
			t.Errorf("%s was unwrapped", name)
		}
	}
	refuse("a blob of another key", other, aad, blob)
	refuse("a blob under other associated data", one, []byte("associates"), blob)
	refuse("a blob under no associated data", one, nil, blob)
	refuse("nothing", one, aad, nil)
	for i := range blob {
		bad := slices.Clone(blob)
		bad[i] ^= 1
		refuse(fmt.Sprintf("a blob with byte %d changed", i), one, aad, bad)
		refuse(fmt.Sprintf("a blob cut to %d bytes", i), one, aad, blob[:i])
	}
}

func concurrent(t *testing.T, w keystore.Key, key redact.Secret) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			aad := []byte{byte(i)}
			blob, err := w.Wrap(context.Background(), aad, key)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := w.Unwrap(context.Background(), aad, blob)
			if err != nil || !got.Equal(key) {
				t.Errorf("concurrent round trip: %v", err)
			}
		})
	}
	wg.Wait()
}
