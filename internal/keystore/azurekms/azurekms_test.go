package azurekms_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/azurekms"
	"github.com/strongkeep/strongkeep/internal/keystore/keystoretest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const app = "kms-app"

// start runs an Azure with keys of a type and an application that may use them.
func start(t *testing.T, kind string, keys ...string) *azuretest.Server {
	t.Helper()
	for _, name := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_SERVER_THUMBPRINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil { // libraries ask whether it is there
			t.Fatal(err)
		}
	}
	az := azuretest.New(t)
	az.App(app, azuretest.App{Secret: "canary-secret"})
	for _, k := range keys {
		az.AddWrappingKey(k, kind)
	}
	return az
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func settings(t *testing.T, az *azuretest.Server, key string) azurekms.Settings {
	t.Helper()
	at := az.Getenv("AZURE_KEYVAULT_ENDPOINT")
	return azurekms.Settings{
		Vault: azuretest.VaultURL, Key: key, Endpoint: at, TokenEndpoint: at, Timeout: "1m",
		Auth: azurekms.Auth{Tenant: azuretest.Tenant, Client: app, SecretFile: file(t, "canary-secret")},
	}
}

func open(t *testing.T, s azurekms.Settings) keystore.Versioned {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	k, err := azurekms.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSuite(t *testing.T) {
	for algorithm, kind := range map[string]string{"RSA-OAEP-256": "RSA", "A256KW": "oct-HSM"} {
		t.Run(algorithm, func(t *testing.T) {
			az := start(t, kind, "one", "other")
			one, other := settings(t, az, "one"), settings(t, az, "other")
			one.Algorithm, other.Algorithm = algorithm, algorithm
			keystoretest.Run(t, open(t, one), open(t, one), open(t, other))
			keystoretest.Turning(t, open(t, one), open(t, one), func() { az.AddWrappingKey("one", kind) })
		})
	}
}

func wrap(t *testing.T, k keystore.Versioned) []byte {
	t.Helper()
	blob, err := k.Wrap(t.Context(), []byte("a"), redact.FromString("canary-plain"))
	if err != nil {
		t.Fatal("wrapping:", err)
	}
	return blob
}

func unwraps(t *testing.T, k keystore.Versioned, blob []byte) {
	t.Helper()
	if got, err := k.Unwrap(t.Context(), []byte("a"), blob); err != nil || got.RevealString() != "canary-plain" {
		t.Errorf("unwrapping: %v", err)
	}
}

// refused checks that all three calls fail so.
func refused(t *testing.T, k keystore.Versioned, blob []byte, kind errs.Kind, say string) {
	t.Helper()
	for name, call := range map[string]func() error{
		"History": func() error { _, err := k.History(t.Context()); return err },
		"Wrap": func() error {
			_, err := k.Wrap(t.Context(), []byte("a"), redact.FromString("canary-plain"))
			return err
		},
		"Unwrap": func() error { _, err := k.Unwrap(t.Context(), []byte("a"), blob); return err },
	} {
		if err := call(); !errs.Is(err, kind) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (%v), want %v that says %q", name, err, errs.KindOf(err), kind, say)
		}
	}
}

