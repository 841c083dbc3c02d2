package gcr_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/gcr"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
)

const (
	puller = "puller@my-project.iam.gserviceaccount.com"
	bound  = "system:serviceaccount:team:puller"

	workload = `{"projectID":"my-project","auth":{"workloadIdentity":{"serviceAccountRef":{"name":"puller"},"clusterLocation":"europe-west3","clusterName":"main"}}}`
	keyed    = `{"projectID":"my-project","auth":{"secretRef":{"secretAccessKeySecretRef":{"name":"key","key":"key.json"}}}}`
)

func world(t *testing.T) (*gcptest.Server, generatortest.Cluster, gcr.Kind) {
	s := gcptest.New(t)
	s.Account(puller, bound)
	objects := generatortest.Cluster{
		"ServiceAccount/puller": {"iam.gke.io/gcp-service-account": puller, "token": gcptest.WebToken(bound, []string{"my-project.svc.id.goog"})},
		"Secret/key":            {"key.json": s.Key(t, puller)},
	}
	return s, objects, gcr.Kind{Google: gcp.Provider{Getenv: s.Getenv}}
}

// facts/external-secrets.md §1.8.
func TestSuite(t *testing.T) {
	s, objects, kind := world(t)
	for _, spec := range []string{workload, keyed} {
		generatortest.Run(t, generatortest.Subject{
			Kind: kind, Spec: spec, Cluster: objects, Hidden: []string{"canary"}, Keys: []string{"username", "password", "expiry"}, Same: true,
			Break: func() func() {
				s.Fail("token", gcptest.Fault{Status: http.StatusServiceUnavailable, Body: "canary"})
				return s.Mend
			},
		})
	}
}

func TestLogin(t *testing.T) {
	_, objects, kind := world(t)
	for _, spec := range []string{workload, keyed} {
		made, err := kind.Generate(t.Context(), generatortest.Config(objects, spec))
		if err != nil {
			t.Fatal(err)
		}
		if made.Data["username"].RevealString() != "oauth2accesstoken" || !strings.HasPrefix(made.Data["password"].RevealString(), "canary-token-") {
			t.Error("it is no login to Google's registries")
		}
		if made.Expires.IsZero() || made.Data["expiry"].RevealString() != strconv.FormatInt(made.Expires.Unix(), 10) || made.Known != nil {
			t.Errorf("it ends %s, known %s", made.Expires, made.Known)
		}
	}
}

// The operator's own identity is for ClusterGenerators only.
func TestOwnIdentity(t *testing.T) {
	s, objects, kind := world(t)
	s.Metadata()
	cfg := generatortest.Config(objects, `{"projectID":"my-project","auth":{}}`)
	if _, err := kind.Generate(t.Context(), cfg); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "spec.auth.workloadIdentity") {
		t.Error(err)
	}
	cfg.Scope = provider.ScopeOfGenerator("ClusterGenerator", "all", generatortest.Namespace)
	if made, err := kind.Generate(t.Context(), cfg); err != nil || made.Data["password"].Empty() {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	s, objects, kind := world(t)
	for spec, words := range map[string]string{
		`{"projectID":"../x","auth":{}}`: "projectID",
		`{"auth":{}}`:                    "projectID",
		`{"projectID":"my-project","auth":{"secretRef":{},"workloadIdentity":{"serviceAccountRef":{"name":"x"}}}}`: "keep one",
		`{"projectID":"my-project","auth":{"secretRef":{"secretAccessKeySecretRef":{"name":"nope","key":"k"}}}}`:   "does not exist",
		strings.Replace(keyed, `"name":"key"`, `"name":"key","namespace":"other"`, 1):                              "reads only the namespace",
		strings.Replace(workload, `"name":"puller"`, `"name":"puller","namespace":"other"`, 1):                     "reads only the namespace",
		strings.Replace(workload, `"main"`, `"other"`, 1):                                                          "must name this GKE cluster",
		`{"projectID":"my-project","auth":{"workloadIdentityFederation":{"audience":"x"}}}`:                        "needs one of",
	} {
		if _, err := kind.Generate(t.Context(), generatortest.Config(objects, spec)); err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", spec, err, words)
		}
	}
	s.Fail("token", gcptest.Fault{Status: http.StatusOK, Body: `{"access_token":"canary-t"}`})
	if _, err := kind.Generate(t.Context(), generatortest.Config(objects, workload)); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a token that never ends: %v", err)
	}
}

// Whatever Google answers, a login that ends comes of it, or an error without a word of it.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"access_token":"x","expires_in":3600,"token_type":"Bearer"}`)
	f.Add(`{"access_token":"","expires_in":-1}`)
	f.Add(`[`)
	s := gcptest.New(f)
	objects := generatortest.Cluster{"ServiceAccount/puller": {"token": "t"}}
	kind := gcr.Kind{Google: gcp.Provider{Getenv: s.Getenv}}
	f.Fuzz(func(t *testing.T, body string) {
		s.Fail("token", gcptest.Fault{Status: http.StatusOK, Body: body})
		made, err := kind.Generate(t.Context(), generatortest.Config(objects, workload))
		switch {
		case err == nil && (made.Data["password"].Empty() || made.Expires.IsZero()):
			t.Fatalf("%q made no login that ends", body)
		case err != nil && len(body) > 12 && strings.Contains(err.Error(), body):
			t.Fatal("the error tells what came")
		}
	})
}
