package audit

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/redact"
)

func testKey() redact.Secret {
	k := make([]byte, KeySize)
	for i := range k {
		k[i] = byte(i)
	}
	return redact.New(k)
}

func testEncoder(f Format) *encoder { return &encoder{hasher: newHasher(testKey()), format: f} }

// sampleEntries are the two lines of a read of a KV v2 secret by a pod.
func sampleEntries() (request, response *Entry) {
	at := time.Date(2026, 3, 1, 10, 20, 30, 123456789, time.UTC)
	auth := &Auth{
		ClientToken:   "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZ",
		Accessor:      "MPE7CR3nNjbv1PZ1w1jJ2Hmx",
		DisplayName:   "kubernetes-default-my-app",
		Policies:      []string{"default", "my-app"},
		TokenPolicies: []string{"default", "my-app"},
		PolicyResults: &PolicyResults{Allowed: true, GrantingPolicies: []Policy{{Name: "my-app", NamespaceID: "root", Type: "acl"}}},
		Metadata: map[string]string{
			"role": "my-app", "service_account_name": "my-app", "service_account_namespace": "default",
			"service_account_uid": "9d0cb3f6-8d9a-4a3e-b3c9-3f1b3d7d9a10",
		},
		EntityID:       "1c8d1a2b-6f3e-4c5d-9e8f-7a6b5c4d3e2f",
		TokenType:      "service",
		TokenTTL:       time.Hour,
		TokenIssueTime: at.Add(-time.Minute),
	}
	mount := Mount{Point: "secret/", Type: "kv", Accessor: "kv_4f0dd1a3", Class: "secret", Version: "v0.1.0"}
	r := &Request{
		ID:                  "5f3a5b0e-9a57-41a5-8a2e-1f2d3c4b5a69",
		ClientID:            "1c8d1a2b-6f3e-4c5d-9e8f-7a6b5c4d3e2f",
		Operation:           "read",
		Mount:               mount,
		ClientToken:         auth.ClientToken,
		ClientTokenAccessor: auth.Accessor,
		Namespace:           Namespace{ID: "root"},
		Path:                "secret/data/my-app/config",
		RemoteAddress:       "10.244.1.17",
		RemotePort:          41234,
	}
	request = &Entry{Type: TypeRequest, Time: at, Auth: auth, Request: r}
	response = &Entry{Type: TypeResponse, Time: at.Add(time.Millisecond), Auth: auth, Request: r, Response: &Response{
		Mount: mount,
		Data: jsontext.Value(`{"data":{"username":"app","password":"hunter2-canary","url":"postgres://db/app"},` +
			`"metadata":{"created_time":"2026-03-01T10:00:00.000000001Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":3}}`),
	}}
	return request, response
}
