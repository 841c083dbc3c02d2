package snapshot_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// What stores and replicators offer, to somebody in namespace web who may write
// what asks for it and read what comes of it.
func TestOffers(t *testing.T) {
	external := func(kind, storeKind string) []snapshot.Source {
		to := []snapshot.Ref{{Kind: "Secret", Namespace: "shop", Name: "db"}}
		s := snapshot.Source{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Group: "external-secrets.io", Kind: kind, Store: snapshot.Ref{Kind: storeKind, Name: "vault"}, Remote: []snapshot.Remote{{Path: "db"}}}
		if s.Makes = to; kind == "PushSecret" {
			s.Makes, s.Reads = nil, to
		}
		return []snapshot.Source{s}
	}
	limited := func(c snapshot.Condition) []snapshot.Store {
		return []snapshot.Store{{Meta: snapshot.Meta{Name: "vault"}, Kind: "ClusterSecretStore", Conditions: []snapshot.Condition{c}}}
	}
	team := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"team": name}}
	}
	for name, c := range map[string]struct {
		sources     []snapshot.Source
		stores      []snapshot.Store
		unread      bool // the namespaces were not
		annotations map[string]string
		want        path.Kind
	}{
		"a store of the cluster":          {sources: external("ExternalSecret", "ClusterSecretStore"), want: path.FetchSecrets},
		"one that it is pushed to":        {sources: external("PushSecret", "ClusterSecretStore"), want: path.FetchSecrets},
		"a store of the Secret's own":     {sources: external("ExternalSecret", "SecretStore")},
		"a store for this namespace":      {sources: external("ExternalSecret", "ClusterSecretStore"), stores: []snapshot.Store{{Meta: snapshot.Meta{Name: "vault"}, Kind: "ClusterSecretStore", Namespaces: []string{"web"}}}, want: path.FetchSecrets},
		"a store for others":              {sources: external("ExternalSecret", "ClusterSecretStore"), stores: []snapshot.Store{{Meta: snapshot.Meta{Name: "vault"}, Kind: "ClusterSecretStore", Namespaces: []string{"shop"}}}},
		"a store for none":                {sources: external("ExternalSecret", "ClusterSecretStore"), stores: limited(snapshot.Condition{})},
		"a store by this one's labels":    {sources: external("ExternalSecret", "ClusterSecretStore"), stores: limited(snapshot.Condition{Labels: team("web")}), want: path.FetchSecrets},
		"a store by others' labels":       {sources: external("ExternalSecret", "ClusterSecretStore"), stores: limited(snapshot.Condition{Labels: team("shop")})},
		"a store by any labels":           {sources: external("ExternalSecret", "ClusterSecretStore"), stores: limited(snapshot.Condition{Labels: &metav1.LabelSelector{}}), want: path.FetchSecrets},
		"a store by an expression":        {sources: external("ExternalSecret", "ClusterSecretStore"), stores: limited(snapshot.Condition{Regexes: []string{"(", "^w"}}), want: path.FetchSecrets},
		"a store by another expression":   {sources: external("ExternalSecret", "ClusterSecretStore"), stores: limited(snapshot.Condition{Regexes: []string{"^shop$"}})},
		"labels of what was not read":     {sources: external("ExternalSecret", "ClusterSecretStore"), stores: limited(snapshot.Condition{Labels: team("shop")}), unread: true, want: path.FetchSecrets},
		"a reflector":                     {annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflection-allowed": "true"}, want: path.MirrorSecrets},
		"a reflector, by expression":      {annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflection-allowed": "true", "reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces": "ops, w.b"}, want: path.MirrorSecrets},
		"an expression of a part":         {annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflection-allowed": "true", "reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces": "we"}},
		"an expression that is none":      {annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflection-allowed": "true", "reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces": "we("}},
		"a reflector that is not allowed": {annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflection-allowed": "false"}},
		"the replicator":                  {annotations: map[string]string{"replicator.v1.mittwald.de/replication-allowed": "true", "replicator.v1.mittwald.de/replication-allowed-namespaces": "web"}, want: path.MirrorSecrets},
		"neither":                         {},
	} {
		s := &snapshot.Snapshot{
			Secrets: []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db", Annotations: c.annotations}}}, Sources: c.sources, Stores: c.stores,
			Served: map[string]bool{"external-secrets.io/secretstores": true},
		}
		if !c.unread {
			s.Namespaces = []snapshot.Namespace{{Meta: snapshot.Meta{Name: "web", Labels: map[string]string{"team": "web"}}}}
		}
		meta := metav1.ObjectMeta{Namespace: "web", Name: "dev"}
		s.RBAC.Roles = []rbacv1.Role{{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{Verbs: []string{"create"}, APIGroups: []string{"external-secrets.io"}, Resources: []string{"externalsecrets"}}, {Verbs: []string{"create", "get"}, APIGroups: []string{""}, Resources: []string{"secrets"}},
		}}}
		s.RBAC.RoleBindings = []rbacv1.RoleBinding{{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "dev"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "eve"}}}}
		var got path.Kind
		for _, r := range s.Finder().Readers(path.Name{Namespace: "shop", Name: "db"}) {
			if r.Subject.Name == "eve" {
				got = r.Steps[0].Kind
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
