package wrapping_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

const textToken = "wrapping token is not valid or does not exist"

// start runs a vault with kv version 1 at kv/ and one secret in it.
func start(t *testing.T) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	check(t, v.Sys().Mount("kv", &vault.MountInput{Type: "kv-v1"}))
	_, err := v.Logical().Write("kv/a", map[string]any{"x": "planted-value", "n": 12345678901234567})
	check(t, err)
	return v
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func send(v *testenv.Vault, method, path, body string, headers ...string) testenv.Answer {
	return v.HTTP(method, path, strings.NewReader(body), headers...)
}

func want(t *testing.T, a testenv.Answer, status int, text string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		t.Fatalf("%d %s, want %d %q", a.Status, a.Body, status, text)
	}
}

func wantFailure(t *testing.T, err error, status int, text string) {
	t.Helper()
	var res *vault.ResponseError
	if !errors.As(err, &res) || res.StatusCode != status || !strings.Contains(err.Error(), text) {
		t.Fatalf("%v, want %d %q", err, status, text)
	}
}

// wrap asks for path with a wrapped answer.
func wrap(t *testing.T, v *testenv.Vault, path, ttl string) *vault.SecretWrapInfo {
	t.Helper()
	a := send(v, "GET", path, "", "X-Vault-Wrap-TTL", ttl)
	want(t, a, 200, `"wrap_info":{"token":"hvs.`)
	s, err := vault.ParseSecret(strings.NewReader(a.Body))
	check(t, err)
	return s.WrapInfo
}

// §2.10 and §1.1 row 24: the answer's form, and the original to the byte, with its
// own request_id.
func TestWrapAndUnwrapVerbatim(t *testing.T) {
	v := start(t)
	a := send(v, "GET", "kv/a", "", "X-Vault-Wrap-TTL", "300")
	var outer map[string]json.RawMessage
	check(t, json.Unmarshal([]byte(a.Body), &outer))
	for name, value := range map[string]string{"data": "null", "auth": "null", "warnings": "null", "lease_id": `""`, "lease_duration": "0", "renewable": "false"} {
		if string(outer[name]) != value {
			t.Errorf("%s is %s", name, outer[name])
		}
	}
	var info map[string]any
	check(t, json.Unmarshal(outer["wrap_info"], &info))
	made, err := time.Parse(time.RFC3339Nano, info["creation_time"].(string))
	if err != nil || time.Since(made) > time.Minute || info["ttl"] != 300.0 || info["creation_path"] != "kv/a" || len(info) != 5 {
		t.Errorf("wrap_info %v", info)
	}
	plain := send(v, "GET", "kv/a", "")
	inner := send(v, "PUT", "sys/wrapping/unwrap", "", "X-Vault-Token", info["token"].(string))
	want(t, inner, 200, `"n":12345678901234567`)
	if tail(inner.Body) != tail(plain.Body) || inner.Header.Get("Content-Type") != "application/json" {
		t.Errorf("unwrapped %s, plain %s", inner.Body, plain.Body)
	}
	var id string
	check(t, json.Unmarshal(outer["request_id"], &id))
	if len(id) != 36 || !strings.HasPrefix(inner.Body, `{"request_id":"`+id) {
		t.Errorf("the request_id within is not that of the request %s: %s", id, inner.Body)
	}
}

// tail is an answer without its request_id.
func tail(body string) string { return body[strings.Index(body, `"lease_id"`):] }

// §1.1 row 24 by the official client, in each of the ways it has.
func TestUnwrapByTheClient(t *testing.T) {
	v := start(t)
	ways := map[string]func(token string) (*vault.Secret, error){
		"as the caller":   func(token string) (*vault.Secret, error) { return v.NewClient(token).Logical().Unwrap("") },
		"named":           func(token string) (*vault.Secret, error) { return v.Logical().Unwrap(token) },
		"without a token": func(token string) (*vault.Secret, error) { return v.NewClient("").Logical().Unwrap(token) },
		"as both":         func(token string) (*vault.Secret, error) { return v.NewClient(token).Logical().Unwrap(token) },
		"the older way": func(token string) (*vault.Secret, error) {
			s, err := v.NewClient(token).Logical().Read("cubbyhole/response")
			if err != nil || s == nil {
				return s, err
			}
			return vault.ParseSecret(strings.NewReader(s.Data["response"].(string)))
		},
	}
	for name, unwrap := range ways {
		token := wrap(t, v, "kv/a", "1m").Token
		s, err := unwrap(token)
		if err != nil || s.Data["x"] != "planted-value" {
			t.Errorf("%s: %+v %v", name, s, err)
			continue
		}
		if name == "the older way" {
			_, err = unwrap(token)
			wantFailure(t, err, 403, "permission denied")
			continue
		}
		_, err = unwrap(token)
		wantFailure(t, err, 400, textToken)
		_, err = v.Auth().Token().Lookup(token)
		wantFailure(t, err, 403, "")
	}
	client := v.NewClient(v.Root)
	client.SetWrappingLookupFunc(func(string, string) string { return "5m" })
	s, err := client.Logical().Write("sys/wrapping/wrap", map[string]any{"a": "b"})
	check(t, err)
	if s.WrapInfo.CreationPath != "sys/wrapping/wrap" || s.WrapInfo.TTL != 300 {
		t.Errorf("%+v", s.WrapInfo)
	}
	s, err = v.Logical().Unwrap(s.WrapInfo.Token)
	if err != nil || s.Data["a"] != "b" {
		t.Errorf("%+v %v", s, err)
	}
}

