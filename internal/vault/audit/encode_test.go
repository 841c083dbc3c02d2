package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit/hashing"
)

func testKey() redact.Secret {
	k := make([]byte, KeySize)
	for i := range k {
		k[i] = byte(i)
	}
	return redact.New(k)
}

func testEncoder(f Format) *encoder { return &encoder{Hasher: hashing.New(testKey()), format: f} }

// mac computes what must stand in the log for value, without this package's code.
func mac(value string) string {
	h := hmac.New(sha256.New, testKey().Reveal())
	h.Write([]byte(value))
	return "hmac-sha256:" + hex.EncodeToString(h.Sum(nil))
}

func line(t testing.TB, f Format, e *Entry) string {
	t.Helper()
	c := testEncoder(f)
	s := c.Get()
	defer c.Put(s)
	return string(c.line(s, e))
}

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

func TestLineShape(t *testing.T) {
	req, resp := sampleEntries()
	head := func(kind, at string) string {
		return `{"time":"2026-03-01T10:20:30.` + at + `Z","type":"` + kind + `","auth":{` +
			`"client_token":"` + mac("hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZ") + `","accessor":"` + mac("MPE7CR3nNjbv1PZ1w1jJ2Hmx") + `",` +
			`"display_name":"kubernetes-default-my-app","policies":["default","my-app"],"token_policies":["default","my-app"],` +
			`"policy_results":{"allowed":true,"granting_policies":[{"name":"my-app","namespace_id":"root","type":"acl"}]},` +
			`"metadata":{"role":"my-app","service_account_name":"my-app","service_account_namespace":"default","service_account_uid":"9d0cb3f6-8d9a-4a3e-b3c9-3f1b3d7d9a10"},` +
			`"entity_id":"1c8d1a2b-6f3e-4c5d-9e8f-7a6b5c4d3e2f","token_type":"service","token_ttl":3600,"token_issue_time":"2026-03-01T10:19:30.123456789Z"},` +
			`"request":{"id":"5f3a5b0e-9a57-41a5-8a2e-1f2d3c4b5a69","client_id":"1c8d1a2b-6f3e-4c5d-9e8f-7a6b5c4d3e2f","operation":"read",` +
			`"mount_point":"secret/","mount_type":"kv","mount_accessor":"kv_4f0dd1a3","mount_running_version":"v0.1.0","mount_class":"secret",` +
			`"client_token":"` + mac("hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZ") + `","client_token_accessor":"` + mac("MPE7CR3nNjbv1PZ1w1jJ2Hmx") + `",` +
			`"namespace":{"id":"root"},"path":"secret/data/my-app/config","remote_address":"10.244.1.17","remote_port":41234}`
	}
	if got, want := line(t, Format{HMACAccessor: true}, req), head("request", "123456789")+"}\n"; got != want {
		t.Errorf("request line:\n%s\nwant\n%s", got, want)
	}
	want := head("response", "124456789") + `,"response":{"mount_point":"secret/","mount_type":"kv","mount_accessor":"kv_4f0dd1a3",` +
		`"mount_running_version":"v0.1.0","mount_class":"secret","data":{"data":{"username":"` + mac("app") + `","password":"` + mac("hunter2-canary") +
		`","url":"` + mac("postgres://db/app") + `"},"metadata":{"created_time":"` + mac("2026-03-01T10:00:00.000000001Z") +
		`","custom_metadata":null,"deletion_time":"` + mac("") + `","destroyed":false,"version":3}}}}` + "\n"
	if got := line(t, Format{HMACAccessor: true}, resp); got != want {
		t.Errorf("response line:\n%s\nwant\n%s", got, want)
	}
}

