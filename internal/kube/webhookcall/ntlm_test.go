package webhookcall_test

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall/ntlmtest"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

const canary = "canary-p\u00e4ssword"

var cluster = generatortest.Cluster{
	"Secret/login":   {"label": "webhook", "user": `SHOP\Reader`, "password": canary, "empty": "", "colon": "a:b"},
	"Secret/wrong":   {"label": "webhook", "password": canary + "-wrong"},
	"Secret/private": {"user": `SHOP\Reader`, "password": canary},
}

func sel(name, key string) v1.SecretKeySelector { return v1.SecretKeySelector{Name: name, Key: key} }

// open opens an endpoint at s, with a login by NTLM.
func open(t *testing.T, s *httptest.Server, change func(*webhookcall.Spec)) (*webhookcall.Endpoint, error) {
	t.Helper()
	spec := webhookcall.Spec{
		Field: "spec.", URL: s.URL + "/{{ .of.key }}", Body: "{{ .of.value }}", Auth: &webhookcall.Auth{NTLM: &webhookcall.NTLM{Username: sel("login", "user"), Password: sel("login", "password")}},
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
	}
	if change != nil {
		change(&spec)
	}
	cfg := generatortest.Config(cluster, "{}")
	e, err := webhookcall.Open(t.Context(), spec, webhookcall.Reach{Loopback: true, Idle: 4}, provider.Config{Scope: cfg.Scope, Cluster: cfg.Cluster, Clock: cfg.Clock})
	if err == nil {
		t.Cleanup(e.Close)
	}
	return e, err
}

func ask(ctx context.Context, e *webhookcall.Endpoint, key string) (string, error) {
	answer, err := e.Do(ctx, webhookcall.Request{Method: http.MethodPost, Group: "of", Values: map[string]string{"key": key, "value": strings.Repeat(key, 1000)}})
	return string(answer), err
}

// echo answers with what was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = io.WriteString(w, r.URL.Path+" "+string(body))
}

// Requests at the same time log in, each over a connection of its own; the body comes
// with the request that is let in, and the password never does.
func TestNTLM(t *testing.T) {
	s := ntlmtest.New(t, http.HandlerFunc(echo))
	s.User(`SHOP\Reader`, canary)
	e, err := open(t, s.Server, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			key := "k" + strconv.Itoa(i)
			if got, err := ask(t.Context(), e, key); err != nil || got != "/"+key+" "+strings.Repeat(key, 1000) {
				t.Errorf("%s: %.40q, %v", key, got, err)
			}
		})
	}
	all.Wait()
	seen := s.Seen()
	slices.Sort(seen)
	if got := slices.Compact(slices.Clone(seen)); !slices.Equal(got, []string{"", "NTLM 1", "NTLM 3"}) || len(seen) != 60 {
		t.Errorf("%d requests log in by %q, want 20 by each of none, NTLM's first message and its third", len(seen), got)
	}
}

func TestNTLMRefused(t *testing.T) {
	s := ntlmtest.New(t, http.HandlerFunc(echo))
	s.User(`SHOP\Reader`, canary)
	basic := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a server that asks for Basic is given something")
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="canary"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(basic.Close)
	garbage := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "NTLM Y2FuYXJ5")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(garbage.Close)
	ntlm := func(user, password v1.SecretKeySelector) func(*webhookcall.Spec) {
		return func(spec *webhookcall.Spec) { spec.Auth.NTLM = &webhookcall.NTLM{Username: user, Password: password} }
	}
	other := "other"
	for name, c := range map[string]struct {
		server *httptest.Server
		change func(*webhookcall.Spec)
		kind   errs.Kind
		words  string
	}{
		"wrong password":     {s.Server, ntlm(sel("login", "user"), sel("wrong", "password")), errs.Denied, "check the user and the password"},
		"asks for Basic":     {basic, nil, errs.Denied, "does not ask for NTLM"},
		"garbage":            {garbage, nil, errs.Denied, "401"},
		"no label":           {s.Server, ntlm(sel("private", "user"), sel("private", "password")), errs.Denied, "label"},
		"no key":             {s.Server, ntlm(sel("login", "user"), sel("login", "none")), errs.Unavailable, `no key "none"`},
		"empty":              {s.Server, ntlm(sel("login", "user"), sel("login", "empty")), errs.Unavailable, `no key "empty"`},
		"a user in two":      {s.Server, ntlm(sel("login", "colon"), sel("login", "password")), errs.Invalid, "colon"},
		"half of it":         {s.Server, ntlm(sel("login", "user"), v1.SecretKeySelector{}), errs.Invalid, "passwordSecret"},
		"none":               {s.Server, func(spec *webhookcall.Spec) { spec.Auth = &webhookcall.Auth{} }, errs.Invalid, "auth.ntlm is missing"},
		"another namespace":  {s.Server, ntlm(v1.SecretKeySelector{Name: "login", Key: "user", Namespace: &other}, sel("login", "password")), errs.Invalid, "namespace"},
		"a header as well":   {s.Server, func(spec *webhookcall.Spec) { spec.Headers = map[string]string{"authorization": "x"} }, errs.Invalid, "keep one"},
		"not at a forbidden": {s.Server, func(spec *webhookcall.Spec) { spec.URL = "https://169.254.169.254/" }, errs.Denied, "own machine or network"},
	} {
		e, err := open(t, c.server, c.change)
		if err == nil {
			_, err = ask(t.Context(), e, "k")
		}
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (%v), want %v with %q", name, err, errs.KindOf(err), c.kind, c.words)
		}
	}
}

// A connection that breaks amid a login is no refusal.
func TestNTLMBroken(t *testing.T) {
	s := ntlmtest.New(t, http.HandlerFunc(echo))
	s.User(`SHOP\Reader`, canary)
	s.Cut()
	e, err := open(t, s.Server, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), e, "k"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v (%v)", err, errs.KindOf(err))
	}
}
