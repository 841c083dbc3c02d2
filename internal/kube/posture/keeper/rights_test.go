package keeper

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest/permits"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/policyreport"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

func (w *world) create(o *unstructured.Unstructured) {
	w.Helper()
	if err := server.Client.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

// roles are those of the checks in this world.
func (w *world) roles() rbac.Options {
	return rbac.Options{Name: w.own, Namespace: w.own, Checks: true}
}

// as is somebody who has the roles of the checks, and of these only what is of resources
// that may says; nil: no role at all.
func (w *world) as(may func(resource string) bool) *rest.Config {
	w.Helper()
	var made []rbac.Object
	for _, o := range rbac.Objects(w.roles()) {
		if may == nil || !strings.HasSuffix(o.GetName(), "-checks") {
			continue
		}
		switch role := o.(type) {
		case *rbacv1.ClusterRole:
			role.Rules = limited(role.Rules, may)
		case *rbacv1.Role:
			role.Rules = limited(role.Rules, may)
		}
		object := o.(client.Object)
		if err := server.Client.Create(w.Context(), object); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() {
			if err := server.Client.Delete(context.Background(), object); err != nil {
				w.Error(err)
			}
		})
		made = append(made, o)
	}
	config := rest.CopyConfig(server.REST)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + w.own + ":" + w.own, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	if err := apiserver.InForce(w.Context(), server.REST, config.Impersonate, made); err != nil {
		w.Fatal(err)
	}
	return config
}

func limited(rules []rbacv1.PolicyRule, may func(string) bool) []rbacv1.PolicyRule {
	return slices.DeleteFunc(rules, func(r rbacv1.PolicyRule) bool {
		return !slices.ContainsFunc(slices.Concat(r.Resources, r.NonResourceURLs), may)
	})
}

func everything(string) bool { return true }

// With the roles of the checks alone everything is read that there is.
func TestRolesReadAll(t *testing.T) {
	w := newWorld(t)
	seen, err := read.Live(t.Context(), w.as(everything), read.Options{Now: w.clock.Now(), Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	for resource, gap := range seen.Coverage {
		if gap.Reason != "" {
			t.Errorf("%s: %s", resource, gap.Reason)
		}
	}
	if !seen.Coverage.Whole("metrics", "nodes", "secrets", "configmaps", "roles", "workloads", "uses", "admissions") {
		t.Error(seen.Coverage.Missing("metrics", "nodes", "secrets", "configmaps", "roles", "workloads", "uses", "admissions"))
	}
}

// All that the roles of the checks allow is used, as far as the cluster has it, and nothing
// that they do not.
func TestNoExcessRights(t *testing.T) {
	w := newWorld(t)
	rec := permits.New()
	config := rec.Wrap(w.as(everything))
	look := func() {
		t.Helper()
		if err := w.keeper(config, nil).round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []policyreport.Family{older, newer} {
		w.install(f)
		third := &unstructured.Unstructured{Object: map[string]any{"results": []any{}}}
		third.SetGroupVersionKind(f.WithKind(f.Global.Kind))
		third.SetName(policyreport.Name + "-3")
		third.SetLabels(policyreport.Labels())
		w.create(third)
		w.apply(deployment("web"))
		look()
		w.apply(deployment("second"))
		look()
		w.remove("web")
		w.remove("second")
		look()
	}
	for _, path := range rec.Refused() {
		t.Errorf("refused: %s", path)
	}
	seen, err := read.Live(t.Context(), server.REST, read.Options{Now: w.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	granted, used := map[string]bool{}, rec.Used()
	for _, role := range rbac.Roles(w.roles()) {
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				for _, resource := range rule.Resources {
					if strings.HasSuffix(role.Name, "-checks") {
						granted[verb+" "+rule.APIGroups[0]+"/"+resource] = seen.Served[rule.APIGroups[0]+"/"+resource]
					}
				}
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(granted)) {
		if granted[p] && !used[p] {
			t.Errorf("granted and never used: %s", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(used)) {
		if !granted[p] {
			t.Errorf("used and not granted: %s", p)
		}
	}
}