func TestEveryFieldIsWrittenOnceAndSecretsHashed(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
	e := &Entry{
		Type: TypeResponse, Time: at, Error: "1 error occurred:\n\t* permission denied\n\n",
		Auth: &Auth{
			NoDefaultPolicy: true, NumUses: 5, RemainingUses: 4, EntityCreated: true, IdentityPolicies: []string{"i"},
			PolicyResults: &PolicyResults{}, Metadata: map[string]string{"a\n": "\xff"},
		},
		Request: &Request{
			Namespace: Namespace{ID: "n1", Path: "team/"}, WrapTTL: 90 * time.Second, CertificateSerial: "0a:0b", Data: jsontext.Value(`null`),
			Headers: []Header{{Name: "user-agent", Values: []string{"curl"}}, {Name: "x-key", Values: []string{"s1", "s2"}, HMAC: true}},
		},
		Response: &Response{
			Auth: &Auth{ClientToken: "hvs.new", Accessor: "acc.new"}, LeaseID: "db/creds/r/1", Warnings: []string{`w"1`}, Redirect: "https://x/",
			WrapInfo: &WrapInfo{TTL: time.Minute, Token: "hvs.wrap", Accessor: "acc.wrap", WrappedAccessor: "acc.in", CreationTime: at, CreationPath: "a/b"},
			Headers:  []Header{{Name: "location", Values: nil}},
		},
	}
	want := `{"time":"2026-01-02T02:04:05Z","type":"response","auth":{"identity_policies":["i"],"no_default_policy":true,` +
		`"policy_results":{"allowed":false},"metadata":{"a\n":"` + "\ufffd" + `"},"num_uses":5,"remaining_uses":4,"entity_created":true},` +
		`"request":{"namespace":{"id":"n1","path":"team/"},"data":null,"wrap_ttl":90,"headers":{"user-agent":["curl"],"x-key":["` + mac("s1") + `","` + mac("s2") + `"]},` +
		`"client_certificate_serial_number":"0a:0b"},` +
		`"response":{"auth":{"client_token":"` + mac("hvs.new") + `","accessor":"` + mac("acc.new") + `"},"secret":{"lease_id":"db/creds/r/1"},` +
		`"warnings":["w\"1"],"redirect":"https://x/","wrap_info":{"ttl":60,"token":"` + mac("hvs.wrap") + `","accessor":"` + mac("acc.wrap") + `",` +
		`"creation_time":"2026-01-02T02:04:05Z","creation_path":"a/b","wrapped_accessor":"` + mac("acc.in") + `"},"headers":{"location":[]}},` +
		`"error":"1 error occurred:\n\t* permission denied\n\n"}` + "\n"
	if got := line(t, Format{HMACAccessor: true}, e); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFormats(t *testing.T) {
	req, resp := sampleEntries()
	req.Request.Data = jsontext.Value(` { "token" : "in-data-canary" } `)
	if got := line(t, Format{Prefix: "@cee: "}, req); !strings.HasPrefix(got, `@cee: {"time":`) || !strings.Contains(got, `"accessor":"MPE7CR3nNjbv1PZ1w1jJ2Hmx"`) {
		t.Errorf("prefix and hmac_accessor=false: %s", got)
	} else if strings.Contains(got, "hvs.") || strings.Contains(got, "in-data-canary") {
		t.Errorf("hmac_accessor=false shows more than accessors: %s", got)
	}
	if got := line(t, Format{HMACAccessor: true, LogRaw: true}, req); strings.Contains(got, hashing.Prefix) || !strings.Contains(got, `"data":{"token":"in-data-canary"}`) || !strings.Contains(got, `"client_token":"hvs.`) {
		t.Errorf("log_raw: %s", got)
	}
	resp.Request.Operation = "list"
	resp.Response.Data = jsontext.Value(`{"keys":["a","b","c"],"key_info":{"a":{"x":"s"},"b":{}},"more":{"keys":["d"]}}`)
	if got, want := line(t, Format{ElideListResponses: true}, resp), `"data":{"keys":3,"key_info":2,"more":{"keys":["`+mac("d")+`"]}}`; !strings.Contains(got, want) {
		t.Errorf("elided list: %s\nwant %s", got, want)
	}
	if got := line(t, Format{}, resp); !strings.Contains(got, `"keys":["`+mac("a")+`","`+mac("b")) {
		t.Errorf("list without eliding: %s", got)
	}
	resp.Request.Operation = "read"
	if got := line(t, Format{ElideListResponses: true}, resp); !strings.Contains(got, `"keys":["`+mac("a")+`"`) {
		t.Errorf("a read is not elided: %s", got)
	}
}

func TestData(t *testing.T) {
	deep := strings.Repeat(`[`, 70) + `"canary"` + strings.Repeat(`]`, 70)
	inner := strings.Repeat(`[`, 70-hashing.MaxDepth) + `"canary"` + strings.Repeat(`]`, 70-hashing.MaxDepth)
	opaque := func(text string) string {
		return fmt.Sprintf(`{"hmac_of_json":"%s","bytes":%d}`, mac(text), len(text))
	}
	many := `["` + strings.Repeat(`canary","`, hashing.MaxStrings) + `canary"]`
	atLimit := `["` + strings.Repeat(`c","`, hashing.MaxStrings-1) + `c"]`
	numbers := `[` + strings.Repeat(`1,`, hashing.MaxTokens) + `1]`
	for name, c := range map[string]struct {
		in, want string
		plain    []string
	}{
		"scalars":              {in: `{"n":1.5e3,"t":true,"f":false,"z":null,"s":"canary"}`, want: `{"n":1.5e3,"t":true,"f":false,"z":null,"s":"` + mac("canary") + `"}`},
		"space":                {in: " { \"a\" : [ 1 , \"canary\" ] }\n", want: `{"a":[1,"` + mac("canary") + `"]}`},
		"empty":                {in: `{"a":{},"b":[],"c":[[],{}]}`, want: `{"a":{},"b":[],"c":[[],{}]}`},
		"a string":             {in: `"canary"`, want: `"` + mac("canary") + `"`},
		"escapes":              {in: `{"a":"can\u0061ry\n\ud83d\ude00"}`, want: `{"a":"` + mac("canary\n😀") + `"}`},
		"escaped name":         {in: `{"a\n":"canary"}`, want: `{"a\n":"` + mac("canary") + `"}`},
		"same name twice":      {in: `{"a":"canary","a":1}`, want: `{"a":"` + mac("canary") + `","a":1}`},
		"plain":                {in: `{"ok":"shown","no":"canary"}`, plain: []string{"x", "ok"}, want: `{"ok":"shown","no":"` + mac("canary") + `"}`},
		"plain, nested":        {in: `{"data":{"ok":"shown","no":"canary"}}`, plain: []string{"ok"}, want: `{"data":{"ok":"shown","no":"` + mac("canary") + `"}}`},
		"plain list":           {in: `{"ok":["shown",["shown"],{"no":"canary"},"shown"],"no":"canary"}`, plain: []string{"ok"}, want: `{"ok":["shown",["shown"],{"no":"` + mac("canary") + `"},"shown"],"no":"` + mac("canary") + `"}`},
		"plain object":         {in: `{"ok":{"no":"canary"},"no":"canary"}`, plain: []string{"ok"}, want: `{"ok":{"no":"` + mac("canary") + `"},"no":"` + mac("canary") + `"}`},
		"plain, escaped":       {in: `{"o\u006b":"shown"}`, plain: []string{"ok"}, want: `{"o\u006b":"shown"}`},
		"plain does not stick": {in: `[{"ok":"shown"},"canary",["canary"]]`, plain: []string{"ok"}, want: `[{"ok":"shown"},"` + mac("canary") + `",["` + mac("canary") + `"]]`},
		"deep":                 {in: deep, want: strings.Repeat(`[`, hashing.MaxDepth) + opaque(inner) + strings.Repeat(`]`, hashing.MaxDepth)},
		"many strings":         {in: many, want: opaque(many)},
		"just enough":          {in: atLimit, want: `["` + strings.Repeat(mac("c")+`","`, hashing.MaxStrings-1) + mac("c") + `"]`},
		"many numbers":         {in: numbers, want: opaque(numbers)},
		"cut off":              {in: `{"a":"canary`, want: opaque(`{"a":"canary`)},
		"two values":           {in: `"canary" "canary"`, want: opaque(`"canary" "canary"`)},
		"text after":           {in: `{"a":1}canary`, want: opaque(`{"a":1}canary`)},
		"no JSON":              {in: "canary\n{}", want: opaque("canary\n{}")},
		"not UTF-8":            {in: "\"canary\xff\"", want: opaque("\"canary\xff\"")},
		"half a surrogate":     {in: `{"canary\ud800":1}`, want: opaque(`{"canary\ud800":1}`)},
		"white space":          {in: "  ", want: opaque("  ")},
		"only a close":         {in: "]", want: opaque("]")},
	} {
		req := &Entry{Type: TypeRequest, Request: &Request{Data: jsontext.Value(c.in), NonHMACKeys: c.plain}}
		got := line(t, Format{}, req)
		want := `{"type":"request","request":{"data":` + c.want + "}}\n"
		if got != want {
			t.Errorf("%s:\n%.300s\nwant\n%.300s", name, got, want)
		}
		if strings.Contains(got, "canary") {
			t.Errorf("%s: the line holds a value in the clear", name)
		}
	}
}

// Guards against Vault's CVE-2025-62513: raw bodies were logged in the clear.
func TestRawBodyIsNeverInTheClear(t *testing.T) {
	e := &Entry{Type: TypeResponse, Response: &Response{
		Data: jsontext.Value(`{"a":"canary"}`),
		Raw:  &Raw{Status: 200, ContentType: "application/pkix-cert", Body: []byte("canary-body")},
	}}
	want := `"data":{"http_content_type":"application/pkix-cert","http_raw_body":"` + mac("canary-body") + `","http_raw_body_length":11,"http_status_code":200}}}`
	for _, f := range []Format{{}, {LogRaw: true}} {
		if got := line(t, f, e); !strings.Contains(got, want) || strings.Contains(got, "canary") {
			t.Errorf("log_raw=%v: %s", f.LogRaw, got)
		}
	}
}

func TestEntriesDoNotPrintWhatTheyHold(t *testing.T) {
	req, resp := sampleEntries()
	req.Request.Data = jsontext.Value(`{"p":"hunter2-canary"}`)
	resp.Response.Raw = &Raw{Body: []byte("hunter2-canary")}
	wrap := &WrapInfo{Token: "hvs.wrap"}
	for _, v := range []any{req, *req, req.Request, *req.Request, resp, resp.Response, *resp.Response, *resp.Response.Raw, req.Auth, *req.Auth, wrap} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			got := fmt.Sprintf(verb, v)
			for _, bad := range []string{"hvs.", "hunter2", hex.EncodeToString([]byte("hvs.")), hex.EncodeToString([]byte("hunter2"))} {
				if strings.Contains(got, bad) {
					t.Errorf("%T with %s shows a secret", v, verb)
				}
			}
		}
	}
	if b, err := json.Marshal(req.Auth); err != nil || bytes.Contains(b, []byte("hvs.")) {
		t.Errorf("marshalling Auth: %v, or it shows the token", err)
	}
}

