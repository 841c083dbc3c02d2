package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

// §2.1: each kind of failure has its status and tells its text; only what is
// our own fault is kept for the log, under the request's ID.
func TestWriteError(t *testing.T) {
	for kind, status := range map[errs.Kind]int{
		errs.Invalid: 400, errs.Unauthenticated: 403, errs.Denied: 403, errs.NotExist: 404, errs.Exist: 400, errs.Conflict: 400,
		errs.Sealed: 503, errs.Unavailable: 503, errs.TooLarge: 413, errs.Exhausted: 429, errs.Unsupported: 405, errs.Internal: 500,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			var log bytes.Buffer
			h := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
			w := httptest.NewRecorder()
			req := &gate.Request{ID: "the-id", Path: "kv/a", Operation: engine.Read}
			h.writeError(w, httptest.NewRequest("GET", "/v1/kv/a", nil), req, errs.New(kind, "the cause"))
			want, logged := `{"errors":["the cause"]}`, false
			if kind == errs.Internal {
				want, logged = `{"errors":["internal error: the server's log has the cause under request the-id"]}`, true
			}
			if w.Code != status || strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, want)
			}
			if got := strings.Contains(log.String(), "the cause") && strings.Contains(log.String(), "request_id=the-id"); got != logged {
				t.Errorf("logged %v: %s", got, log.String())
			}
		})
	}
	h := New(Config{Log: slog.New(slog.DiscardHandler)})
	w := httptest.NewRecorder()
	h.writeError(w, httptest.NewRequest("PATCH", "/v1/kv/a", nil), nil, fmt.Errorf("wrapped: %w", errMediaType))
	if w.Code != 415 {
		t.Errorf("a wrong media type is %d", w.Code)
	}
}

// What is quoted of a path outside the API is short and printable.
func TestPathsOutsideAreCut(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.Path = "/\xff" + strings.Repeat("a", 1000)
	New(Config{}).ServeHTTP(w, r)
	if w.Code != 404 || w.Body.Len() > 400 || !strings.Contains(w.Body.String(), `no handler for \"/?aaa`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
