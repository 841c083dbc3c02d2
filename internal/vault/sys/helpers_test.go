package sys_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The tests of this package speak to the whole vault over HTTPS. Most of sys/ is
// tested in package server, together with the wire.

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func send(v *testenv.Vault, method, path, body string, headers ...string) testenv.Answer {
	return v.HTTP(method, path, strings.NewReader(body), headers...)
}

// want fails the test unless the answer has the status and its body the text.
func want(t testing.TB, a testenv.Answer, status int, text string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		t.Fatalf("%d %.2000s, want %d %q", a.Status, a.Body, status, text)
	}
}

// data is the data of an answer that is 200.
func data(t testing.TB, a testenv.Answer) map[string]any {
	t.Helper()
	want(t, a, 200, "")
	var s struct{ Data map[string]any }
	check(t, json.Unmarshal([]byte(a.Body), &s))
	return s.Data
}
