package server

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Bodies are read before anybody is known: all large ones together are bounded.
func TestLargeBodiesAreBoundedTogether(t *testing.T) {
	h := New(Config{})
	large := httptest.NewRequest("PUT", "/v1/secret/data/x", strings.NewReader("x"))
	large.ContentLength = MaxBody
	unknown := large.Clone(t.Context())
	unknown.ContentLength = -1
	small := large.Clone(t.Context())
	small.ContentLength = largeBody
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range maxBodies / MaxBody {
		if _, err := h.admit(t.Context(), large); err != nil {
			t.Fatal(err)
		}
	}
	for name, r := range map[string]error{"large": second(h.admit(ended, large)), "of unknown length": second(h.admit(ended, unknown))} {
		if !errs.Is(r, errs.Exhausted) {
			t.Errorf("one more body, %s: %v, want Exhausted", name, r)
		}
	}
	done, err := h.admit(ended, small)
	if err != nil {
		t.Fatalf("a small body: %v", err)
	}
	done()
	h.bodies.Release(MaxBody)
	done, err = h.admit(t.Context(), unknown)
	if err != nil {
		t.Fatalf("there is room again: %v", err)
	}
	done()
}

func second(_ func(), err error) error { return err }