func TestEncodingAllocates(t *testing.T) {
	c := testEncoder(Format{HMACAccessor: true})
	_, resp := sampleEntries()
	got := testing.AllocsPerRun(200, func() {
		s := c.Get()
		c.line(s, resp)
		c.Put(s)
	})
	if got > 2 && !raceEnabled {
		t.Errorf("%v allocations per line, want at most 2", got)
	}
}

func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`{"a":"b"}`, `[[[["x"]]]]`, `{"a":{"keys":["x"]},"keys":["y"],"key_info":{"z":"w"}}`, `"\ud83d\ude00"`, `{"a":`, "\x00", `{"plain":["x",{"y":"z"}]}`, ` `,
	} {
		f.Add(seed, "canary-"+seed, true)
	}
	const canary = "K4n4ryP1ant3d"
	f.Fuzz(func(t *testing.T, data, text string, elide bool) {
		planted, _ := jsontext.AppendQuote(nil, canary)
		whole := jsontext.Value(`{"data":` + data + `,"keys":[` + string(planted) + `],"plain":{"x":` + string(planted) + `}}`)
		e := &Entry{
			Type: TypeResponse, Error: text,
			Auth: &Auth{ClientToken: Secret(canary), DisplayName: text, Metadata: map[string]string{text: text}},
			Request: &Request{
				Operation: "list", Path: text, Data: whole, NonHMACKeys: []string{"plain"}, ClientToken: Secret(canary),
				Headers: []Header{{Name: text, Values: []string{text, canary}, HMAC: true}},
			},
			Response: &Response{Data: jsontext.Value(data), Warnings: []string{text}, Auth: &Auth{ClientToken: Secret(canary)}},
		}
		if strings.Contains(data, canary) || strings.Contains(text, canary) {
			return
		}
		got := line(t, Format{HMACAccessor: true, ElideListResponses: elide}, e)
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Fatalf("not one line: %q", got)
		}
		if !jsontext.Value(got).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Fatalf("not valid JSON: %q", got)
		}
		if strings.Contains(got, canary) {
			t.Fatalf("the line holds a secret in the clear: %q", got)
		}
	})
}
