package sec05_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec05"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// secret is one whose key password was read.
func secret(name string, change ...func(*snapshot.Secret)) snapshot.Secret {
	s := snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: name}, Type: "Opaque", Read: true, Keys: []string{"password"},
		Values: []snapshot.Value{{Field: "data.password", Size: 12, Looks: snapshot.LooksNamed}}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func secrets(all ...snapshot.Secret) snapshot.Snapshot { return snapshot.Snapshot{Secrets: all} }

func owner(group, kind string) func(*snapshot.Secret) {
	return func(s *snapshot.Secret) {
		s.Owners = []snapshot.Owner{{Ref: snapshot.Ref{Group: group, Kind: kind, Namespace: "shop", Name: "o"}, Controller: true}}
	}
}

func writers(managers ...string) func(*snapshot.Secret) {
	return func(s *snapshot.Secret) {
		for _, m := range managers {
			s.Writers = append(s.Writers, snapshot.Writer{Manager: m, Content: m != "kubectl-label"})
		}
	}
}

func annotated(key, value string) func(*snapshot.Secret) {
	return func(s *snapshot.Secret) { s.Annotations = map[string]string{key: value} }
}

// copied has a, changed, and b, which Reflector copies from it.
func copied(change func(*snapshot.Secret)) snapshot.Snapshot {
	s := secrets(secret("a", change), secret("b"))
	from, to := snapshot.Ref{Kind: "Secret", Namespace: "shop", Name: "a"}, snapshot.Ref{Kind: "Secret", Namespace: "shop", Name: "b"}
	s.Sources = []snapshot.Source{{Meta: snapshot.Meta{Namespace: "shop", Name: "b"}, Group: "reflector.v1.k8s.emberstack.com", Kind: "Copy", Reads: []snapshot.Ref{from}, Makes: []snapshot.Ref{to}}}
	return s
}

// live is s as of a cluster of which everything was read.
func live(s snapshot.Snapshot) snapshot.Snapshot {
	s.Live, s.Coverage = true, snapshot.Coverage{"secrets": {}, "secrets/values": {}, "configmaps": {}, "sources": {}}
	return s
}

