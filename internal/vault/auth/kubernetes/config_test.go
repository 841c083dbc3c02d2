package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth/authtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

func otherCA(t *testing.T) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "other"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestConformance(t *testing.T) {
	api := newAPIServer(t)
	h := enginetest.New(t, New)
	api.now = h.Now
	jwt := api.issue(app, nil)
	config := object(map[string]any{"kubernetes_host": api.URL, "kubernetes_ca_cert": api.ca(), "token_reviewer_jwt": enginetest.Canary})
	api.accounts[enginetest.Canary] = identity{"vault", "vault", "u"}
	role := `{"bound_service_account_names":"my-app","bound_service_account_namespaces":"default","token_policies":"a"}`
	login := object(map[string]any{"role": "r", "jwt": jwt})
	factory := factoryIn(t.TempDir())
	enginetest.Run(t, enginetest.Suite{Factory: factory, Steps: []enginetest.Step{
		{Op: engine.Update, Path: "login", Body: login, Fails: errs.Invalid},
		{Op: engine.Update, Path: "config", Body: config},
		{Op: engine.Read, Path: "config"},
		{Op: engine.Update, Path: "role/r", Body: role},
		{Op: engine.Update, Path: "role/r", Body: `{"token_ttl":60,"audience":"vault"}`},
		{Op: engine.Read, Path: "role/r"},
		{Op: engine.List, Path: "role/"},
		{Op: engine.Update, Path: "login", Body: login},
		{Op: engine.Update, Path: "login", Body: `{"role":"r","jwt":"` + enginetest.Canary + `"}`, Fails: errs.Denied},
		{Op: engine.Delete, Path: "role/r"},
	}})
	authtest.Run(t, authtest.Suite{
		Factory: factory,
		Setup:   []authtest.Request{{Op: engine.Update, Path: "config", Body: config}, {Op: engine.Update, Path: "role/r", Body: role}},
		Login:   authtest.Request{Op: engine.Update, Path: "login", Body: login},
		Secrets: []string{enginetest.Canary},
		Wrong: map[string]string{
			"nothing":         `{}`,
			"no jwt":          `{"role":"r"}`,
			"no role":         object(map[string]any{"jwt": jwt}),
			"another role":    object(map[string]any{"role": "x", "jwt": jwt}),
			"another account": object(map[string]any{"role": "r", "jwt": api.issue(identity{"default", "default", "u"}, nil)}),
			"nobody's token":  object(map[string]any{"role": "r", "jwt": api.sign(map[string]any{"x": 1})}),
			"the reviewer's":  object(map[string]any{"role": "r", "jwt": enginetest.Canary}),
			"unsigned":        object(map[string]any{"role": "r", "jwt": strings.Join(strings.Split(jwt, ".")[:2], ".") + "."}),
			"token as list":   object(map[string]any{"role": "r", "jwt": []string{jwt}}),
		},
		DropRole: authtest.Request{Op: engine.Delete, Path: "role/r"},
	})
}

