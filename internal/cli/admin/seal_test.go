package admin_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// Who seals one of several nodes is told that the others go on, and how they are sealed.
func TestSealOneOfSeveral(t *testing.T) {
	sealed := false
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/sys/ha-status":
			_, _ = fmt.Fprintf(w, `{"nodes":[{"hostname":"a","api_address":%q},{"hostname":"b","api_address":"https://b:8200"}]}`, s.URL)
		case "/v1/sys/seal":
			sealed = true
			w.WriteHeader(http.StatusNoContent)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	var out bytes.Buffer
	code := cli.Main([]string{"operator", "seal", "-address=" + s.URL}, session.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
	})
	if code != 0 || !sealed || !strings.Contains(out.String(), "This node is sealed. The other nodes go on") ||
		!strings.HasSuffix(out.String(), "\nstrongkeep operator seal -address=https://b:8200\n") {
		t.Errorf("%d, sealed %v: %s", code, sealed, out.String())
	}
}
