package access

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

var told = regexp.MustCompile(`^([a-z_]{1,64}( \(AADSTS[0-9]{1,9}\))?)?$`)

// Whatever Microsoft Entra refuses with, what is told of it is a code and a number.
func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_client","error_description":"AADSTS7000215: canary"}`))
	f.Add([]byte(`{"error":"invalid_client","error_description":"canary AADSTS1"}`))
	f.Add([]byte(`{"error":{"code":"x"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		code := codeOf(body)
		if !told.MatchString(code) {
			t.Fatalf("told: %q", code)
		}
		a := &attempt{last: login.Answer{Status: http.StatusBadRequest, Code: code}}
		if err := a.refused("signing in", "correct it"); errs.KindOf(err) == errs.NotExist {
			t.Fatal(err)
		}
	})
}

// Whatever a vault asks for a token with, the SDK, which takes its parts to be there, is
// given what has them.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer authorization="https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555", resource="https://vault.azure.net"`)
	f.Add(`Bearer authorization="https://login.microsoftonline.com"`)
	f.Fuzz(func(t *testing.T, text string) {
		if challenges.MatchString(text) && !regexp.MustCompile(`^Bearer authorization="https://[^/"]+/[^/"]+"`).MatchString(text) {
			t.Fatalf("%q", text)
		}
	})
}
