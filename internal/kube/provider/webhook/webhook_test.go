package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = providertest.Canary

// server keeps secrets for who knows the token, and says 409 to writes of what
// somebody else wrote.
type server struct {
	*httptest.Server

	mu       sync.Mutex
	secrets  map[string]secret
	versions map[string]int
	fault    func(http.ResponseWriter) bool
	last     *http.Request
	body     string
}

type secret struct {
	text string
	ours bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{secrets: map[string]secret{}, versions: map[string]int{}}
	s.Server = httptest.NewTLSServer(s)
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.body = r, string(body)
	q := r.URL.Query()
	key, property := q.Get("key"), q.Get("property")
	have, there := s.secrets[key]
	switch {
	case s.fault != nil && s.fault(w):
	case r.Header.Get("Authorization") != "Bearer "+canary+"-token":
		http.Error(w, "not "+r.Header.Get("Authorization"), http.StatusUnauthorized)
	case r.URL.Path != "/secrets":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet && (!there || q.Get("version") != ""):
		http.Error(w, "no "+canary, http.StatusNotFound)
	case r.Method == http.MethodGet:
		answer := have.text
		if property != "" {
			part, err := provider.Value{Data: redact.FromString(have.text)}.Property(property)
			if err != nil {
				http.Error(w, "no part", http.StatusNotFound)
				return
			}
			answer = part.RevealString()
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"value": answer})
	case there && !have.ours && r.Method == http.MethodPost:
		http.Error(w, "whose is "+string(body), http.StatusConflict)
	case r.Method == http.MethodPost:
		s.write(key, property, redact.New(body))
	case r.Method == http.MethodDelete && there && have.ours:
		s.remove(key, property)
	}
}

func (s *server) write(key, property string, value redact.Secret) {
	if property != "" {
		value, _ = push.With(redact.FromString(s.secrets[key].text), property, value)
	}
	if s.secrets[key].text != value.RevealString() {
		s.versions[key]++
	}
	s.secrets[key] = secret{value.RevealString(), true}
}

func (s *server) remove(key, property string) {
	left := redact.Secret{}
	if property != "" {
		left, _ = push.Without(redact.FromString(s.secrets[key].text), property)
	}
	switch {
	case left.Empty():
		delete(s.secrets, key)
		s.versions[key]++
	case left.RevealString() != s.secrets[key].text:
		s.write(key, "", left)
	}
}

func (s *server) change(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

// asked returns the last request and its body.
func (s *server) asked() (*http.Request, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.body
}

func (s *server) set(fault func(http.ResponseWriter)) (heal func()) {
	s.change(func() { s.fault = func(w http.ResponseWriter) bool { fault(w); return true } })
	return func() { s.change(func() { s.fault = nil }) }
}

func (s *server) status(code int) func() func() {
	return func() func() { return s.set(func(w http.ResponseWriter) { http.Error(w, "it says "+canary, code) }) }
}

var objects = generatortest.Cluster{
	"Secret/login": {"label": "webhook", "token": canary + "-token", "odd": "a&b=c/d"},
	"Secret/other": {"token": canary},
}

func (s *server) bundle() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// settings are for both reading and writing, with changes.
func (s *server) settings(change map[string]any) map[string]any {
	m := map[string]any{
		"url":      s.URL + "/secrets?key={{ .remoteRef.key }}{{ .remoteRef.remoteKey }}&version={{ .remoteRef.version }}&property={{ .remoteRef.property }}",
		"headers":  map[string]string{"Authorization": "Bearer {{ .login.token }}"},
		"result":   map[string]string{"jsonPath": "$.value"},
		"secrets":  []any{map[string]any{"name": "login", "secretRef": map[string]string{"name": "login"}}},
		"caBundle": base64.StdEncoding.EncodeToString(s.bundle()),
	}
	for name, value := range change {
		m[name] = value
	}
	return m
}

func (s *server) harness() providertest.Harness {
	for _, p := range providertest.Planted() {
		s.change(func() { s.secrets[p.Key] = secret{text: p.Value} })
	}
	return providertest.Harness{Provider: Provider{Loopback: true}, Settings: s.settings(nil), Cluster: objects}
}

func TestConformance(t *testing.T) { providertest.Run(t, newServer(t).harness()) }

// There is no login that could end: a header is what a Secret says.
func TestFaults(t *testing.T) {
	s := newServer(t)
	providertest.RunFaults(t, s.harness(), providertest.Faults{
		Garbage:  func(body string) func() { return s.set(func(w http.ResponseWriter) { _, _ = io.WriteString(w, body) }) },
		Bodies:   []string{`{"value":null}`, `{"value":[]}`, `{"value":[[]]}`, `{"other":"` + canary + `"}`, `{"value":"` + canary + `"} and more`},
		Throttle: s.status(http.StatusTooManyRequests), Outage: s.status(http.StatusBadGateway), Refuse: s.status(http.StatusForbidden),
	})
}

// What is written on condition is the endpoint's to say.
func TestWriter(t *testing.T) {
	s := newServer(t)
	providertest.RunWriter(t, s.harness(), providertest.Writing{
		Versions: func(key string) int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.versions[key]
		},
		Put: func(key, value string) {
			s.change(func() { s.secrets[key] = secret{value, s.secrets[key].ours}; s.versions[key]++ })
		},
		Outage: s.status(http.StatusServiceUnavailable), Lossy: true,
	})
}

