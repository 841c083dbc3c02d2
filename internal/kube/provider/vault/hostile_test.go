package vault

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
)

// TestNotFoundOfAnother guards that only Vault's own 404 says that a secret is
// gone: with deletionPolicy Delete that ends the Kubernetes Secret.
func TestNotFoundOfAnother(t *testing.T) {
	for body, want := range map[string]errs.Kind{
		`{"errors":[]}`: errs.NotExist,
		`{"request_id":"x","data":{"data":null,"metadata":{"version":1}}}`: errs.NotExist,
		`{"errors":["no handler for route"]}`:                              errs.Invalid,
		`{"message":"no Route matched with those values"}`:                 errs.Invalid,
		`{}`:                    errs.Invalid,
		``:                      errs.Invalid,
		`<html>not here</html>`: errs.Invalid,
	} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/secret/") {
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(body))
				return
			}
			_, _ = w.Write([]byte(`{"data":{"ttl":0}}`))
		}))
		f := newFixture(t, vaulttest.New(), nil)
		st, err := f.open(t, Settings{Server: front.URL, Path: "secret", Auth: tokenAuth()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Read(t.Context(), provider.Request{Key: "x"}); !errs.Is(err, want) {
			t.Errorf("404 with %q is %v (%v), want %v", body, errs.KindOf(err), err, want)
		}
		if err := st.Close(t.Context()); err != nil {
			t.Error(err)
		}
		front.Close()
	}
}

// TestOneWrongPathIsNotAnOutage guards that a key whose answer cannot be
// understood does not make its store look down to everybody else.
func TestOneWrongPathIsNotAnOutage(t *testing.T) {
	f := newFixture(t, vaulttest.New(), func(s *Settings) { s.Path = "" })
	f.PutV1("data/x", `{"a":"b"}`)
	if _, err := f.read(t, "kv1/data/x"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "version and path") {
		t.Errorf("%v (%v), want Invalid", err, errs.KindOf(err))
	}
}

// TestEndlessAnswers guards that no answer, be it a secret, a login or an error,
// is read without end.
func TestEndlessAnswers(t *testing.T) {
	for path, status := range map[string]int{"/v1/secret/data/x": http.StatusOK, "/v1/auth/kubernetes/login": http.StatusOK, "/v1/secret/data/y": http.StatusInternalServerError} {
		var sent atomic.Int64
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				_, _ = w.Write([]byte(`{"auth":{"client_token":"t"}}`))
				return
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"data":"`))
			for chunk := bytes.Repeat([]byte("x"), 1<<20); sent.Load() < 4*maxBody; {
				n, err := w.Write(chunk)
				if err != nil {
					return
				}
				sent.Add(int64(n))
			}
		}))
		f := newFixture(t, vaulttest.New(), nil)
		st, err := f.open(t, Settings{Server: front.URL, Path: "secret", Auth: kubernetesAuth()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = st.Read(t.Context(), provider.Request{Key: path[len(path)-1:]})
		if !errs.Is(err, errs.TooLarge) || sent.Load() > 2*maxBody {
			t.Errorf("%s: %v (%v) after %d MiB, want TooLarge at %d", path, err, errs.KindOf(err), sent.Load()>>20, maxBody>>20)
		}
		if err := st.Close(t.Context()); err != nil {
			t.Error(err)
		}
		front.CloseClientConnections()
		front.Close()
	}
}

// TestRedirectToPlainText guards that a redirect does not carry the token out
// of TLS, in a read or in a subscription.
func TestRedirectToPlainText(t *testing.T) {
	var plain atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { plain.Add(1) }))
	defer target.Close()
	for name, paths := range map[string]string{"read": "/v1/secret/", "subscription": "/v1/sys/events/"} {
		front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, paths) {
				http.Redirect(w, r, target.URL+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			_, _ = w.Write([]byte(`{"data":{"ttl":0}}`))
		}))
		f := newFixture(t, vaulttest.New(), nil)
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
		st, err := f.open(t, Settings{Server: front.URL, Path: "secret", CABundle: ca, Auth: tokenAuth()})
		if err != nil {
			t.Fatal(err)
		}
		if name == "read" {
			_, err = st.Read(t.Context(), provider.Request{Key: "x"})
		} else {
			err = st.(*store).Notify(t.Context(), func(provider.Change) {})
		}
		if err == nil || !strings.Contains(err.Error(), "plain text") || plain.Load() > 0 {
			t.Errorf("%s: %v, and %d requests without TLS", name, err, plain.Load())
		}
		if err := st.Close(t.Context()); err != nil {
			t.Error(err)
		}
		front.Close()
	}
}
