package vaultdynamic

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/hashicorp/vault/api"
)

// Whatever a vault answers, values come of it or it is refused, the same each time.
func FuzzValues(f *testing.F) {
	f.Add([]byte(`{"lease_id":"a/b","lease_duration":3,"data":{"username":"u","n":1,"l":["x"],"o":{"a":null}}}`), "Data")
	f.Add([]byte(`{"auth":{"client_token":"t","accessor":"a"}}`), "Auth")
	f.Add([]byte(`{"data":null}`), "Raw")
	f.Fuzz(func(t *testing.T, text []byte, part string) {
		answer, err := api.ParseSecret(bytes.NewReader(text))
		if err != nil || answer == nil {
			return
		}
		one, err1 := valuesOf(answer, part)
		two, err2 := valuesOf(answer, part)
		if (err1 == nil) != (err2 == nil) || len(one) != len(two) {
			t.Fatalf("%v %v: %d and %d values", err1, err2, len(one), len(two))
		}
		for key, v := range one {
			if !v.Equal(two[key]) {
				t.Fatalf("%q differs", key)
			}
		}
	})
}

// Whatever a spec is, a request below /v1/ comes of it or it is refused.
func FuzzSpec(f *testing.F) {
	f.Add([]byte(`{"path":"/database/creds/app","method":"post","parameters":{"a":1},"provider":{"server":"x"}}`))
	f.Add([]byte(`{"path":"a","provider":{},"getParameters":{"a":["b"]},"retrySettings":{"maxRetries":1,"retryInterval":"1s"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, q, err := read(text)
		if err != nil {
			return
		}
		if q.Path == "" || q.Method == "" || len(spec.Provider.Raw) == 0 || q.Method == "GET" && q.Body != nil || q.Method != "GET" && q.Query != nil {
			t.Fatalf("%+v", q)
		}
		if q.Body != nil && !json.Valid(q.Body) {
			t.Fatalf("the body is %q", q.Body)
		}
	})
}