// A version that is disabled is not listed and does not open; one that has expired, or
// is not to be used yet, opens and does not wrap.
func TestVersions(t *testing.T) {
	az := start(t, "RSA", "k")
	k := open(t, settings(t, az, "k"))
	first, err := k.History(t.Context())
	if err != nil || first.Lineage != "shop.vault.azure.net/k" || !first.Versions[0].Wraps || first.Versions[0].Made.IsZero() {
		t.Fatal(first, err)
	}
	old := wrap(t, k)
	az.AddWrappingKey("k", "RSA")
	az.AddWrappingKey("k", "RSA")
	h, err := k.History(t.Context())
	if err != nil || len(h.Versions) != 3 || h.Versions[0] != first.Versions[0] {
		t.Fatal(h, err)
	}
	if !slices.IsSortedFunc(h.Versions, func(a, b keystore.Version) int { return a.Made.Compare(b.Made) }) {
		t.Errorf("not by age: %+v", h)
	}
	newest := wrap(t, k)
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	az.SetKeyDates("k", h.Versions[2].ID, future, time.Time{})
	az.SetKeyDates("k", h.Versions[1].ID, time.Time{}, past)
	dated, err := k.History(t.Context())
	if err != nil || !dated.Versions[0].Wraps || dated.Versions[1].Wraps || dated.Versions[2].Wraps {
		t.Errorf("%+v, %v", dated, err)
	}
	unwraps(t, k, newest)
	if got, err := k.VersionOf(wrap(t, k)); err != nil || got != h.Versions[0].ID {
		t.Errorf("Wrap took %s, %v", got, err)
	}
	if _, err := k.WrapAs(t.Context(), h.Versions[1].ID, nil, redact.FromString("canary")); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "rotate") {
		t.Errorf("a version that expired wraps: %v", err)
	}
	az.SetKeyDates("k", h.Versions[0].ID, time.Time{}, past)
	if _, err := k.Wrap(t.Context(), nil, redact.FromString("canary")); !errs.Is(err, errs.Denied) {
		t.Errorf("a key that expired wraps: %v", err)
	}
	az.DisableKey("k", h.Versions[0].ID)
	if some, err := k.History(t.Context()); err != nil || len(some.Versions) != 2 || some.Versions[0].ID != h.Versions[1].ID {
		t.Errorf("%+v, %v", some, err)
	}
	if _, err := k.Unwrap(t.Context(), []byte("a"), old); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "enable it") {
		t.Errorf("a version that is disabled unwraps: %v", err)
	}
	az.DisableKey("k", h.Versions[1].ID)
	az.DisableKey("k", h.Versions[2].ID)
	refused(t, k, newest, errs.Denied, "enable")
	az.RemoveKey("k")
	if _, err := k.History(t.Context()); !errs.Is(err, errs.NotExist) {
		t.Error(err)
	}
	if _, err := k.Unwrap(t.Context(), []byte("a"), old); !errs.Is(err, errs.NotExist) || !strings.Contains(err.Error(), "recover") {
		t.Error(err)
	}
	s := settings(t, az, "k")
	s.Algorithm = "A256KW"
	az.AddWrappingKey("k", "RSA")
	if _, err := open(t, s).History(t.Context()); !errs.Is(err, errs.Unsupported) {
		t.Errorf("an RSA key for A256KW: %v", err)
	}
	az.LosePages()
	az.AddWrappingKey("k", "RSA")
	az.AddWrappingKey("k", "RSA")
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("half of a list: %v", err)
	}
}

func TestFaults(t *testing.T) {
	az := start(t, "RSA", "k")
	k := open(t, settings(t, az, "k"))
	blob := wrap(t, k)
	for _, c := range []struct {
		azuretest.Fault
		kind errs.Kind
		say  string
	}{
		{azuretest.Fault{Status: 429, Code: "Throttled"}, errs.Unavailable, "throttles"},
		{azuretest.Fault{Status: 403, Code: "Forbidden", Inner: "ForbiddenByRbac"}, errs.Denied, "Crypto Service Encryption User"},
		{azuretest.Fault{Status: 403, Code: "Forbidden", Inner: "ForbiddenByFirewall"}, errs.Denied, "ForbiddenByFirewall"},
		{azuretest.Fault{Status: 400, Code: "BadParameter"}, errs.Invalid, "BadParameter"},
		{azuretest.Fault{Status: 409, Code: "Conflict"}, errs.Unavailable, "Conflict"},
		{azuretest.Fault{Status: 404, Body: "<html>canary"}, errs.Unavailable, "no answer of Key Vault"},
		{azuretest.Fault{Status: 418, Code: "canary-code of a proxy"}, errs.Unavailable, "no answer of Key Vault"},
		{azuretest.Fault{Status: 503, Code: "ServiceUnavailable"}, errs.Unavailable, "trouble"},
	} {
		az.Fail("", c.Fault)
		refused(t, k, blob, c.kind, c.say)
		az.Mend()
	}
	az.Fail("", azuretest.Fault{Status: 200, Body: "{}"})
	for _, err := range []error{
		func() error { _, err := k.Unwrap(t.Context(), []byte("a"), blob); return err }(),
		func() error {
			_, err := k.WrapAs(t.Context(), strings.Repeat("0", 32), nil, redact.FromString("x"))
			return err
		}(),
	} {
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("an empty answer: %v", err)
		}
	}
	az.Mend()
	unwraps(t, k, blob)
	az.Challenge(`Bearer authorization="https://login.microsoftonline.com/` + azuretest.Tenant + `", resource="https://management.azure.com"`)
	if _, err := open(t, settings(t, az, "k")).History(t.Context()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a token for something else: %v", err)
	}
	az.Close()
	refused(t, k, blob, errs.Unavailable, "")
}

