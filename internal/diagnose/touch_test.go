package diagnose_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/diagnose"
)

// A node that is open and has lost its majority refuses every request: it is not well.
func TestOutOfTouch(t *testing.T) {
	var behind atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if behind.Load() && r.URL.Query().Get("behindcode") == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(`{"initialized":true,"sealed":false,"version":"1"}`))
	}))
	defer s.Close()
	ask := func() []diagnose.Finding {
		return diagnose.Check(t.Context(), diagnose.Config{Server: config(t), Address: s.URL, Client: s.Client(), Now: time.Now})
	}
	has(t, ask(), "it is in touch with its store", diagnose.OK, "")
	behind.Store(true)
	has(t, ask(), "it is in touch with its store", diagnose.Failed, "refuses requests")
	has(t, ask(), "the vault is open", diagnose.OK, "unsealed")
}