// §2.10: a login within names the accessor of its token.
func TestWrappedLogin(t *testing.T) {
	v := start(t)
	client := v.NewClient(v.Root)
	client.SetWrappingLookupFunc(func(string, string) string { return "60" })
	s, err := client.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"default"}, TTL: "1h"})
	check(t, err)
	if s.Auth != nil || s.WrapInfo == nil || s.WrapInfo.WrappedAccessor == "" || s.WrapInfo.Accessor == s.WrapInfo.WrappedAccessor {
		t.Fatalf("%+v", s)
	}
	if _, err := v.Auth().Token().LookupAccessor(s.WrapInfo.WrappedAccessor); err != nil {
		t.Error(err)
	}
	again, err := v.Logical().Write("sys/wrapping/rewrap", map[string]any{"token": s.WrapInfo.Token})
	check(t, err)
	if again.WrapInfo.WrappedAccessor != s.WrapInfo.WrappedAccessor {
		t.Errorf("rewrapped: %+v", again.WrapInfo)
	}
	inner, err := v.Logical().Unwrap(again.WrapInfo.Token)
	if err != nil || inner.Auth.Accessor != s.WrapInfo.WrappedAccessor {
		t.Errorf("%+v %v", inner, err)
	}
}

// Looking a token up leaves it as it is; rewrapping spends it, for as long again.
func TestLookupAndRewrap(t *testing.T) {
	v := start(t)
	info := wrap(t, v, "kv/a", "10m")
	for range 3 {
		for how, a := range map[string]testenv.Answer{
			"named, without a token": send(v, "PUT", "sys/wrapping/lookup", `{"token":"`+info.Token+`"}`, "X-Vault-Token", ""),
			"named":                  send(v, "POST", "sys/wrapping/lookup", `{"token":"`+info.Token+`"}`),
			"as the caller":          send(v, "GET", "sys/wrapping/lookup", "", "X-Vault-Token", info.Token),
		} {
			var s struct{ Data map[string]any }
			check(t, json.Unmarshal([]byte(a.Body), &s))
			if s.Data["creation_ttl"] != 600.0 || s.Data["creation_path"] != "kv/a" || s.Data["creation_time"] != info.CreationTime.Format(time.RFC3339Nano) || len(s.Data) != 3 {
				t.Errorf("%s: %d %s", how, a.Status, a.Body)
			}
		}
	}
	again, err := v.Logical().Write("sys/wrapping/rewrap", map[string]any{"token": info.Token})
	check(t, err)
	if w := again.WrapInfo; w.TTL != 600 || w.CreationPath != "kv/a" || w.Token == info.Token {
		t.Errorf("rewrapped: %+v", w)
	}
	_, err = v.Logical().Unwrap(info.Token)
	wantFailure(t, err, 400, textToken)
	s, err := v.Logical().Unwrap(again.WrapInfo.Token)
	if err != nil || s.Data["x"] != "planted-value" {
		t.Errorf("%+v %v", s, err)
	}
}

// Every token that wraps nothing is the same to sys/wrapping; a missing one of
// the caller's own is not.
func TestBadWrappingTokens(t *testing.T) {
	v := start(t)
	plain := v.Policy("p", `path "sys/wrapping/*" { capabilities = ["update"] }`)
	for _, path := range []string{"unwrap", "lookup", "rewrap"} {
		for _, bad := range []string{"hvs.some", "hvb.some", plain, v.Root, "x", "../a"} {
			want(t, send(v, "PUT", "sys/wrapping/"+path, `{"token":"`+bad+`"}`), 400, textToken)
		}
		want(t, send(v, "PUT", "sys/wrapping/"+path, "", "X-Vault-Token", "hvs.some"), 400, textToken)
		want(t, send(v, "PUT", "sys/wrapping/"+path, "", "X-Vault-Token", ""), 400, textToken)
		want(t, send(v, "PUT", "sys/wrapping/"+path, "", "X-Vault-Token", plain), 400, textToken)
		want(t, send(v, "PUT", "sys/wrapping/"+path, `{"token":["a"]}`), 400, "token")
	}
	info := wrap(t, v, "kv/a", "60")
	want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+info.Token+`"}`, "X-Vault-Token", "hvs.some"), 403, "permission denied")
	want(t, send(v, "PUT", "sys/wrapping/wrap", `{"a":"b"}`), 400, "endpoint requires response wrapping")
	want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+info.Token+`"}`), 200, "planted-value")
}