// An answer that takes too long is none.
func TestSlow(t *testing.T) {
	az := start(t, "RSA", "k")
	s := settings(t, az, "k")
	s.Timeout = "200ms"
	k := open(t, s)
	end := make(chan struct{})
	defer close(end)
	az.Before("GET keys", func() { <-end })
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
}

// Tokens that ended are made anew, at most every ten seconds; a secret is read again.
func TestLogins(t *testing.T) {
	az := start(t, "RSA", "k")
	s := settings(t, az, "k")
	k := open(t, s)
	clock := time.Now()
	azurekms.SetClock(k, func() time.Time { return clock })
	blob := wrap(t, k)
	az.EndTokens()
	unwraps(t, k, blob)
	az.EndTokens()
	if _, err := k.Unwrap(t.Context(), []byte("a"), blob); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a login at once after a login: %v", err)
	}
	clock = clock.Add(time.Minute)
	unwraps(t, k, blob)
	if n := az.Count("token"); n != 3 {
		t.Errorf("there were %d logins, not 3", n)
	}
	for range 2 {
		if err := azurekms.SignIn(t.Context(), k); err != nil || az.Count("token") != 3 {
			t.Errorf("%v, %d logins", err, az.Count("token"))
		}
		clock = clock.Add(20 * time.Minute)
	}
	clock = clock.Add(20 * time.Minute)
	if err := azurekms.SignIn(t.Context(), k); err != nil {
		t.Error(err)
	}
	if n := az.Count("token"); n != 4 {
		t.Errorf("a token near its end was not replaced: %d logins", n)
	}
	s.Auth.SecretFile = file(t, "canary-wrong")
	wrong := open(t, s)
	refused(t, wrong, blob, errs.Unauthenticated, "correct the secret")
	if err := os.WriteFile(s.Auth.SecretFile, []byte("canary-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unwraps(t, wrong, blob)
	s.Auth.SecretFile = "/none"
	refused(t, open(t, s), blob, errs.Unavailable, "auth")
	s.Auth.SecretFile, s.Auth.CertificateFile = "", file(t, "canary")
	refused(t, open(t, s), blob, errs.Invalid, "certificate_file")
	az.Fail("token", azuretest.Fault{Status: 503, Body: "canary"})
	s.Auth.SecretFile, s.Auth.CertificateFile = file(t, "canary-secret"), ""
	refused(t, open(t, s), blob, errs.Unavailable, "")
}

func TestManagedIdentity(t *testing.T) {
	az := start(t, "RSA", "k")
	s := settings(t, az, "k")
	blob := wrap(t, open(t, s))
	s.Auth = azurekms.Auth{}
	refused(t, open(t, s), blob, errs.Unauthenticated, "managed identity")
	az.Managed("node")
	unwraps(t, open(t, s), blob)
	s.Auth.Client = "node"
	unwraps(t, open(t, s), blob)
	if who := az.Callers(); !slices.Contains(who, "node") {
		t.Errorf("the callers were %v", who)
	}
}

// The machine is asked directly, whatever proxy others are to go by.
func TestManagedIdentityWithoutProxy(t *testing.T) {
	az := start(t, "RSA", "k")
	s := settings(t, az, "k")
	s.Auth = azurekms.Auth{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "" || strings.Contains(r.URL.Path, "metadata") {
			t.Errorf("the proxy is asked for %s", r.URL.Path)
		}
		http.Error(w, "", http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	shared := http.DefaultTransport.(*http.Transport)
	before := shared.Proxy
	shared.Proxy = http.ProxyURL(at)
	t.Cleanup(func() { shared.Proxy = before })
	az.Managed("node")
	if _, err := open(t, s).Wrap(t.Context(), nil, redact.FromString("x")); err == nil {
		t.Error("the proxy was not asked for the vault")
	}
}

func TestOpenRefuses(t *testing.T) {
	const vault = `"vault":"https://shop.vault.azure.net"`
	for settings, say := range map[string]string{
		`{`:  "reading the settings",
		`{}`: "vault",
		`{"vault":"http://shop.vault.azure.net","key":"k"}`:         "vault",
		`{"vault":"https://shop.example.com","key":"k"}`:            "vault",
		`{"vault":"https://a/b.vault.azure.net","key":"k"}`:         "vault",
		`{"vault":"https://shop.vault.azure.net/keys/k","key":"k"}`: "vault",
		`{` + vault + `}`:                                                                   "no name in Key Vault",
		`{` + vault + `,"key":"k/v"}`:                                                       "no name in Key Vault",
		`{` + vault + `,"key":"k","algorithm":"RSA1_5"}`:                                    "RSA-OAEP-256",
		`{` + vault + `,"key":"k","timeout":"x"}`:                                           "positive duration",
		`{` + vault + `,"key":"k","endpoint":"http://proxy.example"}`:                       "endpoint must be",
		`{` + vault + `,"key":"k","endpoint":"https://proxy.example/azure"}`:                "without a path",
		`{` + vault + `,"key":"k","auth":{"tenant":"t"}}`:                                   "one of secret_file",
		`{` + vault + `,"key":"k","auth":{"tenant":"t","secret_file":"/s"}}`:                "tenant and client",
		`{` + vault + `,"key":"k","auth":{"tenant":"t/u","client":"c","secret_file":"/s"}}`: "tenant and client",
		`{` + vault + `,"key":"k","client_secret":"canary"}`:                                "unknown",
	} {
		if _, err := azurekms.Open([]byte(settings)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want it to say %q", settings, err, say)
		}
	}
	k, err := azurekms.Open([]byte(`{"vault":"https://SHOP.managedhsm.usgovcloudapi.net/","key":"K","algorithm":"A256KW"}`))
	if err != nil || k.KeyID() != "shop.managedhsm.usgovcloudapi.net/k" {
		t.Error(k, err)
	}
}

func FuzzBlob(f *testing.F) {
	f.Add(append([]byte{1, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 2, 9, 9}, make([]byte, 40)...))
	f.Add([]byte{1, 2})
	f.Add(append([]byte{1, 0}, make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, blob []byte) {
		version, again, err := azurekms.Unpack(blob)
		if err != nil {
			if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
				t.Error(err)
			}
			return
		}
		if len(version) != 32 || string(again) != string(blob) {
			t.Errorf("%x unpacks to version %s, and packs to %x", blob, version, again)
		}
	})
}

// What people do in the store, as they would type it.
func TestGuide(t *testing.T) {
	for vault, flag := range map[string]string{"https://prod.vault.azure.net": "--vault-name=prod", "https://prod.managedhsm.azure.net": "--hsm-name=prod"} {
		guide := open(t, azurekms.Settings{Vault: vault, Key: "kube"}).(keystore.Guide)
		if got, want := guide.Next(keystore.History{})[0], "az keyvault key rotate "+flag+" --name=kube"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		const id = "0123456789abcdef0123456789abcdef"
		if got, want := guide.Retire([]string{id}, "x")[0][0], "az keyvault key set-attributes "+flag+" --name=kube --version="+id+" --enabled=false"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
