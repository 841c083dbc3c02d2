package webhook_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/webhook"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/invault"
)

const path = "partner/key"

// signer has the signing key, whose text it is.
type signer string

func (s signer) SecretKey(context.Context, provider.Ref, string) (redact.Secret, error) {
	return redact.FromString(string(s)), nil
}
func (signer) ConfigMapKey(context.Context, provider.Ref, string) (string, error) { return "", nil }
func (signer) ServiceAccountToken(context.Context, provider.Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, nil
}
func (signer) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, nil
}

const signing = signer("canary-signing-key-of-32-bytes-or-more")

func config(p *invault.Path, t *testing.T, at *httptest.Server) target.Config {
	t.Helper()
	return target.Config{
		Spec: v1alpha1.Target{Webhook: &v1alpha1.WebhookTarget{
			KVPath: v1alpha1.KVPath{Path: path}, URL: at.URL + "/acts?token=canary-token", SigningSecret: "webhook",
			CABundle: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: at.Certificate().Raw})),
		}},
		Vault: p.Login(t), Cluster: signing, Clock: clock.RealClock{},
		Scope: provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "hook"}}),
	}
}

// Each answer is what it is for the one who turns; no secret of either side is told.
func TestAnswers(t *testing.T) {
	var status int
	var body string
	asked := 0
	at := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer at.Close()
	cfg := config(invault.Start(t, path, "apiKey"), t, at)
	for _, c := range []struct {
		status int
		body   string
		kind   errs.Kind
		words  string
	}{
		{409, `{"message":"turn 7 is the present one"}`, errs.Conflict, "turn 7 is the present one"},
		{202, `{"message":"somebody must sign it"}`, errs.Unavailable, "somebody must sign it"},
		{400, `{"message":"line\nbreak"}`, errs.Invalid, "line break"},
		{401, ``, errs.Denied, "signing Secret"},
		{404, `<html>canary-page`, errs.Invalid, "404"},
		{429, ``, errs.Unavailable, "429"},
		{500, `{"message":"` + strings.Repeat("é", 4000) + `"}`, errs.Unavailable, "…"},
		{503, `{"message":"it is canary-signing-key-of-32-bytes-or-more"}`, errs.Unavailable, "withheld"},
		{302, ``, errs.Invalid, "redirects are not followed"},
		{204, ``, errs.Invalid, "204"},
		{200, ``, errs.Invalid, "not {"},
		{200, `{"values":{}}`, errs.Invalid, "0 values"},
		{200, `{"values":{"a":"canary"}} {}`, errs.Invalid, "not {"},
		{200, `{"values":{"a b":"canary"}}`, errs.Invalid, "whose name is none"},
		{200, `{"values":{"a":""}}`, errs.Invalid, `nothing as "a"`},
		{200, `{"values":{"a":null}}`, errs.Invalid, `nothing as "a"`},
		{200, `{"values":"canary"}`, errs.Invalid, "not {"},
		{200, `{"values":{"a":"` + strings.Repeat("canary", 50_000) + `"}}`, errs.TooLarge, "above"},
	} {
		status, body = c.status, c.body
		made, err := webhook.Kind{Loopback: true}.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		before := asked
		_, err = made.Stage(t.Context(), target.Turn{Number: 1, Rotation: "team/hook"})
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "canary") || len(err.Error()) > 600 {
			t.Errorf("%d %.40q: %.300v (%v), want %v with %q", c.status, c.body, err, errs.KindOf(err), c.kind, c.words)
		}
		if target.IsPending(err) != (c.status == 202) || asked != before+1 {
			t.Errorf("%d: pending %v, asked %d times", c.status, target.IsPending(err), asked-before)
		}
	}
	at.Close()
	made, err := webhook.Kind{Loopback: true}.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = made.Stage(t.Context(), target.Turn{Number: 1, Rotation: "team/hook"}); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "canary") {
		t.Errorf("nobody there: %v", err)
	}
}

// The request is what docs/rotation/webhook.md says, signed over time and body.
func TestRequest(t *testing.T) {
	var header, sent string
	at := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var raw json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&raw)
		header, sent = r.Header.Get(webhook.SignatureHeader), string(raw)
		fmt.Fprint(w, `{"values":{"apiKey":"canary-new"}}`)
	}))
	defer at.Close()
	cfg := config(invault.Start(t, path, "apiKey"), t, at)
	made, err := webhook.Kind{Loopback: true}.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Stage(t.Context(), target.Turn{Number: 4, Rotation: "team/hook"}); err != nil {
		t.Fatal(err)
	}
	if want := `{"apiVersion":"strongkeep.io/webhook/v1","action":"stage","rotation":"team/hook","turn":4,"side":"new"}`; sent != want {
		t.Errorf("sent %s, want %s", sent, want)
	}
	var unix int64
	if _, err := fmt.Sscanf(header, "t=%d,", &unix); err != nil || header != webhook.Sign([]byte(signing), time.Unix(unix, 0), []byte(sent)) {
		t.Errorf("signed %q, %v", header, err)
	}
}

func TestBadSpecs(t *testing.T) {
	at := httptest.NewTLSServer(http.NotFoundHandler())
	defer at.Close()
	p := invault.Start(t, path, "apiKey")
	for want, change := range map[string]func(*v1alpha1.WebhookTarget){
		"url must be https":        func(s *v1alpha1.WebhookTarget) { s.URL = "http://a.example" },
		"signingSecret is missing": func(s *v1alpha1.WebhookTarget) { s.SigningSecret = "" },
		"from 1s to 45s":           func(s *v1alpha1.WebhookTarget) { s.Timeout = &metav1.Duration{Duration: time.Hour} },
		"caBundle":                 func(s *v1alpha1.WebhookTarget) { s.CABundle = "none" },
		"Strongkeep's own":         func(s *v1alpha1.WebhookTarget) { s.Path = "strongkeep-provided/x" },
	} {
		cfg := config(p, t, at)
		change(cfg.Spec.Webhook)
		if _, err := (webhook.Kind{}).Open(cfg); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want invalid with %q", err, want)
		}
	}
	cfg := config(p, t, at)
	made, err := webhook.Kind{}.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Stage(t.Context(), target.Turn{Number: 1, Rotation: "team/hook"}); !errs.Is(err, errs.Denied) {
		t.Errorf("an endpoint on the operator's own machine: %v", err)
	}
	cfg.Cluster = signer("short")
	if made, err = (webhook.Kind{Loopback: true}).Open(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := made.Stage(t.Context(), target.Turn{Number: 1, Rotation: "team/hook"}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "openssl rand") {
		t.Errorf("a short key: %v", err)
	}
}