// A wrapping token is good for nothing but what it wraps, and trying costs its use.
func TestWrappingTokenIsNoOtherToken(t *testing.T) {
	v := start(t)
	other := wrap(t, v, "kv/a", "60").Token
	for _, c := range [][2]string{
		{"GET", "kv/a"}, {"GET", "auth/token/lookup-self"}, {"PUT", "auth/token/renew-self"}, {"PUT", "auth/token/create"},
		{"PUT", "cubbyhole/other"}, {"GET", "sys/mounts"}, {"PUT", "sys/wrapping/wrap"},
	} {
		token := wrap(t, v, "kv/a", "60").Token
		want(t, send(v, c[0], c[1], `{"a":"b"}`, "X-Vault-Token", token), 403, "permission denied")
		want(t, send(v, "PUT", "sys/wrapping/unwrap", "", "X-Vault-Token", token), 400, textToken)
	}
	// Nor does it unwrap for others, which its use would not pay for.
	token := wrap(t, v, "kv/a", "60").Token
	want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+other+`"}`, "X-Vault-Token", token), 400, textToken)
	want(t, send(v, "PUT", "sys/wrapping/rewrap", "", "X-Vault-Token", token), 403, "permission denied")
	want(t, send(v, "PUT", "sys/wrapping/unwrap", "", "X-Vault-Token", other), 200, "planted-value")
	want(t, send(v, "PUT", "sys/wrapping/unwrap", "", "X-Vault-Token", token), 200, "planted-value")
	// What its holder puts in the place of the answer is no answer.
	token = wrap(t, v, "kv/a", "60").Token
	want(t, send(v, "PUT", "cubbyhole/response", `{"response":"forged"}`, "X-Vault-Token", token), 403, "")
}

// Of many that unwrap at once one gets it; the others are told as if it had never been.
func TestUnwrappedOnceByManyAtOnce(t *testing.T) {
	v := start(t)
	for range 5 {
		token := wrap(t, v, "kv/a", "60").Token
		var got atomic.Int32
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				body, caller := `{"token":"`+token+`"}`, v.Root
				if i%2 == 0 {
					body, caller = "", token
				}
				a := send(v, "PUT", "sys/wrapping/unwrap", body, "X-Vault-Token", caller)
				switch {
				case a.Status == 200 && strings.Contains(a.Body, "planted-value"):
					got.Add(1)
				case a.Status != 400 || !strings.Contains(a.Body, textToken):
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
		wait.Wait()
		if n := got.Load(); n != 1 {
			t.Fatalf("given %d times", n)
		}
	}
}

// It ends with its TTL, with its revocation, and not with a restart.
func TestWrappingTokenEnds(t *testing.T) {
	var offset atomic.Int64
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	})
	check(t, v.Sys().Mount("kv", &vault.MountInput{Type: "kv-v1"}))
	_, err := v.Logical().Write("kv/a", map[string]any{"x": "planted-value"})
	check(t, err)
	revoked, expired, kept := wrap(t, v, "kv/a", "60"), wrap(t, v, "kv/a", "60"), wrap(t, v, "kv/a", "3h")
	check(t, v.Auth().Token().RevokeAccessor(revoked.Accessor))
	want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+revoked.Token+`"}`), 400, textToken)
	offset.Store(int64(2 * time.Minute))
	want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+expired.Token+`"}`), 400, textToken)
	offset.Store(0) // or the certificate made at the restart is from the future
	v.Restart()
	v.Unseal()
	want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+kept.Token+`"}`), 200, "planted-value")
	if long := wrap(t, v, "kv/a", "100000h"); long.TTL != 768*3600 {
		t.Errorf("a wrapping token lives %d s", long.TTL)
	}
}

// §2.10: the audit log knows a wrapping token by its hash before it is used, and
// no line holds it or what it wraps.
func TestAuditOfWrapping(t *testing.T) {
	v := start(t)
	info := wrap(t, v, "kv/a", "60")
	hash, err := v.Sys().AuditHash("file", info.Token)
	check(t, err)
	secret, err := v.Sys().AuditHash("file", "planted-value")
	check(t, err)
	want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+info.Token+`"}`), 200, "planted-value")
	log, err := os.ReadFile(v.AuditFile())
	check(t, err)
	made, asked, given := false, false, false
	for line := range strings.Lines(string(log)) {
		unwraps := strings.Contains(line, `"path":"sys/wrapping/unwrap"`)
		made = made || strings.Contains(line, `"wrap_info":{`) && strings.Contains(line, hash)
		asked = asked || unwraps && strings.Contains(line, `"type":"request"`) && strings.Contains(line, hash)
		given = given || unwraps && strings.Contains(line, `"type":"response"`) && strings.Contains(line, secret)
		for _, canary := range []string{info.Token, "planted-value"} {
			if strings.Contains(line, canary) || strings.Contains(v.Log.String(), canary) {
				t.Errorf("a log holds %q: %s", canary, line)
			}
		}
	}
	if !made || !asked || !given {
		t.Errorf("audited: made %v, asked for %v, given %v", made, asked, given)
	}
}
