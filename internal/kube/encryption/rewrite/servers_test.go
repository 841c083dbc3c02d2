package rewrite

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// API servers that were named have to have the same configuration, before and after. The
// second one here is the first one by another name, whose metrics are changed.
func TestServers(t *testing.T) {
	one := server.URL()
	two := strings.Replace(one, "127.0.0.1", "localhost", 1)
	for _, c := range []struct {
		name     string
		differs  int64 // from that question on
		becoming string
		written  bool
		want     string // of the error
	}{
		{"another before", 1, `hash="sha256:ff`, false, "different configurations"},
		{"none told", 1, `nohash="`, false, "tells no hash"},
		{"another meanwhile", 2, `hash="sha256:ff`, true, "different configurations"},
		{"the same", 99, "", true, ""},
	} {
		clear(t, "servers", 20)
		var asked atomic.Int64
		cfg := through(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			a, err := next.RoundTrip(r)
			if err != nil || r.URL.Path != "/metrics" || r.URL.Hostname() != "localhost" || asked.Add(1) < c.differs {
				return a, err
			}
			all, err := io.ReadAll(a.Body)
			_ = a.Body.Close()
			lines := bytes.SplitAfter(all, []byte("\n"))
			for i, line := range lines {
				if bytes.HasPrefix(line, []byte("apiserver_encryption_config_controller_last_config_info")) {
					lines[i] = bytes.Replace(line, []byte(`,hash="`), []byte(","+c.becoming), 1)
				}
			}
			a.Body = io.NopCloser(bytes.NewReader(bytes.Join(lines, nil)))
			return a, err
		})
		r, err := Run(t.Context(), Config{REST: cfg, By: Ourselves, Pace: Full, Resources: []string{"secrets"}, Servers: []string{one, two}})
		switch {
		case c.want != "" && (errs.KindOf(err) != errs.Conflict || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), two)):
			t.Errorf("%s: %v", c.name, err)
		case c.want == "" && (err != nil || len(r.Servers) != 2 || !strings.Contains(r.Configuration, "configuration sha256:")):
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
		if inTheClear, _ := proven(t); (inTheClear == 0) != c.written {
			t.Errorf("%s: %d are in the clear", c.name, inTheClear)
		}
		noNote(t) // the next run does not go on from what was done under two configurations
	}
	plain := Config{REST: server.REST, By: Ourselves, Resources: []string{"secrets"}, Servers: []string{"http://127.0.0.1"}}
	if _, err := Run(t.Context(), plain); errs.KindOf(err) != errs.Invalid {
		t.Error(err)
	}
}
