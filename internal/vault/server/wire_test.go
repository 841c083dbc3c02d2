package server_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/server"
)

// §2.1: every key of the envelope, in its order, absent parts null.
func TestEnvelopeIsExact(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/a", `{"n":1,"big":12345678901234567890,"s":"é\u0007"}`), 204)
	for path, want := range map[string]string{
		"kv/a":            `{"request_id":"-","lease_id":"","renewable":false,"lease_duration":2764800,"data":{"n":1,"big":12345678901234567890,"s":"é\u0007"},"wrap_info":null,"warnings":null,"auth":null}` + "\n",
		"kv/none":         emptyErrors,
		"secret/data/gap": emptyErrors,
	} {
		if got := masked(send(v, "GET", path, "").Body); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", path, got, want)
		}
	}
	a := send(v, "POST", "secret/data/x", `{"data":{"k":"v"}}`)
	if want := `{"request_id":"-","lease_id":"","renewable":false,"lease_duration":0,"data":{"created_time":"-","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1},"wrap_info":null,"warnings":null,"auth":null}` + "\n"; masked(a.Body) != want {
		t.Errorf("write:\n%s\nwant\n%s", masked(a.Body), want)
	}
	a = send(v, "POST", "auth/token/create", `{"policies":"ghost","ttl":"1h","meta":{"b":"2","a":"1"}}`)
	var s struct{ Auth struct{ Accessor string } }
	check(t, jsonUnmarshal(a.Body, &s))
	want := `{"request_id":"-","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,"warnings":["Policy \"ghost\" does not exist"],` +
		`"auth":{"client_token":"-","accessor":"` + s.Auth.Accessor + `","policies":["default","ghost"],"token_policies":["default","ghost"],"metadata":{"a":"1","b":"2"},` +
		`"lease_duration":3600,"renewable":true,"entity_id":"","token_type":"service","orphan":false,"mfa_requirement":null,"num_uses":0}}` + "\n"
	if got := masked(a.Body); got != want {
		t.Errorf("auth:\n%s\nwant\n%s", got, want)
	}
	if len(s.Auth.Accessor) != 24 { // §2.4
		t.Errorf("accessor %q, want 24 characters", s.Auth.Accessor)
	}
}

// §2.1: a write without an answer is 204, a read 404, a LIST without names 404.
func TestAnswersWithoutContent(t *testing.T) {
	v := start(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "kv/a", `{"x":1}`, 204},
		{"PUT", "kv/a", `{"x":1}`, 204},
		{"DELETE", "kv/a", "", 204},
		{"DELETE", "kv/a", "", 204},
		{"GET", "kv/a", "", 404},
		{"HEAD", "kv/a", "", 404},
		{"LIST", "kv", "", 404},
		{"LIST", "kv/", "", 404},
		{"GET", "kv/?list=true", "", 404},
		{"GET", "kv/none?list=1", "", 404},
		{"LIST", "secret/metadata", "", 404},
		{"LIST", "auth/token/roles", "", 404},
	} {
		a := send(v, c.method, c.path, c.body)
		wantStatus(t, a, c.status)
		want := emptyErrors
		if c.status == 204 || c.method == "HEAD" {
			want = ""
		}
		if a.Body != want {
			t.Errorf("%s %s: body %q, want %q", c.method, c.path, a.Body, want)
		}
		if c.status == 204 && a.Header.Get("Content-Type") != "" {
			t.Errorf("%s %s: a 204 has the Content-Type %q", c.method, c.path, a.Header.Get("Content-Type"))
		}
	}
}

// §2.1, §1.1: LIST is a verb and a query parameter, with the same answer.
func TestListVerbAndQuery(t *testing.T) {
	v := start(t)
	for _, name := range []string{"kv/d/b", "kv/d/a", "kv/d/c/e"} {
		wantStatus(t, send(v, "PUT", name, `{"x":1}`), 204)
	}
	want := masked(send(v, "LIST", "kv/d", "").Body)
	if !strings.Contains(want, `"data":{"keys":["a","b","c/"]}`) {
		t.Fatalf("LIST: %s", want)
	}
	for _, c := range [][2]string{{"LIST", "kv/d/"}, {"GET", "kv/d?list=true"}, {"GET", "kv/d/?list=1"}, {"GET", "kv/d/?list=T"}} {
		if got := masked(send(v, c[0], c[1], "").Body); got != want {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, want)
		}
	}
	wantStatus(t, send(v, "GET", "kv/d/a?list=false", ""), 200)
	wantErrors(t, send(v, "GET", "kv/d?list=maybe", ""), 400, "query parameter list must be true or false")
}

