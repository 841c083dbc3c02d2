package acr_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/acr"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
)

const (
	client = "99999999-0000-0000-0000-000000000001"
	robot  = "99999999-0000-0000-0000-000000000002"
	node   = "99999999-0000-0000-0000-000000000003"

	workload  = `{"registry":"shop.azurecr.io","auth":{"workloadIdentity":{"serviceAccountRef":{"name":"puller"}}}}`
	principal = `{"registry":"shop.azurecr.io","scope":"repository:app:pull","tenantId":"` + azuretest.Tenant + `","auth":{"servicePrincipal":{"secretRef":{"clientId":{"name":"robot","key":"id"},"clientSecret":{"name":"robot","key":"secret"}}}}}`
)

func world(t testing.TB) (*azuretest.Server, generatortest.Cluster, acr.Kind) {
	s := azuretest.New(t)
	s.App(client, azuretest.App{Subject: "system:serviceaccount:team:puller"})
	s.App(robot, azuretest.App{Secret: "canary-client-secret"})
	s.Pull(robot)
	return s, generatortest.Cluster{
		"ServiceAccount/puller": {
			"azure.workload.identity/client-id": client, "azure.workload.identity/tenant-id": azuretest.Tenant,
			"token": azuretest.WebToken("system:serviceaccount:team:puller", []string{"api://AzureADTokenExchange"}),
		},
		"Secret/robot": {"id": robot, "secret": "canary-client-secret"},
	}, acr.Kind{Azure: azure.Provider{Getenv: s.Getenv}}
}

// facts/external-secrets.md §1.8.
func TestSuite(t *testing.T) {
	s, objects, kind := world(t)
	for _, spec := range []string{workload, principal} {
		for _, broken := range []string{"token", "registry"} {
			generatortest.Run(t, generatortest.Subject{
				Kind: kind, Spec: spec, Cluster: objects, Hidden: []string{"canary"}, Keys: []string{"username", "password"}, Same: true,
				Break: func() func() {
					s.Fail(broken, azuretest.Fault{Status: http.StatusServiceUnavailable, Body: "canary"})
					return s.Mend
				},
			})
		}
	}
}

// Without a scope a refresh token is given, with one an access token; when it ends is
// read from it.
func TestTokens(t *testing.T) {
	s, objects, kind := world(t)
	for spec, life := range map[string]time.Duration{workload: azuretest.RefreshLife, principal: azuretest.AccessLife} {
		before := time.Now()
		made, err := kind.Generate(t.Context(), generatortest.Config(objects, spec))
		if err != nil {
			t.Fatal(err)
		}
		if made.Data["username"].RevealString() != "00000000-0000-0000-0000-000000000000" || made.Known != nil {
			t.Error("it is no login to Azure's registries")
		}
		if made.Expires.Before(before.Add(life-2*time.Second)) || made.Expires.After(time.Now().Add(life+2*time.Second)) {
			t.Errorf("it ends %s, want in %s", made.Expires, life)
		}
	}
	if n := s.Count("registry"); n != 3 {
		t.Errorf("the registry was asked %d times, want 3", n)
	}
	// A token that says nothing of its end is taken to end soon.
	s.Fail("registry", azuretest.Fault{Status: http.StatusOK, Body: `{"refresh_token":"plain"}`})
	made, err := kind.Generate(t.Context(), generatortest.Config(objects, workload))
	if err != nil || made.Expires.IsZero() || made.Expires.After(time.Now().Add(time.Hour+time.Minute)) {
		t.Errorf("it ends %s (%v)", made.Expires, err)
	}
}

// The node's identity is the operator's: for ClusterGenerators only.
func TestManagedIdentity(t *testing.T) {
	s, objects, kind := world(t)
	s.Managed(node)
	cfg := generatortest.Config(objects, `{"registry":"shop.azurecr.io","auth":{"managedIdentity":{"identityId":"`+node+`"}}}`)
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
		`{"registry":"shop.example.com","auth":{}}`:                                            "NAME.azurecr.io",
		`{"registry":"shop.azurecr.io.example.com","auth":{}}`:                                 "NAME.azurecr.io",
		`{"registry":"a/b.azurecr.io","auth":{}}`:                                              "NAME.azurecr.io",
		`{"registry":"evil.example.com#.azurecr.io","auth":{}}`:                                "NAME.azurecr.io",
		`{"registry":"shop.azurecr.io","environmentType":"ChinaCloud","auth":{}}`:              "NAME.azurecr.cn",
		`{"registry":"shop.azurecr.io","environmentType":"GermanCloud","auth":{}}`:             "not supported",
		`{"registry":"shop.azurecr.io","auth":{}}`:                                             "auth needs one",
		`{"registry":"shop.azurecr.io","auth":{"managedIdentity":{},"workloadIdentity":{}}}`:   "auth needs one",
		strings.Replace(principal, `"tenantId":"`+azuretest.Tenant+`",`, "", 1):                "tenantId is missing",
		strings.Replace(principal, azuretest.Tenant, "a/b", 1):                                 "tenantId",
		strings.Replace(principal, "repository:app:pull", "repository:app:pull&grant=x", 1):    "spec.scope",
		strings.Replace(principal, `"name":"robot"`, `"name":"robot","namespace":"x"`, 1):      "auth.servicePrincipal.secretRef.clientId",
		strings.Replace(workload, `"name":"puller"`, `"name":"puller","namespace":"other"`, 1): "reads only the namespace",
		strings.Replace(workload, `"name":"puller"`, `"name":"nobody"`, 1):                     "does not exist",
		strings.Replace(workload, "}}}}", `}}},"scope":"repository:app:pull"}`, 1):             "AcrPull",
	} {
		_, err := kind.Generate(t.Context(), generatortest.Config(objects, spec))
		if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "canary") || errs.Is(err, errs.NotExist) {
			t.Errorf("%s: %v, want %q", spec, err, words)
		}
	}
	for status, kindOf := range map[int]errs.Kind{400: errs.Invalid, 401: errs.Denied, 404: errs.Invalid, 429: errs.Exhausted, 302: errs.Unavailable, 500: errs.Unavailable} {
		s.Fail("registry", azuretest.Fault{Status: status, Body: "canary"})
		if _, err := kind.Generate(t.Context(), generatortest.Config(objects, workload)); !errs.Is(err, kindOf) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d: %v", status, err)
		}
	}
}