func TestCheck(t *testing.T) {
	made := secrets(secret("db"))
	made.Sources = []snapshot.Source{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Group: "external-secrets.io", Kind: "ExternalSecret", Makes: []snapshot.Ref{{Kind: "Secret", Namespace: "shop", Name: "db"}}}}
	cm := func(field string, looks snapshot.Looks) snapshot.Snapshot {
		return snapshot.Snapshot{ConfigMaps: []snapshot.ConfigMap{{Meta: snapshot.Meta{Namespace: "shop", Name: "app"}, Keys: []string{"x"}, Values: []snapshot.Value{{Field: field, Looks: looks}}}}}
	}
	checktest.Run(t, sec05.Check(), []checktest.Case{
		{Name: "no Secrets", Answer: check.Yes},
		{Name: "made by an ExternalSecret", Answer: check.Yes, Snapshot: made},
		{Name: "owned by one", Answer: check.Yes, Snapshot: secrets(secret("db", owner("external-secrets.io", "ExternalSecret")))},
		{Name: "what an ExternalSecret left behind", Answer: check.No, Findings: []string{"Orphaned Secret shop/db"}, Snapshot: live(secrets(secret("db", owner("external-secrets.io", "ExternalSecret"))))},
		{Name: "its label is left", Answer: check.No, Findings: []string{"Orphaned Secret shop/db"}, Snapshot: live(secrets(secret("db", annotated("reconcile.external-secrets.io/data-hash", "x"))))},
		{Name: "it is there", Answer: check.Yes, Snapshot: live(made)},
		{Name: "a store whose objects are not known", Answer: check.Yes, Snapshot: live(secrets(secret("db", owner("akeyless.io", "Sync"))))},
		{Name: "of HashiCorp's operator", Answer: check.Yes, Snapshot: secrets(secret("db", owner("secrets.hashicorp.com", "VaultStaticSecret")))},
		{Name: "a label edited by hand is not the content", Answer: check.Yes, Snapshot: secrets(secret("db", writers("external-secrets", "kubectl-label")))},
		{Name: "kubectl create", Answer: check.No, Snapshot: secrets(secret("db", writers("kubectl-create"))), Findings: []string{"MadeByHand Secret shop/db"}},
		{Name: "by a manager, then edited by hand", Answer: check.No, Snapshot: secrets(secret("db", writers("external-secrets", "kubectl-edit"))), Findings: []string{"MadeByHand Secret shop/db"}},
		{Name: "one of two", Answer: check.Partly, Snapshot: secrets(secret("a", owner("external-secrets.io", "ExternalSecret")), secret("b", writers("kubectl"))), Findings: []string{"MadeByHand Secret shop/b"}},
		{Name: "a chart", Answer: check.No, Snapshot: secrets(secret("db", annotated("meta.helm.sh/release-name", "shop"))), Findings: []string{"InManifest Secret shop/db"}},
		{Name: "a manifest", Answer: check.No, Snapshot: secrets(secret("db", func(s *snapshot.Secret) { s.Place = "db.yaml" })), Findings: []string{"InManifest Secret shop/db"}},
		{Name: "nothing says", Answer: check.No, Snapshot: secrets(secret("db")), Findings: []string{"NobodySays Secret shop/db"}},
		{Name: "sealed", Answer: check.Partly, Snapshot: secrets(secret("db", owner("bitnami.com", "SealedSecret"))), Findings: []string{"SealedInGit Secret shop/db"}},
		{Name: "another operator's", Answer: check.Yes, Snapshot: secrets(secret("db", owner("acid.zalan.do", "postgresql")))},
		{Name: "a copy of what is managed", Answer: check.Yes, Snapshot: secrets(secret("a", owner("external-secrets.io", "ExternalSecret")), secret("b", annotated("replicator.v1.mittwald.de/replicated-from", "shop/a")))},
		{Name: "a copy of what is not", Answer: check.No, Snapshot: secrets(secret("a", writers("kubectl-create")), secret("b", annotated("reflector.v1.k8s.emberstack.com/reflects", "shop/a"))),
			Findings: []string{"MadeByHand Secret shop/a", "CopyOfUnmanaged Secret shop/b"}},
		{Name: "a live copy, of which a source is known, of what is managed", Answer: check.Yes, Snapshot: copied(owner("external-secrets.io", "ExternalSecret"))},
		{Name: "a live copy of what is not", Answer: check.No, Snapshot: copied(writers("kubectl-create")), Findings: []string{"MadeByHand Secret shop/a", "CopyOfUnmanaged Secret shop/b"}},
		{Name: "copies in a circle", Answer: check.No, Snapshot: secrets(secret("a", annotated("reflector.v1.k8s.emberstack.com/reflects", "shop/a"))), Findings: []string{"CopyOfUnmanaged Secret shop/a"}},
		{Name: "tokens, releases and what is public are no credentials of anybody", Answer: check.Yes, Snapshot: secrets(
			secret("token", func(s *snapshot.Secret) { s.Type = "kubernetes.io/service-account-token" }),
			secret("sh.helm.release.v1.shop.v1", func(s *snapshot.Secret) { s.Release = &snapshot.Release{Name: "shop"} }),
			secret("ca", func(s *snapshot.Secret) { s.Values[0].Looks = snapshot.LooksCert }))},
		{Name: "a password in a ConfigMap", Answer: check.No, Snapshot: cm("data.x", snapshot.LooksNamed), Findings: []string{"InConfigMap ConfigMap shop/app at data.x"}},
		{Name: "a path, a digest, an annotation are none", Answer: check.Yes, Snapshot: func() snapshot.Snapshot {
			s := cm("data.x", snapshot.LooksReference)
			s.ConfigMaps = append(s.ConfigMaps, cm("data.checksum", snapshot.LooksRandom).ConfigMaps...)
			s.ConfigMaps = append(s.ConfigMaps, cm("metadata.annotations[a]", snapshot.LooksNamed).ConfigMaps...)
			return s
		}()},
	})
}
