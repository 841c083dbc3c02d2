package origin_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// own is the Secret that is asked about.
var own = snapshot.Ref{Kind: "Secret", Namespace: "shop", Name: "db"}

func owner(group, kind string, controller bool) []snapshot.Owner {
	return []snapshot.Owner{{Ref: snapshot.Ref{Group: group, Kind: kind, Namespace: "shop", Name: "x"}, Controller: controller}}
}

func wrote(managers ...string) []snapshot.Writer {
	var out []snapshot.Writer
	for _, m := range managers {
		out = append(out, snapshot.Writer{Manager: m, Content: m != "kubectl-label"})
	}
	return out
}

func made(group, kind string, change ...func(*snapshot.Source)) []snapshot.Source {
	s := snapshot.Source{Meta: snapshot.Meta{Namespace: "shop", Name: "x"}, Group: group, Kind: kind, Makes: []snapshot.Ref{own}}
	for _, f := range change {
		f(&s)
	}
	return []snapshot.Source{s}
}

// told is what of an Origin the cases compare.
type told struct {
	kind origin.Kind
	said string
	gone bool
}

// Of two that say something, the surer is believed; docs of the package have the order.
func TestOf(t *testing.T) {
	marked := func(pairs ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	copied := func(group string) []snapshot.Source {
		return made(group, "Copy", func(s *snapshot.Source) { s.Reads = []snapshot.Ref{{Kind: "Secret", Namespace: "ops", Name: "db"}} })
	}
	for name, c := range map[string]struct {
		secret  snapshot.Secret
		sources []snapshot.Source
		want    told
	}{
		"nothing": {want: told{kind: origin.Unknown}},
		// Objects that were read, before anything else.
		"an ExternalSecret, edited by hand":   {secret: snapshot.Secret{Meta: snapshot.Meta{Writers: wrote("kubectl-edit")}}, sources: made("external-secrets.io", "ExternalSecret"), want: told{kind: origin.Store, said: "ExternalSecret shop/x"}},
		"one with a generator":                {sources: made("external-secrets.io", "ExternalSecret", func(s *snapshot.Source) { s.Generator = true }), want: told{kind: origin.Generator, said: "ExternalSecret shop/x"}},
		"a KafkaUser":                         {sources: made("kafka.strimzi.io", "KafkaUser"), want: told{kind: origin.Operator, said: "KafkaUser shop/x"}},
		"1Password":                           {sources: made("onepassword.com", "OnePasswordItem"), want: told{kind: origin.Store, said: "OnePasswordItem shop/x"}},
		"a copy is no operator's own":         {sources: copied("reflector.v1.k8s.emberstack.com"), want: told{kind: origin.Mirror, said: "Secret ops/db, by Reflector", gone: true}},
		"a copy by the other one":             {sources: copied("replicator.v1.mittwald.de"), want: told{kind: origin.Mirror, said: "Secret ops/db, by kubernetes-replicator", gone: true}},
		"a token of a ServiceAccount":         {secret: snapshot.Secret{Type: "kubernetes.io/service-account-token", Account: "web"}, want: told{kind: origin.Kubernetes, said: "ServiceAccount shop/web"}},
		"a bootstrap token":                   {secret: snapshot.Secret{Type: "bootstrap.kubernetes.io/token", Meta: snapshot.Meta{Writers: wrote("kubeadm")}}, want: told{kind: origin.Kubernetes, said: "bootstrap.kubernetes.io/token"}},
		"a release":                           {secret: snapshot.Secret{Type: "helm.sh/release.v1", Meta: snapshot.Meta{Writers: wrote("Helm")}}, want: told{kind: origin.Helm, said: "Helm, as its record"}},
		"a controller that is read, and gone": {secret: snapshot.Secret{Meta: snapshot.Meta{Owners: owner("external-secrets.io", "ExternalSecret", true)}}, want: told{kind: origin.Store, said: "ExternalSecret shop/x", gone: true}},
		"one whose kind nobody reads":         {secret: snapshot.Secret{Meta: snapshot.Meta{Owners: owner("akeyless.io", "Thing", true)}}, want: told{kind: origin.Store, said: "Thing shop/x"}},
		"a controller that is not known":      {secret: snapshot.Secret{Meta: snapshot.Meta{Owners: owner("acid.zalan.do", "postgresql", true), Writers: wrote("kubectl-edit")}}, want: told{kind: origin.Operator, said: "postgresql shop/x"}},
		// The CSI driver's Secrets are owned by the ReplicaSets that mount them.
		"a mark before who it is deleted with": {secret: snapshot.Secret{Meta: snapshot.Meta{Owners: owner("apps", "ReplicaSet", false), Labels: marked("secrets-store.csi.k8s.io/managed", "true")}}, want: told{kind: origin.Store, said: "the Secrets Store CSI driver"}},
		"who wrote it before that":             {secret: snapshot.Secret{Meta: snapshot.Meta{Owners: owner("apps", "Deployment", false), Writers: wrote("kubectl-create")}}, want: told{kind: origin.Hand, said: "kubectl-create"}},
		"that before a program":                {secret: snapshot.Secret{Meta: snapshot.Meta{Owners: owner("apps", "Deployment", false), Writers: wrote("manager")}}, want: told{kind: origin.Operator, said: "Deployment shop/x"}},
		"a store's mark before a copied label": {secret: snapshot.Secret{Meta: snapshot.Meta{Labels: marked("reconcile.external-secrets.io/managed", "true", "argocd.argoproj.io/instance", "shop")}}, want: told{kind: origin.Store, said: "an ExternalSecret"}},
		"a copy before a copied label":         {secret: snapshot.Secret{Meta: snapshot.Meta{Annotations: marked("replicator.v1.mittwald.de/replicated-from", "shop/other"), Labels: marked("argocd.argoproj.io/instance", "shop")}}, want: told{kind: origin.Mirror, said: "Secret shop/other, by kubernetes-replicator"}},
		"a copy of one beside":                 {secret: snapshot.Secret{Meta: snapshot.Meta{Annotations: marked("reflector.v1.k8s.emberstack.com/reflects", "other")}}, want: told{kind: origin.Mirror, said: "Secret shop/other, by Reflector"}},
		"Flux with a chart":                    {secret: snapshot.Secret{Meta: snapshot.Meta{Annotations: marked("meta.helm.sh/release-name", "shop", "meta.helm.sh/release-namespace", "shop"), Labels: marked("helm.toolkit.fluxcd.io/name", "shop")}}, want: told{kind: origin.Helm, said: "Release shop/shop, by a chart"}},
		"Flux":                                 {secret: snapshot.Secret{Meta: snapshot.Meta{Labels: marked("kustomize.toolkit.fluxcd.io/name", "apps"), Writers: wrote("kustomize-controller")}}, want: told{kind: origin.GitOps, said: "Flux, from Git"}},
		"the newest who wrote content":         {secret: snapshot.Secret{Meta: snapshot.Meta{Writers: wrote("external-secrets", "kubectl-edit", "kubectl-label")}}, want: told{kind: origin.Hand, said: "kubectl-edit"}},
		"capital letters":                      {secret: snapshot.Secret{Meta: snapshot.Meta{Writers: wrote("Terraform")}}, want: told{kind: origin.Manifest, said: "Terraform"}},
		"oc, and not what begins so":           {secret: snapshot.Secret{Meta: snapshot.Meta{Writers: wrote("octopus")}}, want: told{kind: origin.Client, said: "octopus"}},
		"a program that anybody's may be":      {secret: snapshot.Secret{Meta: snapshot.Meta{Writers: wrote("controller")}}, want: told{kind: origin.Client, said: "controller"}},
		"a manifest":                           {secret: snapshot.Secret{Meta: snapshot.Meta{Place: "db.yaml: document 1"}}, want: told{kind: origin.Manifest, said: "db.yaml: document 1"}},
		"a dump of a cluster":                  {secret: snapshot.Secret{Meta: snapshot.Meta{Place: "dump.yaml: document 1", UID: "7"}}, want: told{kind: origin.Unknown}},
		"a dump with managedFields":            {secret: snapshot.Secret{Meta: snapshot.Meta{Place: "dump.yaml: document 1", Writers: wrote("kubectl")}}, want: told{kind: origin.Hand, said: "kubectl"}},
	} {
		c.secret.Namespace, c.secret.Name = own.Namespace, own.Name
		s := &snapshot.Snapshot{
			Secrets: []snapshot.Secret{c.secret, {Meta: snapshot.Meta{Namespace: "shop", Name: "other"}}}, Sources: c.sources,
			Coverage: snapshot.Coverage{"sources": {}, "secrets": {}, "secrets/values": {}},
		}
		o := origin.New(s).Secret(&s.Secrets[0])
		if got := (told{o.Kind, o.Said(), o.Gone}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if o.String() == "" {
			t.Errorf("%s: no words for %s", name, o.Kind)
		}
	}
}

// What was not read is not said to be gone.
func TestNotGone(t *testing.T) {
	secrets := []snapshot.Secret{
		{Meta: snapshot.Meta{Namespace: "shop", Name: "owned", Owners: owner("cert-manager.io", "Certificate", true)}},
		{Meta: snapshot.Meta{Namespace: "shop", Name: "copied", Annotations: map[string]string{"replicator.v1.mittwald.de/replicated-from": "ops/db"}}},
	}
	for reason, gone := range map[string]bool{"no right": false, "": true} {
		s := &snapshot.Snapshot{Secrets: secrets, Coverage: snapshot.Coverage{"sources": {Reason: reason}, "secrets": {Reason: reason}}}
		x := origin.New(s)
		for i := range secrets {
			if o := x.Secret(&secrets[i]); o.Gone != gone {
				t.Errorf("%s, of which the list %q: gone is %v", secrets[i].Name, reason, o.Gone)
			}
		}
	}
}

// The same is asked of objects that are no Secrets.
func TestOthers(t *testing.T) {
	x := origin.New(&snapshot.Snapshot{})
	argo := &snapshot.Meta{Labels: map[string]string{"argocd.argoproj.io/instance": "shop"}}
	for _, c := range []struct {
		object origin.Object
		want   origin.Kind
	}{
		{origin.Object{Ref: snapshot.Ref{Kind: "Vault", Name: "secret/db"}}, origin.Vault},
		{origin.Object{Ref: snapshot.Ref{Kind: "File", Name: "git/db.yaml"}}, origin.Git},
		{origin.Object{Ref: snapshot.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "app"}, Meta: argo}, origin.GitOps},
		{origin.Object{Ref: snapshot.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "app"}}, origin.Unknown},
	} {
		if got := x.Of(c.object); got.Kind != c.want {
			t.Errorf("%s: %s, want %s", c.object.Ref, got.Kind, c.want)
		}
	}
}

// Managed follows copies, though not in circles.
func TestManaged(t *testing.T) {
	secret := func(name, from string) snapshot.Secret {
		return snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: name, Annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflects": from}}}
	}
	s := &snapshot.Snapshot{
		Secrets: []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}}, secret("one", "shop/db"), secret("two", "shop/one"), secret("circle", "shop/circle"), secret("lost", "shop/none")},
		Sources: made("external-secrets.io", "ExternalSecret"),
	}
	x := origin.New(s)
	for i, want := range []bool{true, true, true, false, false} {
		if got := x.Managed(&s.Secrets[i]); got != want {
			t.Errorf("%s: managed is %v", s.Secrets[i].Name, got)
		}
	}
}