func TestConfig(t *testing.T) {
	w := newWorld(t)
	if res, err := w.Do(engine.Read, "config", ""); res != nil || err != nil {
		t.Errorf("before it is written: %v, %v", res, err)
	}
	w.write("config", map[string]any{"kubernetes_host": " https://10.0.0.1:6443/ ", "token_reviewer_jwt": reviewer, "issuer": "i", "disable_local_ca_jwt": "true"})
	res, err := w.Do(engine.Read, "config", "")
	const want = `{"disable_iss_validation":true,"disable_local_ca_jwt":true,"issuer":"i","kubernetes_ca_cert":"","kubernetes_host":"https://10.0.0.1:6443","pem_keys":[],"token_reviewer_jwt_set":true}`
	if err != nil || string(res.Data) != want {
		t.Errorf("%s, %v", res.Data, err)
	}
	w.write("config", map[string]any{"kubernetes_host": "https://x"})
	res, err = w.Do(engine.Read, "config", "")
	if err != nil || !strings.Contains(string(res.Data), `"token_reviewer_jwt_set":false`) {
		t.Errorf("a write replaces everything: %s, %v", res.Data, err)
	}
	for name, c := range map[string]struct {
		fields map[string]any
		text   string
	}{
		"nothing":            {map[string]any{}, "no host provided"},
		"no URL":             {map[string]any{"kubernetes_host": "canary-1"}, "kubernetes_host must"},
		"plain http":         {map[string]any{"kubernetes_host": "http://10.0.0.1"}, "must begin with https://"},
		"http to localhost?": {map[string]any{"kubernetes_host": "http://localhost.example.com"}, "must begin with https://"},
		"other scheme":       {map[string]any{"kubernetes_host": "ftp://10.0.0.1"}, "must begin with https://"},
		"credentials in URL": {map[string]any{"kubernetes_host": "https://u:canary-1@10.0.0.1"}, "must be a URL such as"},
		"query":              {map[string]any{"kubernetes_host": "https://10.0.0.1/?canary-1"}, "must be a URL such as"},
		"no certificate":     {map[string]any{"kubernetes_host": "https://x", "kubernetes_ca_cert": "canary-1"}, "kubernetes_ca_cert holds no certificate"},
		"no key":             {map[string]any{"kubernetes_host": "https://x", "pem_keys": []string{"canary-1"}}, "pem_keys: item 1 of 1"},
		"two tokens":         {map[string]any{"kubernetes_host": "https://x", "token_reviewer_jwt": "canary-1\ncanary-1"}, "token_reviewer_jwt"},
	} {
		_, err := w.Do(engine.Update, "config", object(c.fields))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.write("config", map[string]any{"kubernetes_host": "http://127.0.0.1:8001"}) // kubectl proxy
}

func TestRole(t *testing.T) {
	w := newWorld(t)
	res := w.write("role/My-App", map[string]any{"bound_service_account_names": []string{"a", "b"}, "bound_service_account_namespaces": "x,y", "policies": "p", "ttl": "1h"})
	if res == nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "audience") {
		t.Errorf("no warning about the audience: %+v", res)
	}
	if res := w.write("role/my-app", map[string]any{"audience": "vault"}); res != nil {
		t.Errorf("%+v", res)
	}
	res, err := w.Do(engine.Read, "role/my-app", "")
	const want = `{"alias_name_source":"serviceaccount_uid","audience":"vault","bound_service_account_names":["a","b"],"bound_service_account_namespace_selector":"","bound_service_account_namespaces":["x","y"],"stateless":false,` +
		`"token_bound_cidrs":[],"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,"token_policies":["p"],"token_ttl":3600,"token_type":"default"}`
	if err != nil || string(res.Data) != want {
		t.Errorf("%s, %v", res.Data, err)
	}
	w.write("role/another", map[string]any{"bound_service_account_names": "*", "bound_service_account_namespaces": "x"})
	if res, err := w.Do(engine.List, "role/", ""); err != nil || string(res.Data) != `{"keys":["another","my-app"]}` {
		t.Errorf("%s, %v", res.Data, err)
	}
	for name, c := range map[string]struct {
		body, text string
	}{
		"no names":         {`{"bound_service_account_namespaces":"x"}`, `"bound_service_account_names" can not be empty`},
		"empty name":       {`{"bound_service_account_names":["a",""],"bound_service_account_namespaces":"x"}`, `"bound_service_account_names" can not be empty`},
		"no namespaces":    {`{"bound_service_account_names":"a"}`, `"bound_service_account_namespaces" can not be empty`},
		"everybody":        {`{"bound_service_account_names":"*","bound_service_account_namespaces":"*"}`, `can not both be "*"`},
		"alias source":     {`{"bound_service_account_names":"a","bound_service_account_namespaces":"x","alias_name_source":"z"}`, `"alias_name_source" must be`},
		"root":             {`{"bound_service_account_names":"a","bound_service_account_namespaces":"x","token_policies":["a"," Root"]}`, "cannot create root tokens"},
		"selector garbage": {`{"bound_service_account_names":"a","bound_service_account_namespace_selector":"{canary-1"}`, "namespace_selector"},
		"selector for all": {`{"bound_service_account_names":"a","bound_service_account_namespace_selector":"{}"}`, "selects every namespace"},
		"ttl over max":     {`{"bound_service_account_names":"a","bound_service_account_namespaces":"x","token_ttl":2,"token_max_ttl":1}`, "token_ttl"},
	} {
		if _, err := w.Do(engine.Update, "role/bad", c.body); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Do(engine.Update, "role/a..b/", `{}`); err == nil {
		t.Error("a role's name with a slash")
	}
}

func TestSelector(t *testing.T) {
	labels := map[string]string{"team": "a", "env": "prod", "empty": ""}
	for text, want := range map[string]bool{
		`{"matchLabels":{"team":"a"}}`:                                              true,
		`{"matchLabels":{"team":"b"}}`:                                              false,
		`{"matchLabels":{"team":"a","env":"dev"}}`:                                  false,
		`{"matchLabels":{"absent":""}}`:                                             false,
		`{"matchLabels":{"empty":""}}`:                                              true,
		"matchExpressions:\n- {key: env, operator: In, values: [dev, prod]}":        true,
		"matchExpressions:\n- {key: env, operator: In, values: [dev]}":              false,
		"matchExpressions:\n- {key: absent, operator: In, values: ['']}":            false,
		"matchExpressions:\n- {key: env, operator: NotIn, values: [dev]}":           true,
		"matchExpressions:\n- {key: env, operator: NotIn, values: [prod]}":          false,
		"matchExpressions:\n- {key: absent, operator: NotIn, values: [x]}":          true,
		"matchExpressions:\n- {key: env, operator: Exists}":                         true,
		"matchExpressions:\n- {key: absent, operator: Exists}":                      false,
		"matchExpressions:\n- {key: absent, operator: DoesNotExist}":                true,
		"matchExpressions:\n- {key: env, operator: DoesNotExist}":                   false,
		"matchLabels: {team: a}\nmatchExpressions:\n- {key: env, operator: Exists}": true,
	} {
		s, err := parseSelector(text)
		if err != nil || s.matches(labels) != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	for _, bad := range []string{
		"", "{}", "[]", "null", "x", `{"matchLabels":[]}`, `{"matchLabel":{"a":"b"}}`, `{"matchExpressions":[{"key":"a","operator":"in","values":["x"]}]}`,
		`{"matchExpressions":[{"key":"a","operator":"In"}]}`, `{"matchExpressions":[{"key":"a","operator":"Exists","values":["x"]}]}`,
		`{"matchExpressions":[{"operator":"Exists"}]}`, strings.Repeat("a", 20<<10), "a: &a [*a]",
	} {
		if _, err := parseSelector(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func FuzzParseJWT(f *testing.F) {
	f.Add("")
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4IiwiYXVkIjpbInYiXSwia3ViZXJuZXRlcy5pbyI6eyJuYW1lc3BhY2UiOiJuIiwic2VydmljZWFjY291bnQiOnsibmFtZSI6ImEiLCJ1aWQiOiJ1In19fQ.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		jws, c, err := parseJWT(text)
		if err != nil {
			if !errs.Is(err, errs.Denied) || jws != nil || c != nil {
				t.Errorf("%v", err)
			}
			return
		}
		if id := c.identity(); id.name == "" || id.namespace == "" || id.uid == "" {
			t.Errorf("nobody: %+v", id)
		}
		_ = c.checkTimes(time.Unix(0, 0))
		if signedBy(jws, nil) {
			t.Error("signed by nobody")
		}
	})
}

func FuzzParseSelector(f *testing.F) {
	f.Add(`{"matchLabels":{"a":"b"}}`)
	f.Add("matchExpressions:\n- {key: env, operator: In, values: [dev, prod]}")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseSelector(text); err == nil {
			s.matches(map[string]string{"a": "b"})
		}
	})
}
