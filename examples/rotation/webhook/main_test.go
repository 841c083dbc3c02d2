package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/targettest"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/webhook"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/invault"
)

const (
	path    = "partner/key"
	signing = "canary-signing-key-of-32-bytes-or-more"
)

type cluster struct{}

func (cluster) SecretKey(context.Context, provider.Ref, string) (redact.Secret, error) {
	return redact.FromString(signing), nil
}
func (cluster) ConfigMapKey(context.Context, provider.Ref, string) (string, error) { return "", nil }
func (cluster) ServiceAccountToken(context.Context, provider.Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, nil
}
func (cluster) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, nil
}

// The reference server keeps every promise that the suite asks of a target.
func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		s := newServer([]byte(signing), time.Now)
		at := httptest.NewTLSServer(s)
		t.Cleanup(at.Close)
		p := invault.Start(t, path, "apiKey")
		return targettest.Fixture{
			Kind: webhook.Kind{Loopback: true},
			Config: target.Config{
				Spec: v1alpha1.Target{Webhook: &v1alpha1.WebhookTarget{
					KVPath: v1alpha1.KVPath{Path: path}, URL: at.URL + "/acts", SigningSecret: "webhook",
					CABundle: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: at.Certificate().Raw})),
				}},
				Vault: p.Login(t), Cluster: cluster{},
				Scope: provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "hook"}}),
			},
			Read: p.Read, Logs: p.Logs,
			Works: func(_ *testing.T, c targettest.Credential) bool { return s.accepts(c.Secret) },
		}
	})
}

func TestSignatures(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := newServer([]byte(signing), func() time.Time { return now })
	body := []byte(`{"apiVersion":"strongkeep.io/webhook/v1","action":"stage","rotation":"a/b","turn":1,"side":"new"}`)
	for name, at := range map[string]struct {
		header string
		want   int
	}{
		"signed":         {webhook.Sign([]byte(signing), now, body), http.StatusOK},
		"too old":        {webhook.Sign([]byte(signing), now.Add(-window-time.Second), body), http.StatusUnauthorized},
		"too early":      {webhook.Sign([]byte(signing), now.Add(window+time.Second), body), http.StatusUnauthorized},
		"another key":    {webhook.Sign([]byte("another"), now, body), http.StatusUnauthorized},
		"another body":   {webhook.Sign([]byte(signing), now, []byte(`{}`)), http.StatusUnauthorized},
		"without":        {"", http.StatusUnauthorized},
		"without a time": {"t=,v1=00", http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Strongkeep-Signature", at.header)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != at.want {
			t.Errorf("%s: %d, want %d", name, w.Code, at.want)
		}
	}
}