// §2.1: POST and PUT are the same; HEAD is GET without the body.
func TestVerbs(t *testing.T) {
	v := start(t)
	for _, method := range []string{"POST", "PUT"} {
		wantStatus(t, send(v, method, "kv/"+method, `{"x":1}`), 204)
	}
	get, head := send(v, "GET", "kv/PUT", ""), send(v, "HEAD", "kv/PUT", "")
	wantStatus(t, head, 200)
	if head.Body != "" || head.Header.Get("Content-Length") != get.Header.Get("Content-Length") {
		t.Errorf("HEAD: body %q, length %s; GET has %s", head.Body, head.Header.Get("Content-Length"), get.Header.Get("Content-Length"))
	}
	for _, method := range []string{"FROB", "OPTIONS", "TRACE", "get", "SCAN"} {
		a := send(v, method, "kv/PUT", "")
		if a.Status != 405 || !strings.Contains(a.Body, "unsupported method") {
			t.Errorf("%s: %d %s", method, a.Status, a.Body)
		}
	}
	for _, c := range [][2]string{{"DELETE", "sys/seal-status"}, {"POST", "sys/health"}, {"DELETE", "sys/init"}, {"GET", "sys/unseal"}, {"PATCH", "sys/leader"}} {
		wantStatus(t, send(v, c[0], c[1], "", "Content-Type", "application/merge-patch+json"), 405)
	}
}

// §1.1: PATCH needs its media type, any other is 415.
func TestPatchMediaType(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "secret/data/p", `{"data":{"a":"1"}}`), 200)
	for media, status := range map[string]int{
		"application/merge-patch+json": 200, "application/merge-patch+json; charset=utf-8": 200, "Application/Merge-Patch+JSON": 200,
		"application/json": 415, "": 415, "application/json-patch+json": 415, "text/plain": 415,
	} {
		a := send(v, "PATCH", "secret/data/p", `{"data":{"b":"2"}}`, "Content-Type", media)
		if a.Status != status {
			t.Errorf("%q: status %d, want %d: %s", media, a.Status, status, a.Body)
		}
	}
}

// §2.1: where the token comes from, and what is said of a bad one.
func TestTokenHeaders(t *testing.T) {
	v := start(t)
	const path = "auth/token/lookup-self"
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"X-Vault-Token", nil, 200},
		{"Bearer", []string{"X-Vault-Token", "", "Authorization", "Bearer " + v.Root}, 200},
		{"X-Vault-Token wins", []string{"Authorization", "Bearer nonsense"}, 200},
		{"none", []string{"X-Vault-Token", ""}, 403},
		{"Basic", []string{"X-Vault-Token", "", "Authorization", "Basic " + v.Root}, 403},
		{"unknown", []string{"X-Vault-Token", "hvs.unknown"}, 403},
		{"unknown batch", []string{"X-Vault-Token", "hvb." + strings.Repeat("A", 200)}, 403},
		{"prefix of a token", []string{"X-Vault-Token", v.Root[:len(v.Root)-1]}, 403},
		{"longer than a token", []string{"X-Vault-Token", v.Root + "a"}, 403},
		{"huge", []string{"X-Vault-Token", strings.Repeat("x", 30<<10)}, 403},
		{"not ASCII", []string{"X-Vault-Token", "hvs.é\xff"}, 403},
	} {
		a := send(v, "GET", path, "", c.headers...)
		if a.Status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, a.Status, c.status, a.Body)
		}
		if c.status == 403 {
			wantErrors(t, a, 403, textBadToken)
		}
	}
}

