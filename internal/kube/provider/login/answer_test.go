package login_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// A refusal needs a person, all else is worth another try; nothing of an address is
// told, and nothing that could not be printed.
func TestRefused(t *testing.T) {
	dial := &url.Error{Op: "Post", URL: "https://x/?canary", Err: errors.New("connection refused\n")}
	for name, c := range map[string]struct {
		login.Answer
		kind errs.Kind
		want string
	}{
		"no connection":    {login.Answer{Failed: dial}, errs.Unavailable, "signing in: connection refused?"},
		"no answer":        {login.Answer{Failed: errors.New(strings.Repeat("é", 400))}, errs.Unavailable, "signing in: " + strings.Repeat("?", 256)},
		"throttled":        {login.Answer{Status: 429, Code: "slow_down"}, errs.Exhausted, "signing in: Who says too many requests"},
		"refused":          {login.Answer{Status: 400, Code: "invalid_grant"}, errs.Unauthenticated, "signing in: Who says invalid_grant; ask"},
		"a proxy's answer": {login.Answer{Status: 403}, errs.Unavailable, "signing in: status 403, and no token"},
		"an outage":        {login.Answer{Status: 503, Code: "unavailable"}, errs.Unavailable, "signing in: status 503, and no token"},
		"no token in it":   {login.Answer{Status: 200}, errs.Unavailable, "signing in: status 200, and no token"},
		"nothing was sent": {login.Answer{}, errs.Unauthenticated, "signing in: there is nothing that can be sent; ask"},
	} {
		if err := c.Refused("Who", "signing in", "ask"); !errs.Is(err, c.kind) || err.Error() != c.want {
			t.Errorf("%s: %v (%v), want %q", name, err, errs.KindOf(err), c.want)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for at, ok := range map[string]bool{
		"https://tokens.example": true, "http://127.0.0.1:1": true, "http://localhost": true, "http://[::1]:2": true,
		"http://tokens.example": false, "ftp://localhost": false, "https://": false, "://": false, "localhost": false, "http://127.0.0.1.example": false,
	} {
		u, err := login.Endpoint("AT", at)
		if ok && (err != nil || u.String() != at) || !ok && (!errs.Is(err, errs.Invalid) || !strings.HasPrefix(err.Error(), "AT of the operator")) {
			t.Errorf("%s: %v, %v", at, u, err)
		}
	}
}
