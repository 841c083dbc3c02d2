package session

import (
	"errors"
	"net/http"
	"strings"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// shape sets on the client what the flags say of every request: headers,
// wrapping, and whether it is only shown.
func (s *Session) shape(client *vault.Client) error {
	for _, h := range s.Conn.Headers {
		name, value, ok := strings.Cut(h, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return errs.New(errs.Invalid, "-header must be NAME=VALUE")
		}
		if strings.HasPrefix(strings.ToLower(name), "x-vault-") {
			return errs.Newf(errs.Invalid, "-header %s: names that begin with X-Vault- belong to flags such as -namespace and -wrap-ttl", name)
		}
		client.AddHeader(name, strings.TrimSpace(value))
	}
	ttl := First(s.Conn.WrapTTL, s.Env.Lookup("WRAP_TTL"))
	if _, err := Seconds("-wrap-ttl", ttl); err != nil {
		return err
	}
	client.SetWrappingLookupFunc(func(method, path string) string {
		switch {
		case strings.HasPrefix(path, preflight), path == "sys/wrapping/unwrap", path == "sys/wrapping/lookup":
			return ""
		case ttl == "" && path == "sys/wrapping/wrap" && method != http.MethodGet:
			return vault.DefaultWrappingTTL
		}
		return ttl
	})
	client.SetOutputCurlString(s.Conn.OutputCurl)
	client.SetOutputPolicy(s.Conn.OutputPolicy)
	return nil
}

// preflight is what commands ask to find a mount; it is never wrapped.
const preflight = "sys/internal/ui/mounts"

// Plain makes a client that asks for itself (which mount is it?) really ask,
// also under -output-curl-string; the function returned undoes it.
func Plain(client *vault.Client) func() {
	curl, policy := client.OutputCurlString(), client.OutputPolicy()
	client.SetOutputCurlString(false)
	client.SetOutputPolicy(false)
	return func() {
		client.SetOutputCurlString(curl)
		client.SetOutputPolicy(policy)
	}
}

// Instead returns what -output-curl-string and -output-policy print in place
// of asking, if err is how the client library hands it out.
func Instead(err error) (string, bool) {
	var curl *vault.OutputStringError
	if errors.As(err, &curl) {
		text, err := curl.CurlString()
		// The library names the other program.
		return strings.ReplaceAll(text, "$(vault print token)", "$(strongkeep print token)"), err == nil
	}
	var policy *vault.OutputPolicyError
	if errors.As(err, &policy) {
		text, err := policy.HCLString()
		return strings.TrimRight(text, "\n"), err == nil
	}
	return "", false
}
