package etcd

import (
	"net/url"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Whatever an endpoint and a prefix are, they are refused as Invalid or can be
// used, and a password in a URL is never quoted.
func FuzzConfig(f *testing.F) {
	f.Add("https://127.0.0.1:2379", "strongkeep/")
	f.Add("unix:///run/etcd.sock", "a/b")
	f.Add("http://root:canary@host:1", "")
	f.Add("https://[::1]:2379/", "a//b")
	f.Add("canary@", "\x00")
	f.Fuzz(func(t *testing.T, endpoint, prefix string) {
		c := Config{Endpoints: []string{endpoint}, Prefix: prefix}
		err := c.complete()
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("kind of %v", err)
			}
			if u, bad := url.Parse(endpoint); bad == nil && u.User != nil {
				if secret, ok := u.User.Password(); ok && len(secret) > 8 && strings.Contains(err.Error(), secret) {
					t.Errorf("%v quotes a password", err)
				}
			}
			return
		}
		if !strings.HasSuffix(c.Prefix, "/") || len(c.Prefix) > maxPrefix {
			t.Errorf("the prefix %q", c.Prefix)
		}
		if u, err := url.Parse(endpoint); err != nil || u.User != nil {
			t.Errorf("the endpoint %q was taken", endpoint)
		}
	})
}
