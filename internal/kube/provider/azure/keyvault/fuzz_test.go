package keyvault

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Whatever a vault answers, what is told of it is codes; and only its own word that
// there is no such thing is NotExist.
func FuzzFailure(f *testing.F) {
	f.Add(404, []byte(`{"error":{"code":"SecretNotFound","message":"canary"}}`))
	f.Add(404, []byte(`<html>canary</html>`))
	f.Add(403, []byte(`{"error":{"code":"Forbidden","innererror":{"code":"SecretDisabled"}}}`))
	f.Add(404, []byte(`{"error":{"code":"VaultNotFound"}}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		answer := &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(string(body))), Header: http.Header{}, Request: &http.Request{}}
		err := fail("reading", &azcore.ResponseError{StatusCode: status, RawResponse: answer})
		if errs.Is(err, errs.NotExist) && (status != http.StatusNotFound || !strings.Contains(string(body), "NotFound")) {
			t.Fatalf("%d %q: %v", status, body, err)
		}
		if len(err.Error()) > 300 || len(body) > 70 && strings.Contains(err.Error(), string(body)) {
			t.Fatalf("told: %v", err)
		}
	})
}
