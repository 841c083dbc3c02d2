package conformance_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

type object = map[string]any

// Texts that clients compare with (§2.1).
const (
	denied      = "1 error occurred:\n\t* permission denied\n\n"
	unsupported = "1 error occurred:\n\t* unsupported path\n\n"
)

// start runs a vault with kv version 2 at secret/ and version 1 at kv/.
func start(t testing.TB) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	check(t, v.Sys().Mount("secret", &vault.MountInput{Type: "kv-v2"}))
	check(t, v.Sys().Mount("kv", &vault.MountInput{Type: "kv-v1"}))
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// write and read fail the test unless the client has an answer.
func write(t testing.TB, c *vault.Client, path string, body object) *vault.Secret {
	t.Helper()
	s, err := c.Logical().Write(path, body)
	if err != nil {
		t.Fatalf("writing %s: %v", path, err)
	}
	return s
}

func read(t testing.TB, c *vault.Client, path string) *vault.Secret {
	t.Helper()
	s, err := c.Logical().Read(path)
	if err != nil || s == nil {
		t.Fatalf("reading %s: %v, %v", path, s, err)
	}
	return s
}

// send is one raw request with a body of JSON.
func send(v *testenv.Vault, method, path, body string, headers ...string) testenv.Answer {
	return v.HTTP(method, path, strings.NewReader(body), headers...)
}

// want fails the test unless the answer has the status and its body the text.
func want(t testing.TB, a testenv.Answer, status int, text string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		t.Errorf("%d %.600s; want %d and %q", a.Status, a.Body, status, text)
	}
}

// wantErrors fails the test unless the answer is just these errors.
func wantErrors(t testing.TB, a testenv.Answer, status int, texts ...string) {
	t.Helper()
	var got struct{ Errors []string }
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status != status || !slices.Equal(got.Errors, texts) {
		t.Errorf("%d %q, %v; want %d %q", a.Status, a.Body, err, status, texts)
	}
}

// refused fails the test unless err is an answer of this status that says text.
func refused(t testing.TB, err error, status int, text string) {
	t.Helper()
	var re *vault.ResponseError
	if !errors.As(err, &re) || re.StatusCode != status || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want status %d and %q", err, status, text)
	}
}

// token makes a token with these policies.
func token(t testing.TB, v *testenv.Vault, policies ...string) string {
	t.Helper()
	s, err := v.Auth().Token().Create(&vault.TokenCreateRequest{Policies: policies, TTL: "1h"})
	check(t, err)
	return s.Auth.ClientToken
}
