package manifest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// everything is a cluster that has each kind asked for, in namespaces.
func everything(kinds ...schema.GroupVersionKind) Kinds {
	m := meta.NewDefaultRESTMapper(nil)
	for _, k := range kinds {
		m.Add(k, meta.RESTScopeNamespace)
	}
	m.Add(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Wide"}, meta.RESTScopeRoot)
	return Kinds{Mapper: m}
}

func TestKinds(t *testing.T) {
	for of, c := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		"v1 ConfigMap":                                     {},
		"example.com/v1 Widget":                            {},
		"networking.k8s.io/v1 Ingress":                     {},
		"v1 Service":                                       {},
		"notstrongkeep.io/v1 Thing":                        {},
		"example.com/v1 Secret":                            {}, // a namesake
		"v1 Secret":                                        {errs.Denied, whySecret},
		"/v1 Secret":                                       {errs.Denied, whySecret},
		"v1 ServiceAccount":                                {errs.Denied, whyAccounts},
		"v1 Pod":                                           {errs.Denied, whyPods},
		"v1 PodTemplate":                                   {errs.Denied, whyPods},
		"v1 ReplicationController":                         {errs.Denied, whyPods},
		"apps/v1 StatefulSet":                              {errs.Denied, whyPods},
		"batch/v1 Job":                                     {errs.Denied, whyPods},
		"extensions/v1beta1 Deployment":                    {errs.Denied, whyPods},
		"apps.openshift.io/v1 DeploymentConfig":            {errs.Denied, whyPods},
		"rbac.authorization.k8s.io/v1 Role":                {errs.Denied, whyRights},
		"rbac.authorization.k8s.io/v1alpha9 Role":          {errs.Denied, whyRights},
		"authorization.k8s.io/v1 LocalSubjectAccessReview": {errs.Denied, whyRights},
		"authorization.openshift.io/v1 RoleBinding":        {errs.Denied, whyRights},
		"external-secrets.io/v1 SecretStore":               {errs.Denied, whyOurs},
		"external-secrets.io/v1beta1 ExternalSecret":       {errs.Denied, whyOurs},
		"generators.external-secrets.io/v1alpha1 Password": {errs.Denied, whyOurs},
		"strongkeep.io/v1alpha1 Drill":                     {errs.Denied, whyOurs},
		"x.strongkeep.io/v1 Any":                           {errs.Denied, whyOurs},
		"admissionregistration.k8s.io/v1 X":                {errs.Denied, whyServer},
		"apiregistration.k8s.io/v1 APIService":             {errs.Denied, whyServer},
		"coordination.k8s.io/v1 Lease":                     {errs.Denied, whyElection},
		"example.com/v1 Wide":                              {errs.Denied, "is not in a namespace"},
		"example.com/v2 Widget":                            {errs.Invalid, "knows no kind Widget in example.com/v2"},
		"a/b/c Widget":                                     {errs.Invalid, "is no group and version"},
	} {
		version, kind, _ := strings.Cut(of, " ")
		es := externalSecret(t, "manifest: {apiVersion: "+version+", kind: "+kind+"}")
		group, _ := schema.ParseGroupVersion(version)
		var kinds Kinds
		if c.kind == errs.Invalid || strings.HasSuffix(of, "Wide") {
			kinds = everything(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"})
		} else { // it is there, and that it is forbidden is not for want of it
			kinds = everything(group.WithKind(kind))
		}
		mapping, err := kinds.Of(es)
		if c.words == "" {
			if err != nil || mapping.GroupVersionKind != group.WithKind(kind) {
				t.Errorf("%s: %v", of, err)
			}
			continue
		}
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v (%v), want %q", of, err, errs.KindOf(err), c.words)
		}
	}
	root := externalSecret(t, configMap+"name: kube-root-ca.crt")
	if _, err := everything(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}).Of(root); !errs.Is(err, errs.Denied) {
		t.Errorf("the cluster's authority: %v", err)
	}
}

type brokenMapper struct{ meta.RESTMapper }

func (brokenMapper) RESTMapping(schema.GroupKind, ...string) (*meta.RESTMapping, error) {
	return nil, errors.New("connection refused")
}

// A server that cannot be asked is no kind that is not there.
func TestKindsUnavailable(t *testing.T) {
	if _, err := (Kinds{Mapper: brokenMapper{}}).Of(externalSecret(t, widget)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v", err)
	}
}

// With the switch off nothing is looked at and nothing written.
func TestSwitchOff(t *testing.T) {
	var off *Writer
	es := externalSecret(t, configMap)
	_, observing := off.Observe(context.Background(), es)
	_, _, looking := off.AsWritten(context.Background(), es)
	_, _, writing := off.Apply(context.Background(), es, &Object{}, noMark, nil)
	deleting := off.Delete(context.Background(), es, "u")
	for name, err := range map[string]error{"observing": observing, "looking": looking, "writing": writing, "deleting": deleting} {
		if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), Flag) || !strings.Contains(err.Error(), "can then read the values") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := off.DeleteFormer(context.Background(), es); err != nil { // there is none
		t.Error(err)
	}
	if Noun(es) != "ConfigMap" || Noun(&v1.ExternalSecret{}) != "Secret" || Asked(&v1.ExternalSecret{}) || !IsConfigMap(es) || IsConfigMap(externalSecret(t, widget)) {
		t.Error("kinds are mixed up")
	}
}