// §2.1: headers of every answer, good or bad.
func TestHeaders(t *testing.T) {
	v := start(t)
	for _, path := range []string{"sys/health", "auth/token/lookup-self", "kv/none", "nowhere", "kv/..", "sys/wrapping/unwrap"} {
		a := send(v, "GET", path, "", "X-Vault-Namespace", "root")
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
	}
	a := send(v, "GET", "kv/none", "", "X-Vault-Namespace", "root/")
	if got := a.Header.Get("X-Vault-Namespace"); a.Status != 404 || got != "root" {
		t.Errorf("the namespace comes back as %q with %d", got, a.Status)
	}
	a = send(v, "GET", "kv/none", "", "X-Vault-Namespace", "team")
	if a.Status != 404 || !strings.Contains(a.Body, "There is no namespace") || a.Header.Get("X-Vault-Namespace") != "team" {
		t.Errorf("a namespace that is not there: %d %s", a.Status, a.Body)
	}
	// The client's own marker and the consistency headers are no reason to refuse.
	a = send(v, "GET", "kv/none", "", "X-Vault-Request", "true", "X-Vault-Index", "x", "X-Vault-Inconsistent", "forward-active-node")
	wantStatus(t, a, 404)
}

// The header as Vault takes it: seconds or a duration; 0 is no wrapping.
func TestWrapTTLHeader(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/a", `{"x":"1"}`), 204)
	for ttl, status := range map[string]int{"60": 200, "1m": 200, "0": 200, "-1": 400, "soon": 400, "1d": 400} {
		a := send(v, "GET", "kv/a", "", "X-Vault-Wrap-TTL", ttl)
		if a.Status != status || strings.Contains(a.Body, `"x":"1"`) != (ttl == "0") {
			t.Errorf("X-Vault-Wrap-TTL %s: %d %s", ttl, a.Status, a.Body)
		}
	}
}

// ?help=1 works on any path, also for a token that may not use it.
func TestHelp(t *testing.T) {
	v := start(t)
	low := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}}).ClientToken
	for path, want := range map[string]string{
		"secret/data/x": "secret/data/{path...}", "secret": "metadata/{path...}", "sys/mounts": "List every mounted",
		"auth/token/create": "no_default_policy", "sys/policies/acl/x": "HCL or JSON",
	} {
		h := must[*vault.Help](t)(v.Help(path))
		if !strings.Contains(h.Help, want) {
			t.Errorf("help of %s lacks %q:\n%s", path, want, h.Help)
		}
	}
	h := must[*vault.Help](t)(v.NewClient(low).Help("sys/seal"))
	if !strings.Contains(h.Help, "sudo") {
		t.Errorf("help for a token without rights: %s", h.Help)
	}
	wantErrors(t, send(v, "GET", "nowhere?help=1", ""), 404, `no handler for route "nowhere". route entry not found.`)
	wantErrors(t, send(v, "GET", "secret?help=1", "", "X-Vault-Token", ""), 403, textBadToken)
}

// §2.1: a form if the content type says so and the first byte is not JSON's,
// otherwise JSON whatever the content type.
func TestBodyForms(t *testing.T) {
	v := start(t)
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct{ media, body, want string }{
		{"application/json", `{"a":"b"}`, `{"a":"b"}`},
		{"", " \n{\"a\":\"b\"}\n ", `{"a":"b"}`},
		{"text/plain", `{"a":"b"}`, `{"a":"b"}`},
		{"nonsense; =", `{"a":"b"}`, `{"a":"b"}`},
		{form, `{"a":"b"}`, `{"a":"b"}`},
		{form, `a=b`, `{"a":"b"}`},
		{form + "; charset=utf-8", `a=b+c%26&b=`, `{"a":"b c&","b":""}`},
		{form, `a=1&a=2`, `{"a":["1","2"]}`},
	} {
		wantStatus(t, send(v, "PUT", "kv/form", c.body, "Content-Type", c.media), 204)
		if a := send(v, "GET", "kv/form", ""); !strings.Contains(a.Body, `"data":`+c.want+`,`) {
			t.Errorf("%s %q: stored %s, want %s", c.media, c.body, a.Body, c.want)
		}
	}
}

