package transit_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/keystoretest"
	"github.com/strongkeep/strongkeep/internal/keystore/transit"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

const policy = `
path "transit/keys/+"    { capabilities = ["read"] }
path "transit/encrypt/+" { capabilities = ["update"] }
path "transit/decrypt/+" { capabilities = ["update"] }`

// start runs a vault with a transit engine and keys of these names.
func start(t *testing.T, names ...string) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("transit", &vault.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		write(t, v, "transit/keys/"+name, nil)
	}
	return v
}

func write(t testing.TB, v *testenv.Vault, path string, data map[string]any) *vault.Secret {
	t.Helper()
	answer, err := v.Logical().Write(path, data)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// settings of a key, with a token that may use it.
func settings(t testing.TB, v *testenv.Vault, key string) transit.Settings {
	t.Helper()
	return transit.Settings{
		Address: v.Server.URL(), CAFile: v.Server.CAFile(), Key: key, Timeout: "1m",
		Auth: transit.Auth{TokenFile: file(t, v.Policy("kms", policy))},
	}
}

func open(t testing.TB, s transit.Settings) keystore.Versioned {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	k, err := transit.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSuite(t *testing.T) {
	v := start(t, "one", "other")
	keystoretest.Run(t, open(t, settings(t, v, "one")), open(t, settings(t, v, "one")), open(t, settings(t, v, "other")))
	keystoretest.Turning(t, open(t, settings(t, v, "one")), open(t, settings(t, v, "one")), func() { write(t, v, "transit/keys/one/rotate", nil) })
}

// What History says after an operator's restrictions.
func TestHistory(t *testing.T) {
	v := start(t, "k")
	k := open(t, settings(t, v, "k"))
	first, err := k.History(t.Context())
	if err != nil || first.Versions[0].Made.IsZero() {
		t.Fatal(first, err)
	}
	for range 2 {
		write(t, v, "transit/keys/k/rotate", nil)
	}
	write(t, v, "transit/keys/k/config", map[string]any{"min_encryption_version": 2})
	h, err := k.History(t.Context())
	if err != nil || len(h.Versions) != 3 || h.Versions[0].Wraps || !h.Versions[1].Wraps || h.Lineage != first.Lineage {
		t.Errorf("after min_encryption_version=2: %+v, %v", h, err)
	}
	write(t, v, "transit/keys/k/config", map[string]any{"min_decryption_version": 2})
	h, err = k.History(t.Context())
	if err != nil || len(h.Versions) != 2 || h.Versions[0].ID != "2" {
		t.Errorf("after min_decryption_version=2: %+v, %v", h, err)
	}
	// The mount made anew is another lineage, and so is its key.
	if err := v.Sys().Unmount("transit"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.History(t.Context()); err == nil || errs.Is(err, errs.Internal) {
		t.Errorf("without the mount: %v", err)
	}
	if err := v.Sys().Mount("transit", &vault.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	write(t, v, "transit/keys/k", nil)
	if again, err := k.History(t.Context()); err != nil || again.Lineage == first.Lineage {
		t.Errorf("another mount of the same name has the lineage of the first: %v", err)
	}
}

func TestUnfitKeys(t *testing.T) {
	v := start(t)
	for name, data := range map[string]map[string]any{
		"signing": {"type": "ed25519"}, "rsa": {"type": "rsa-2048"}, "derived": {"derived": true}, "convergent": {"derived": true, "convergent_encryption": true},
	} {
		write(t, v, "transit/keys/"+name, data)
		if _, err := open(t, settings(t, v, name)).History(t.Context()); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(t, settings(t, v, "none")).History(t.Context()); !errs.Is(err, errs.NotExist) {
		t.Errorf("no key: %v", err)
	}
}

func TestLogins(t *testing.T) {
	v := start(t, "k")
	if err := v.Sys().PutPolicy("kms", policy); err != nil {
		t.Fatal(err)
	}
	if err := v.Sys().EnableAuthWithOptions("approle", &vault.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	write(t, v, "auth/approle/role/kms", map[string]any{"token_policies": "kms", "token_ttl": "1h"})
	role, err := v.Logical().Read("auth/approle/role/kms/role-id")
	if err != nil {
		t.Fatal(err)
	}
	secret := write(t, v, "auth/approle/role/kms/secret-id", nil)
	s := settings(t, v, "k")
	s.Auth = transit.Auth{AppRole: &transit.AppRole{RoleID: role.Data["role_id"].(string), SecretIDFile: file(t, secret.Data["secret_id"].(string))}}
	works(t, open(t, s))

	// A login that is gone is made anew, once it is old enough not to be the cause.
	k := open(t, s)
	works(t, k)
	clock := time.Now()
	transit.SetClock(k, func() time.Time { return clock })
	if err := v.Auth().Token().RevokeTree(transit.Token(k)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Denied) {
		t.Errorf("a login just made is made anew: %v", err)
	}
	clock = clock.Add(time.Minute)
	works(t, k)

	s.Auth.AppRole.SecretIDFile = file(t, "canary")
	if _, err := open(t, s).History(t.Context()); err == nil || strings.Contains(err.Error(), "canary") || errs.Is(err, errs.NotExist) {
		t.Errorf("a wrong secret: %v", err)
	}
	s.Auth.AppRole.SecretIDFile = "/none"
	if _, err := open(t, s).History(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a credential that is not there: %v", err)
	}
}

func works(t *testing.T, k keystore.Versioned) {
	t.Helper()
	plain := redact.FromString("canary")
	blob, err := k.Wrap(t.Context(), []byte("a"), plain)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Unwrap(t.Context(), []byte("a"), blob); err != nil || !got.Equal(plain) {
		t.Fatal("unwrapping:", err)
	}
}

// A token is renewed after two thirds of its life.
func TestRenewal(t *testing.T) {
	v := start(t, "k")
	s := settings(t, v, "k")
	k := open(t, s)
	works(t, k)
	renewed := func() bool {
		answer, err := v.Auth().Token().Lookup(transit.Token(k))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Data["last_renewal_time"] != nil
	}
	clock := time.Now().Add(30 * time.Minute)
	transit.SetClock(k, func() time.Time { return clock })
	works(t, k)
	if renewed() {
		t.Error("a token of an hour is renewed after half of it")
	}
	clock = clock.Add(15 * time.Minute)
	works(t, k)
	if !renewed() {
		t.Error("a token of an hour is not renewed after three quarters of it")
	}
}

func TestAway(t *testing.T) {
	v := start(t, "k")
	s := settings(t, v, "k")
	k := open(t, s)
	works(t, k)
	blob, err := k.Wrap(t.Context(), nil, redact.FromString("canary"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"History": func() error { _, err := k.History(t.Context()); return err },
		"Wrap":    func() error { _, err := k.Wrap(t.Context(), nil, redact.FromString("canary")); return err },
		"Unwrap":  func() error { _, err := k.Unwrap(t.Context(), nil, blob); return err },
	} {
		if err := call(); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s of a sealed vault: %v", name, err)
		}
	}
	v.Unseal()
	if got, err := k.Unwrap(t.Context(), nil, blob); err != nil || got.RevealString() != "canary" {
		t.Errorf("after unsealing: %v", err)
	}
	// Nobody listens.
	s.Address = "https://127.0.0.1:1"
	if _, err := open(t, s).History(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	const token = `"auth":{"token_file":"/t"}`
	for settings, say := range map[string]string{
		`{`:  "reading the settings",
		`{}`: "address must be",
		`{"address":"ftp://a","key":"k",` + token + `}`:                                                        "address must be",
		`{"address":"https://u:p@a","key":"k",` + token + `}`:                                                  "address must be",
		`{"address":"http://vault.example.com:8200","key":"k",` + token + `}`:                                  "plain text",
		`{"address":"https://a","key":"",` + token + `}`:                                                       "key is missing",
		`{"address":"https://a","key":"a/b",` + token + `}`:                                                    "has no slash",
		`{"address":"https://a","key":"..",` + token + `}`:                                                     "no path in a vault",
		`{"address":"https://a","key":"k","mount":"a//b",` + token + `}`:                                       "no path in a vault",
		`{"address":"https://a","key":"k?x",` + token + `}`:                                                    "no path in a vault",
		`{"address":"https://a","key":"k","timeout":"-1s",` + token + `}`:                                      "positive duration",
		`{"address":"https://a","key":"k","auth":{}}`:                                                          "0 ways",
		`{"address":"https://a","key":"k","auth":{"token_file":"/t","cert":{"cert_file":"a","key_file":"b"}}}`: "2 ways",
		`{"address":"https://a","key":"k","auth":{"approle":{"role_id":"r"}}}`:                                 "secret_id_file",
		`{"address":"https://a","key":"k","auth":{"cert":{"cert_file":"a"}}}`:                                  "key_file",
		`{"address":"https://a","key":"k","ca_file":"/none",` + token + `}`:                                    "ca_file",
		`{"address":"https://a","key":"k","token":"canary",` + token + `}`:                                     "unknown",
	} {
		if _, err := transit.Open([]byte(settings)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want it to say %q", settings, err, say)
		}
	}
}

// A panic amid a login, which is nobody's goroutine, is an error of those who wait for
// it, and the next login may go well.
func TestLoginThatPanics(t *testing.T) {
	v := start(t, "k")
	k := open(t, settings(t, v, "k"))
	transit.SetClock(k, func() time.Time { panic("canary") })
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), "canary") {
		t.Errorf("a login that panics: %v", err)
	}
	transit.SetClock(k, time.Now)
	works(t, k)
}

// The plugin's login makes the next version where its policy lets it, and it is said what
// the policy needs where not.
func TestTurn(t *testing.T) {
	v := start(t, "k")
	s := settings(t, v, "k")
	k := open(t, s)
	if err := k.(keystore.Turner).Turn(t.Context()); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), `path "transit/keys/k/rotate" { capabilities = ["update"] }`) {
		t.Errorf("without the right: %v", err)
	}
	s.Auth.TokenFile = file(t, v.Policy("turner", policy+`
path "transit/keys/k/rotate" { capabilities = ["update"] }`))
	k = open(t, s)
	if err := k.(keystore.Turner).Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := k.History(t.Context())
	if err != nil || len(h.Versions) != 2 {
		t.Fatalf("%+v, %v", h, err)
	}
	guide := k.(keystore.Guide)
	if next, want := strings.Join(guide.Next(h), ";"), "strongkeep write -f -address="+s.Address+" transit/keys/k/rotate"; next != want {
		t.Errorf("next: %s, want %s", next, want)
	}
	if gone, want := fmt.Sprint(guide.Retire([]string{"1", "2", "3"}, "4")), "[[nothing: it goes with version 3] [nothing: it goes with version 3] [strongkeep write -address="+s.Address+" transit/keys/k/config min_decryption_version=4]]"; gone != want {
		t.Errorf("retire: %s, want %s", gone, want)
	}
	if gone, want := strings.Join(guide.Retire([]string{"1"}, "2")[0], ";"), "strongkeep write -address="+s.Address+" transit/keys/k/config min_decryption_version=2"; gone != want {
		t.Errorf("retire: %s, want %s", gone, want)
	}
}