func open(t *testing.T, p Provider, object v1.Store, settings map[string]any) (*store, error) {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	st, err := p.Open(t.Context(), provider.Config{
		Scope: provider.ScopeOf(object), Settings: raw, Cluster: objects, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = st.Close(context.WithoutCancel(t.Context())) })
	return st.(*store), nil
}

var team = &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "store"}}

func mustOpen(t *testing.T, settings map[string]any) *store {
	t.Helper()
	st, err := open(t, Provider{Loopback: true}, team, settings)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// facts §2.2: what templates may use of what is asked for, escaped in the URL alone.
func TestTemplates(t *testing.T) {
	s := newServer(t)
	defer s.set(func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"a b":{"x":"1"},"y":[{"n":7}]}`) })()
	st := mustOpen(t, s.settings(map[string]any{
		"url":    s.URL + "/{{ .remoteRef.namespace }}/{{ .remoteRef.key }}?v={{ .remoteRef.version }}&p={{ .remoteRef.property }}&odd={{ .login.odd }}",
		"method": "post", "body": `{"k":{{ .remoteRef.key | toJson }},"odd":"{{ .login.odd }}"}`, "headers": map[string]string{"Content-Type": "application/json", "X-Key": "{{ .remoteRef.key }}"},
		"result": map[string]string{"jsonPath": `$["a b"].{{ .remoteRef.property }}`},
	}))
	v, err := st.Read(t.Context(), provider.Request{Key: `q"/?&k`, Version: "v 1", Property: "x"})
	if err != nil || !v.Picked || v.Data.RevealString() != "1" {
		t.Fatalf("%q, %v", v.Data.Reveal(), err)
	}
	if got, err := v.Property("x"); err != nil || got.RevealString() != "1" {
		t.Errorf("the part that was picked: %q, %v", got.Reveal(), err)
	}
	r, body := s.asked()
	if want := "/team/q%22%2F%3F%26k?v=v+1&p=x&odd=a%26b%3Dc%2Fd"; r.RequestURI != want || r.Method != http.MethodPost {
		t.Errorf("%s %s, want %s", r.Method, r.RequestURI, want)
	}
	if want := `{"k":"q\"/?\u0026k","odd":"a&b=c/d"}`; body != want || r.Header.Get("X-Key") != `q"/?&k` {
		t.Errorf("body %s, header %q", body, r.Header.Get("X-Key"))
	}
}

// What is picked of an answer.
func TestResults(t *testing.T) {
	s := newServer(t)
	for path, want := range map[string]string{
		"$.text": "t", "$.number": "1234567890123456789", "$.float": "1.5", "$.yes": "true", "$.object": `{"a":1}`, "$.list": "first", "$.list[1]": "second",
		"$.nested": "deep", "$.items[?(@.n=='b')].v": "2", "$.items[*].v": "1", "$['text']": "t", `$["text"]`: "t", "$['a.b c']['d-e']": "f", ".text": "t", "": "whole", "$": "whole",
	} {
		answer := `{"text":"t","number":1234567890123456789,"float":1.5,"yes":true,"object":{"a":1},"list":["first","second"],"nested":[["deep"]],"items":[{"n":"a","v":"1"},{"n":"b","v":"2"}],"a.b c":{"d-e":"f"}}`
		heal := s.set(func(w http.ResponseWriter) { _, _ = io.WriteString(w, answer) })
		if want == "whole" {
			want = answer
		}
		v, err := mustOpen(t, s.settings(map[string]any{"result": map[string]string{"jsonPath": path}})).Read(t.Context(), provider.Request{Key: "k"})
		if err != nil || v.Data.RevealString() != want {
			t.Errorf("%s: %q, %v", path, v.Data.Reveal(), err)
		}
		heal()
	}
}

// Where no template uses the property it is taken out of the answer.
func TestPropertyOfAnswer(t *testing.T) {
	s := newServer(t)
	s.change(func() { s.secrets["db"] = secret{text: `{"a":{"b":"` + canary + `"}}`} })
	st := mustOpen(t, s.settings(map[string]any{"url": s.URL + "/secrets?key={{ .remoteRef.key }}"}))
	v, err := st.Read(t.Context(), provider.Request{Key: "db", Property: "a.b"})
	if err != nil || st.Picks() || v.Picked {
		t.Fatal(v.Picked, err)
	}
	if got, err := v.Property("a.b"); err != nil || got.RevealString() != canary {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}

func TestRefusals(t *testing.T) {
	s := newServer(t)
	url := func(u string) map[string]any { return map[string]any{"url": u} }
	for name, c := range map[string]struct {
		change map[string]any
		kind   errs.Kind
		words  string
	}{
		"metadata":         {url("https://169.254.169.254/"), errs.Denied, "own machine or network"},
		"private":          {url("https://10.0.0.1/"), errs.Denied, "--private-networks"},
		"plain":            {url("http://example.com/"), errs.Invalid, "https"},
		"no url":           {url(""), errs.Invalid, "url is missing"},
		"a chosen host":    {url("https://{{ .remoteRef.key }}.example.com/"), errs.Invalid, "host depends on remoteRef"},
		"a way up":         {url(s.URL + "/a/{{ .remoteRef.key }}/b"), errs.Invalid, `".."`},
		"ntlm":             {map[string]any{"auth": map[string]any{"ntlm": map[string]any{}}}, errs.Invalid, "spec.provider.webhook.auth.ntlm"},
		"method":           {map[string]any{"method": "TRACE"}, errs.Invalid, "method"},
		"no label":         {map[string]any{"secrets": []any{map[string]any{"name": "login", "secretRef": map[string]string{"name": "other"}}}}, errs.Denied, "label"},
		"a taken name":     {map[string]any{"secrets": []any{map[string]any{"name": "remoteRef", "secretRef": map[string]string{"name": "login"}}}}, errs.Invalid, "choose another"},
		"other namespace":  {map[string]any{"secrets": []any{map[string]any{"name": "login", "secretRef": map[string]string{"name": "login", "namespace": "x"}}}}, errs.Invalid, "namespace"},
		"other's CA":       {map[string]any{"caBundle": nil, "caProvider": map[string]string{"type": "Secret", "name": "login", "namespace": "x"}}, errs.Invalid, "namespace"},
		"two authorities":  {map[string]any{"caProvider": map[string]string{"type": "Secret", "name": "login"}}, errs.Invalid, "keep one"},
		"template":         {map[string]any{"body": "{{ .absent.key }}"}, errs.Invalid, "body"},
		"no such variable": {map[string]any{"body": "{{ .remoteRef.absent }}"}, errs.Invalid, "body"},
		"no JSON to send":  {map[string]any{"method": "POST", "body": `{"a":"{{ .login.odd }}}`, "headers": map[string]string{"Content-Type": "application/vnd.x+json"}}, errs.Invalid, "toJson"},
		"header":           {map[string]any{"headers": map[string]string{"A": "b\r\nC: d"}}, errs.Invalid, "headers"},
		"not logged in":    {map[string]any{"headers": map[string]string{}}, errs.Denied, "401"},
		"a proxy's 404":    {url(s.URL + "/elsewhere/{{ .remoteRef.version }}"), errs.Invalid, "page for people"},
		"no authority":     {map[string]any{"caBundle": nil}, errs.Unavailable, "authorities"},
		"timeout":          {map[string]any{"timeout": "10m"}, errs.Invalid, "timeout"},
		"no path":          {map[string]any{"result": map[string]string{"jsonPath": "$.result["}}, errs.Invalid, "result.jsonPath"},
		"quadratic":        {map[string]any{"result": map[string]string{"jsonPath": "$..*..*..*"}}, errs.Invalid, "result.jsonPath"},
		"for writing only": {url(s.URL + "/{{ .remoteRef.remoteKey }}"), errs.Unsupported, "for writing"},
	} {
		st, err := open(t, Provider{Loopback: name != "private"}, team, s.settings(c.change))
		if err == nil {
			_, err = st.Read(t.Context(), provider.Request{Key: ".."})
		}
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v (%v), want %v with %q", name, err, errs.KindOf(err), c.kind, c.words)
		}
	}
}

// Bounds, and redirects, which would send the headers elsewhere.
func TestAnswers(t *testing.T) {
	s, elsewhere := newServer(t), newServer(t)
	st := mustOpen(t, s.settings(map[string]any{"result": map[string]string{}}))
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		kind   errs.Kind
	}{
		"too long":    {func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, maxAnswer+1)) }, errs.TooLarge},
		"nothing":     {func(http.ResponseWriter) {}, errs.Unavailable},
		"a redirect":  {func(w http.ResponseWriter) { w.Header().Set("Location", elsewhere.URL); w.WriteHeader(307) }, errs.Invalid},
		"not changed": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) }, errs.Invalid},
		"gone":        {func(w http.ResponseWriter) { http.Error(w, canary, 404) }, errs.NotExist},
		"cut short":   {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "100"); _, _ = w.Write([]byte(canary)) }, errs.Unavailable},
		"bad request": {func(w http.ResponseWriter) { http.Error(w, canary, 400) }, errs.Invalid},
	} {
		heal := s.set(c.answer)
		_, err := st.Read(t.Context(), provider.Request{Key: "k"})
		heal()
		if !errs.Is(err, c.kind) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v (%v), want %v", name, err, errs.KindOf(err), c.kind)
		}
	}
	if r, _ := elsewhere.asked(); r != nil {
		t.Error("a redirect was followed")
	}
	heal := s.set(func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, maxAnswer)) })
	if v, err := st.Read(t.Context(), provider.Request{Key: "k"}); err != nil || v.Data.Len() != maxAnswer {
		t.Errorf("as long as may be: %d bytes, %v", v.Data.Len(), err)
	}
	heal()
}