// Issue 2, bad input; §6 class of CVE-2025-6203: what is no JSON object is
// refused, says where, never quotes, and changes nothing.
func TestBadBodies(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/a", `{"x":"before"}`), 204)
	for name, body := range map[string]string{
		"cut off":          `{"x":"canary`,
		"two objects":      `{"x":"canary"}{"x":"canary"}`,
		"trailing":         `{"x":"canary"} x`,
		"list":             `["canary"]`,
		"string":           `"canary"`,
		"number":           `12`,
		"no JSON":          `canary`,
		"single quotes":    `{'x':'canary'}`,
		"trailing comma":   `{"x":"canary",}`,
		"duplicate names":  `{"x":"canary","x":"canary"}`,
		"deep duplicate":   `{"x":{"y":"canary","y":1}}`,
		"invalid UTF-8":    "{\"x\":\"canary\xff\"}",
		"lone surrogate":   `{"x":"canary\ud800"}`,
		"control in text":  "{\"x\":\"canary\x01\"}",
		"very deep":        `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`,
		"byte order mark":  "\ufeff{\"x\":\"canary\"}",
		"UTF-16":           "\xff\xfe{\x00}\x00",
		"NaN":              `{"x":NaN}`,
		"malformed escape": `{"x":"canary\q"}`,
	} {
		a := send(v, "PUT", "kv/a", body)
		if a.Status != 400 || !strings.Contains(a.Body, "JSON") || strings.Contains(a.Body, "canary") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	wantStatus(t, send(v, "PUT", "kv/a", "a=%zz", "Content-Type", "application/x-www-form-urlencoded"), 400)
	wantErrors(t, send(v, "PUT", "kv/a", ""), 400, "missing data fields")
	if a := send(v, "GET", "kv/a", ""); !strings.Contains(a.Body, "before") {
		t.Errorf("a refused body changed what is stored: %s", a.Body)
	}
}

// §2.1: bodies over 32 MiB are 413, whether they say their size or not.
func TestBodyTooLarge(t *testing.T) {
	v := start(t)
	for name, body := range map[string]func() io.Reader{
		"by its length": func() io.Reader { return strings.NewReader(`{"x":"` + strings.Repeat("a", 33<<20) + `"}`) },
		"while reading": func() io.Reader {
			return io.MultiReader(strings.NewReader(`{"x":"`), io.LimitReader(endless{}, 33<<20), strings.NewReader(`"}`))
		},
	} {
		for _, path := range []string{"kv/a", "sys/unseal"} {
			a := v.HTTP("PUT", path, body())
			if a.Status != 413 || !strings.Contains(a.Body, "larger than 32 MiB") {
				t.Errorf("%s, %s: %d %.200s", path, name, a.Status, a.Body)
			}
		}
	}
	a := send(v, "PUT", "kv/a", `{"x":"`+strings.Repeat("a", 2<<20)+`"}`) // fits the wire, not an entry
	if a.Status != 413 || !strings.Contains(a.Body, "over the limit") {
		t.Errorf("2 MiB in one secret: %d %.200s", a.Status, a.Body)
	}
	wantStatus(t, send(v, "GET", "kv/a", ""), 404)
	if server.MaxBody != 32<<20 {
		t.Error("the limit is not Vault's")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// Issue 2, bad input; §6 class of CVE-2026-3605: no path is read differently
// by policy and by storage.
func TestBadPaths(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/a/b", `{"x":"secret"}`), 204)
	for _, c := range []struct {
		path   string
		status int
		text   string
	}{
		{"kv/a/../a/b", 400, "relative paths not supported"},
		{"kv/./a/b", 400, "relative paths not supported"},
		{"kv/%2e%2e/kv/a/b", 400, "relative paths not supported"},
		{"kv/a/%2E%2E", 400, "relative paths not supported"},
		{"kv/a/..", 400, "relative paths not supported"},
		{"..%2f..%2fkv/a/b", 400, "relative paths not supported"},
		{"kv/a%2fb", 200, "secret"}, // an encoded slash is a slash, for policy and storage alike
		{"kv/a%252fb", 400, "%2f"},
		{"", 400, "the path is empty"},
		{"kv//a/b", 400, "empty segment"},
		{"/kv/a/b", 400, "empty segment"},
		{"%2fkv/a/b", 400, "empty segment"},
		{"", 400, "empty"},
		{"kv/a%00b", 400, "control character"},
		{"kv/a%0ab", 400, "control character"},
		{"kv/a%7fb", 400, "control character"},
		{"kv/a%ffb", 400, "not valid UTF-8"},
		{"kv/%c0%ae%c0%ae/a", 400, "not valid UTF-8"}, // an overlong ".."
		{"kv/" + strings.Repeat("a", 1100), 400, "the limit is"},
		{"kv/" + strings.Repeat("a/", 600), 400, "the limit is"},
		{"kv/" + strings.Repeat("é", 300), 400, "over the limit"},
		{"kv/a%e2%80%8bb", 400, "printable"}, // a zero-width space
		{"kv/a/b/", 400, "slash"},
		{"kv/...", 404, "errors"},
		{"kv/a;x=1", 404, "errors"},
	} {
		a := send(v, "GET", c.path, "")
		if a.Status != c.status || !strings.Contains(a.Body, c.text) {
			t.Errorf("%.60q: %d %.200s; want %d and %q", c.path, a.Status, a.Body, c.status, c.text)
		}
	}
	for _, method := range []string{"PUT", "POST"} {
		wantErrors(t, send(v, method, "kv/folder/", `{"x":"1"}`), 400, "cannot write to a path ending in '/'")
	}
	wantErrors(t, send(v, "PATCH", "secret/data/f/", `{}`, "Content-Type", "application/merge-patch+json"), 400, "cannot write to a path ending in '/'")
	wantStatus(t, send(v, "GET", "kv/a?x=%zz", ""), 400)
}

// §2.1: what is said where nothing is.
func TestUnrouted(t *testing.T) {
	v := start(t)
	wantErrors(t, send(v, "GET", "x/y", ""), 404, `no handler for route "x/y". route entry not found.`)
	wantErrors(t, send(v, "GET", "sys/none", ""), 404, textUnsupported)
	wantErrors(t, send(v, "DELETE", "auth/token/create", ""), 405, textOperation)
	wantErrors(t, send(v, "GET", "sys/seal", ""), 405, textOperation)
	wantErrors(t, send(v, "LIST", "sys/seal", ""), 404, textUnsupported) // the folder sys/seal/, which is not there
	for _, path := range []string{"/", "/v1", "/v2/sys/health", "/ui/", "/v1x/sys/health"} {
		res, err := plain(v).Get(v.Server.URL() + path)
		check(t, err)
		body, err := io.ReadAll(res.Body)
		check(t, err)
		_ = res.Body.Close()
		if res.StatusCode != 404 || !strings.HasPrefix(string(body), `{"errors":["no handler for`) {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
}

// A client that closes its sending side still reads: it must not take silence
// for a 200.
func TestHalfClosedClientGetsAnAnswer(t *testing.T) {
	v := testenv.Start(t, nil)
	conn := dial(t, v)
	_, err := io.WriteString(conn, "GET /v1/x/y HTTP/1.1\r\nHost: vault\r\nX-Vault-Token: "+v.Root+"\r\nConnection: close\r\n\r\n")
	check(t, err)
	check(t, conn.CloseWrite())
	answer, err := io.ReadAll(conn)
	check(t, err)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 404 ") && !strings.HasPrefix(string(answer), "HTTP/1.1 503 ") {
		t.Errorf("answer: %s", answer)
	}
}

// §2.1: retries, redirects and codes as the official client takes them.
func TestClientSeesErrors(t *testing.T) {
	v := start(t)
	_, err := v.Logical().Read("x/y")
	if err != nil { // 404 is no error to Read
		t.Errorf("reading where nothing is: %v", err)
	}
	_, err = v.Logical().Write("x/y", map[string]any{"a": 1})
	wantFailure(t, err, 404, "no handler for route")
	_, err = v.NewClient("hvs.unknown").Logical().Read("kv/a")
	wantFailure(t, err, 403, textBadToken)
	ns := v.NewClient(v.Root)
	ns.SetNamespace("team")
	_, err = ns.Logical().Write("kv/a", map[string]any{"a": 1})
	wantFailure(t, err, 404, "There is no namespace")
	req := v.NewRequest(http.MethodGet, "/v1/kv/none")
	req.Params = url.Values{"list": {"true"}}
	res, err := v.RawRequestWithContext(t.Context(), req)
	if res == nil || res.StatusCode != 404 || err == nil {
		t.Errorf("raw request: %v, %v", res, err)
	}
}
