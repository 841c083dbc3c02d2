package cors_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/server/cors"
)

// The headers of the CORS protocol, by what is allowed and who asks.
func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		origins        []string
		method, origin string
		asks           string // Access-Control-Request-Method
		status         int
		allowed        string // Access-Control-Allow-Origin
	}{
		"off":                   {nil, "OPTIONS", "https://a", "GET", 0, ""},
		"no browser":            {[]string{"https://a"}, "GET", "", "", 0, ""},
		"allowed":               {[]string{"https://b", "https://a"}, "GET", "https://a", "", 0, "https://a"},
		"preflight":             {[]string{"https://a"}, "OPTIONS", "https://a", "LIST", 204, "https://a"},
		"any":                   {[]string{"*"}, "POST", "https://evil", "", 0, "*"},
		"other origin":          {[]string{"https://a"}, "GET", "https://a.evil", "", 403, ""},
		"other scheme":          {[]string{"https://a"}, "GET", "http://a", "", 403, ""},
		"other port":            {[]string{"https://a"}, "GET", "https://a:8443", "", 403, ""},
		"none":                  {[]string{"https://a"}, "GET", "null", "", 403, ""},
		"unknown method":        {[]string{"https://a"}, "OPTIONS", "https://a", "TRACE", 405, "https://a"},
		"options, no preflight": {[]string{"https://a"}, "OPTIONS", "https://a", "", 0, "https://a"},
		"the server's own page": {[]string{"https://a"}, "POST", "https://vault:8200", "", 0, ""},
		"own name, no TLS":      {[]string{"https://a"}, "POST", "http://vault:8200", "", 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var l cors.Live
			l.Set(c.origins, []string{"X-Team"})
			r, w := httptest.NewRequest(c.method, "https://vault:8200/v1/x", http.NoBody), httptest.NewRecorder()
			r.TLS = &tls.ConnectionState{}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.asks != "" {
				r.Header.Set("Access-Control-Request-Method", c.asks)
			}
			status, h := l.Answer(w, r), w.Header()
			if status != c.status || h.Get("Access-Control-Allow-Origin") != c.allowed {
				t.Errorf("%d %v", status, h)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are allowed")
			}
			if (h.Get("Vary") == "Origin") != (c.origins != nil) {
				t.Error("a cache would give the answer for one origin to another")
			}
			if got := h.Get("Access-Control-Allow-Headers"); (c.status == 204) != strings.HasSuffix(got, ", X-Team") {
				t.Errorf("headers %q", got)
			}
		})
	}
}

func BenchmarkAnswerOff(b *testing.B) {
	var l cors.Live
	r, w := httptest.NewRequest("GET", "/", http.NoBody), httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		l.Answer(w, r)
	}
}
