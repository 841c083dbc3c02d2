package webhook

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall"
)

const canary = "canary-token"

// server answers to who knows the token, with what was sent.
func server(t *testing.T) (s *httptest.Server, down *bool) {
	down = new(bool)
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case *down:
			w.WriteHeader(http.StatusBadGateway)
		case r.Header.Get("Authorization") != "Bearer "+canary:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "not "+r.Header.Get("Authorization"))
		case r.URL.Path == "/garbage":
			_, _ = io.WriteString(w, "<html>"+canary)
		case r.URL.Path == "/away":
			http.Redirect(w, r, "/", http.StatusFound)
		case r.URL.Path == "/huge":
			_, _ = w.Write(make([]byte, outbound.MaxAnswer+1))
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{
				"result": map[string]any{"method": r.Method, "query": r.URL.RawQuery, "body": string(body), "n": 7},
				"text":   `{"a":"b"}`, "list": []any{map[string]any{"x": "y"}}, "none": map[string]any{},
			})
		}
	}))
	t.Cleanup(s.Close)
	return s, down
}

var objects = generatortest.Cluster{
	"Secret/login": {"label": "webhook", "token": canary, "odd": "a&b=c/d"},
	"Secret/other": {"token": canary},
}

func spec(s *httptest.Server, change map[string]any) string {
	m := map[string]any{
		"url": s.URL + "/?q={{ .login.odd }}", "method": "POST", "body": `{"odd":"{{ .login.odd }}"}`, "result": map[string]string{"jsonPath": "$.result"},
		"headers":  map[string]string{"Authorization": "Bearer {{ .login.token }}"},
		"secrets":  []any{map[string]any{"name": "login", "secretRef": map[string]string{"name": "login"}}},
		"caBundle": base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
	}
	for name, value := range change {
		m[name] = value
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestSuite(t *testing.T) {
	s, down := server(t)
	generatortest.Run(t, generatortest.Subject{
		Kind: Kind{Loopback: true}, Spec: spec(s, nil), Cluster: objects, Same: true,
		Keys: []string{"method", "query", "body", "n"}, Hidden: []string{canary},
		Break: func() func() { *down = true; return func() { *down = false } },
	})
}

// What a template puts into the URL is escaped, and into the body it is not.
func TestTemplates(t *testing.T) {
	s, _ := server(t)
	made, err := Kind{Loopback: true}.Generate(t.Context(), generatortest.Config(objects, spec(s, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"method": "POST", "query": "q=a%26b%3Dc%2Fd", "body": `{"odd":"a&b=c/d"}`, "n": "7"} {
		if got := made.Data[key].RevealString(); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	s, _ := server(t)
	path := func(p string) map[string]any { return map[string]any{"result": map[string]string{"jsonPath": p}} }
	for name, c := range map[string]struct {
		change map[string]any
		kind   errs.Kind
		words  string
	}{
		"metadata":         {map[string]any{"url": "https://169.254.169.254/"}, errs.Denied, "own machine or network"},
		"private":          {map[string]any{"url": "https://10.0.0.1/"}, errs.Denied, "--private-networks"},
		"plain":            {map[string]any{"url": "http://example.com/"}, errs.Invalid, "https"},
		"host of a Secret": {map[string]any{"url": "http://{{ .login.token }}/"}, errs.Invalid, "spec.url"},
		"method":           {map[string]any{"method": "TRACE"}, errs.Invalid, "spec.method"},
		"ntlm":             {map[string]any{"auth": map[string]any{"ntlm": map[string]any{"usernameSecret": map[string]any{}, "passwordSecret": map[string]any{}}}}, errs.Invalid, "spec.auth.ntlm"},
		"no label":         {map[string]any{"secrets": []any{map[string]any{"name": "login", "secretRef": map[string]string{"name": "other"}}}}, errs.Denied, "label"},
		"other namespace":  {map[string]any{"secrets": []any{map[string]any{"name": "login", "secretRef": map[string]string{"name": "login", "namespace": "x"}}}}, errs.Invalid, "namespace"},
		"template":         {map[string]any{"body": "{{ .absent.key }}"}, errs.Invalid, "spec.body"},
		"header":           {map[string]any{"headers": map[string]string{"A b": "c"}}, errs.Invalid, "spec.headers"},
		"header's value":   {map[string]any{"headers": map[string]string{"A": "b\r\nC: d"}}, errs.Invalid, "spec.headers"},
		"not logged in":    {map[string]any{"headers": map[string]string{}}, errs.Denied, "401"},
		"garbage":          {map[string]any{"url": s.URL + "/garbage"}, errs.Invalid, "no JSON"},
		"redirect":         {map[string]any{"url": s.URL + "/away"}, errs.Invalid, "redirects"},
		"huge":             {map[string]any{"url": s.URL + "/huge"}, errs.TooLarge, "above"},
		"no authority":     {map[string]any{"caBundle": nil}, errs.Unavailable, "authorities"},
		"timeout":          {map[string]any{"timeout": "10m"}, errs.Invalid, "spec.timeout"},
		"no such part":     {path("$.absent"), errs.Invalid, "jsonPath"},
		"several parts":    {path("$.result.*"), errs.Invalid, "exactly one"},
		"no object":        {path("$.result.n"), errs.Invalid, "JSON object"},
		"no keys":          {path("$.none"), errs.Invalid, "keys"},
		"no path":          {path("$.result["), errs.Invalid, "spec.result.jsonPath"},
		"quadratic":        {path("$..*..*..*"), errs.Invalid, "spec.result.jsonPath"},
	} {
		_, err := Kind{Loopback: name != "private"}.Generate(t.Context(), generatortest.Config(objects, spec(s, c.change)))
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v (%v), want %v with %q", name, err, errs.KindOf(err), c.kind, c.words)
		}
	}
}

func TestPaths(t *testing.T) {
	const answer = `{"result":{"a":"1"},"text":"{\\"b\\":\\"2\\"}","list":[{"c":"3"}],"odd-key":{"d":"4"}}`
	for p, key := range map[string]string{
		"$.result": "a", ".result": "a", "$.text": "b", "$.list[0]": "c", "$['odd-key']": "d", "": "result", "$": "result",
	} {
		parsed, err := webhookcall.ParsePath(field, p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		got, err := values(parsed, []byte(strings.ReplaceAll(answer, `\\`, `\`)))
		if err != nil || got[key].Empty() {
			t.Errorf("%s: %v %v", p, got, err)
		}
	}
}

// Whatever the expression and the answer: no panic, and no word of the answer is told.
func FuzzResult(f *testing.F) {
	f.Add("$.a", `{"a":{"b":"canary-token"}}`)
	f.Add("$..a[?(@.b=='c')]", `{"a":[{"b":"c"}]}`)
	f.Add("$[-1:]", `[1,2,{"x":"canary-token"}]`)
	f.Fuzz(func(t *testing.T, expression, answer string) {
		p, err := webhookcall.ParsePath(field, expression)
		if err == nil {
			_, err = values(p, []byte(answer))
		}
		if err != nil && (!errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), canary)) {
			t.Error(err)
		}
	})
}