func TestCheck(t *testing.T) {
	s := newServer(t)
	if err := mustOpen(t, s.settings(nil)).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if r, _ := s.asked(); r != nil {
		t.Error("a check asked for something")
	}
	if err := mustOpen(t, s.settings(map[string]any{"caBundle": nil})).Check(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("an unknown authority: %v", err)
	}
	if err := mustOpen(t, s.settings(map[string]any{"url": "https://169.254.169.254/"})).Check(t.Context()); !errs.Is(err, errs.Denied) {
		t.Errorf("the metadata of a cloud: %v", err)
	}
	s.Close()
	if err := mustOpen(t, s.settings(nil)).Check(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

// A ClusterSecretStore's answers are shared, so none is for one namespace.
func TestClusterStore(t *testing.T) {
	s := newServer(t)
	object := &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	st, err := open(t, Provider{Loopback: true}, object, s.settings(map[string]any{"secrets": nil, "headers": nil, "url": s.URL + "/{{ .remoteRef.namespace }}"}))
	if err == nil {
		_, err = st.Read(t.Context(), provider.Request{Key: "k"})
	}
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "url") {
		t.Error(err)
	}
}

// What a push sends: the value in the body and in headers, never in the URL.
func TestWriteRequests(t *testing.T) {
	s := newServer(t)
	defer s.set(func(http.ResponseWriter) {})()
	write := func(change map[string]any, key, property string) error {
		return mustOpen(t, s.settings(change)).Write(t.Context(), provider.Write{
			Place: provider.Place{Key: key, Property: property}, Value: redact.FromString(canary + `"`), Source: provider.Source{Key: "from"},
		})
	}
	in := map[string]any{
		"url":  s.URL + "/push?id={{ .remoteRef.remoteKey }}&secret={{ .remoteRef.secretKey }}",
		"body": `{"field": {{ index .remoteRef .remoteRef.remoteKey | toJson }}}`, "headers": map[string]string{"Content-Type": "application/json"},
	}
	if err := write(in, "a/b", ""); err != nil {
		t.Fatal(err)
	}
	r, body := s.asked()
	if r.Method != http.MethodPost || r.RequestURI != "/push?id=a%2Fb&secret=from" || body != `{"field": "`+canary+`\""}` {
		t.Errorf("%s %s %s", r.Method, r.RequestURI, body)
	}
	if err := write(map[string]any{"url": s.URL + "/{{ .remoteRef.remoteKey }}?v={{ index .remoteRef .remoteRef.remoteKey }}"}, "k", ""); err != nil {
		t.Fatal(err)
	}
	if r, body := s.asked(); r.RequestURI != "/k?v=" || body != canary+`"` {
		t.Errorf("%s %s: a value is for bodies and headers", r.RequestURI, body)
	}
	in["method"] = "PUT"
	if err := write(in, "a", ""); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.asked(); r.Method != http.MethodPut {
		t.Error(r.Method)
	}
	if err := mustOpen(t, s.settings(in)).Delete(t.Context(), provider.Place{Key: "a"}); err != nil {
		t.Error(err)
	}
	if r, body := s.asked(); r.Method != http.MethodDelete || body != "" || r.RequestURI != "/push?id=a&secret=" {
		t.Errorf("%s %s %q", r.Method, r.RequestURI, body)
	}
	for name, c := range map[string]struct {
		change        map[string]any
		key, property string
		kind          errs.Kind
		words         string
	}{
		"a name that templates know":  {in, "property", "", errs.Invalid, "choose another"},
		"a part, of which none hears": {in, "k", "p", errs.Unsupported, ".remoteRef.property"},
		"for reading only":            {map[string]any{"url": s.URL + "/{{ .remoteRef.key }}"}, "k", "", errs.Unsupported, "for reading"},
		"JSON that breaks":            {map[string]any{"url": in["url"], "body": `{"f":"{{ index .remoteRef .remoteRef.remoteKey }}"}`, "headers": in["headers"]}, "k", "", errs.Invalid, "toJson"},
	} {
		if err := write(c.change, c.key, c.property); !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v (%v)", name, err, errs.KindOf(err))
		}
	}
	if err := mustOpen(t, s.settings(in)).Delete(t.Context(), provider.Place{Key: "k", Property: "p"}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("deleting a part by what deletes all: %v", err)
	}
	for status, kind := range map[int]errs.Kind{404: errs.Invalid, 409: errs.Conflict, 412: errs.Conflict, 413: errs.TooLarge, 403: errs.Denied, 429: errs.Exhausted, 500: errs.Unavailable} {
		heal := s.status(status)()
		if err := write(in, "k", ""); !errs.Is(err, kind) || strings.Contains(fmt.Sprint(err), canary) {
			t.Errorf("%d: %v (%v)", status, err, errs.KindOf(err))
		}
		heal()
	}
}

// Whatever the expression and the answer: no panic, no word of the answer is told, and
// nothing of it looks like a deletion.
func FuzzPick(f *testing.F) {
	f.Add("$.a", `{"a":{"b":"`+canary+`"}}`)
	f.Add("$..a[?(@.b=='c')]", `{"a":[{"b":"c"}]}`)
	f.Add("$[-1:]", `[1,2,{"x":"`+canary+`"}]`)
	f.Add("", canary)
	f.Fuzz(func(t *testing.T, expression, answer string) {
		path, err := webhookcall.ParsePath("jsonPath", expression)
		if err == nil {
			_, err = pick(path, []byte(answer))
		}
		if err != nil && (!errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), canary)) {
			t.Error(err)
		}
	})
}
