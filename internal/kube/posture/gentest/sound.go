package gentest

import (
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

const day = 24 * time.Hour

// store is where all credentials of a sound cluster come from.
var store = snapshot.Ref{Group: "external-secrets.io", Kind: "ClusterSecretStore", Name: "vault"}

// AuditPolicy is one that leaves nothing out and writes no value down.
const AuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// sound makes of the cluster one in which everything is as the checklist wants it, with
// things in it that only look as if they were not.
func (g *Cluster) sound() {
	for _, r := range []string{"admissions", "encryption", "audit-policy", "activity", "metrics", "nodes"} {
		g.Coverage[r] = snapshot.Gap{}
	}
	g.Stores = append(g.Stores, snapshot.Store{Meta: snapshot.Meta{Name: store.Name}, Kind: store.Kind, Provider: "vault", Server: "https://vault.example", Mount: "secret", Ready: "True"})
	g.Activity = &snapshot.Activity{Place: "audit.log", From: Now().Add(-120 * day), To: Now()}
	for i := range g.Secrets {
		g.manage(&g.Secrets[i])
	}
	for i := range g.Services {
		s := &g.Services[i]
		for _, name := range s.Secrets {
			g.act(access.ServiceAccount(s.Namespace, s.Name), "get", s.Namespace, name)
		}
	}
	for i := range g.Workloads { // their pods share the templates
		uses := g.Workloads[i].Template.Secrets
		for j := range uses {
			uses[j] = consumer.Use{Kind: consumer.UseVolume, Secret: uses[j].Secret, Container: "app", Where: "/etc/" + uses[j].Secret, Volume: uses[j].Secret}
		}
	}
	for i := range g.Namespaces {
		n := &g.Namespaces[i]
		n.Annotations = map[string]string{reviewedBy: Now().Add(-10*day).Format(time.RFC3339) + " by jane@example.com"}
		g.issued(n.Name, "web", 60*day, true)
		g.decoys(n.Name)
	}
	g.plane()
}

// reviewedBy is the annotation of a namespace that says when its access was reviewed.
const reviewedBy = "strongkeep.io/access-reviewed"

// manage has an ExternalSecret make s, and a Rotation turn it.
func (g *Cluster) manage(s *snapshot.Secret) {
	g.sourced(s)
	g.Sources = append(g.Sources, snapshot.Source{
		Meta: snapshot.Meta{Namespace: s.Namespace, Name: s.Name}, Group: "strongkeep.io", Kind: "Rotation", Store: store,
		Remote: []snapshot.Remote{{Path: s.Namespace + "/" + s.Name}}, Rotates: 30 * day, Synced: Now().Add(-10 * day), Ready: "True",
	})
}

// sourced has an ExternalSecret make s.
func (g *Cluster) sourced(s *snapshot.Secret) {
	s.Changed = Now().Add(-10 * day)
	s.Writers = []snapshot.Writer{{Manager: "external-secrets", Operation: "Apply", Time: s.Changed, Content: true}, {Manager: "kubectl-label", Operation: "Update", Time: Now()}}
	s.Owners = []snapshot.Owner{{Ref: snapshot.Ref{Group: "external-secrets.io", Kind: "ExternalSecret", Namespace: s.Namespace, Name: s.Name}, Controller: true}}
	g.Sources = append(g.Sources, snapshot.Source{
		Meta: snapshot.Meta{Namespace: s.Namespace, Name: s.Name}, Group: "external-secrets.io", Kind: "ExternalSecret", Store: store, Interval: time.Hour, Ready: "True",
		Makes: []snapshot.Ref{{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}}, Remote: []snapshot.Remote{{Path: s.Namespace + "/" + s.Name}},
	})
}

// act is one kind of request of Secrets that the audit log shows.
func (g *Cluster) act(who access.Subject, verb, namespace, name string) {
	id := who.Identity()
	a := snapshot.Act{User: id.Name, Groups: id.Groups, Verb: verb, Resource: "secrets", Namespace: namespace, Name: name, Count: 3, Last: Now().Add(-day)}
	if a.User == "" {
		a.User = "jane@example.com"
	}
	g.Activity.Acts = append(g.Activity.Acts, a)
}

// plane is the control plane: a KMS, an audit policy, a policy against Secrets made by
// hand, a repository without secrets, and the rights that Kubernetes ships.
func (g *Cluster) plane() {
	flags := map[string]string{"encryption-provider-config": "/etc/kubernetes/encryption.yaml", "audit-policy-file": "/etc/kubernetes/audit.yaml", "audit-log-path": "/var/log/audit.log",
		"service-account-extend-token-expiration": "false"}
	g.Control = snapshot.Control{
		Version: "v1.36.1", Servers: []snapshot.Server{{Name: "kube-apiserver-one", Flags: flags}}, AuditPolicy: []byte(AuditPolicy), AuditPlace: "audit.yaml",
		Encryption: &snapshot.Encryption{Place: "encryption.yaml", Rules: []snapshot.Rule{{Resources: []string{"secrets"}, Providers: []snapshot.EncryptionProvider{{Kind: "kms", Name: "kms", APIVersion: "v2"}}}}},
	}
	g.Admissions = []snapshot.Admission{{Meta: snapshot.Meta{Name: "secrets-by-controllers"}, Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy", Secrets: true, Enforced: true, Hands: true}}
	g.Repos = []snapshot.Repo{{
		Place: "git/platform", Git: true, Blobs: 5000, Compared: len(g.Secrets),
		Pipelines: []snapshot.Pipeline{{File: ".github/workflows/build.yaml", Kind: "github", Secrets: 2}},
	}}
	shipped := metav1.ObjectMeta{Name: "cluster-admin", Labels: map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}}
	g.RBAC.ClusterRoles = append(g.RBAC.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: shipped, Rules: []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}})
	g.RBAC.ClusterRoleBindings = append(g.RBAC.ClusterRoleBindings, rbacv1.ClusterRoleBinding{
		ObjectMeta: shipped, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: shipped.Name}, Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, Name: access.Masters}},
	})
	g.role("", "node-viewer", access.ServiceAccount(g.Namespaces[0].Name, "node-viewer"), rule("list", "", "nodes")) // what no Role could grant
}

// issued is a certificate of 90 days, of which left are left, that cert-manager made, and
// unless it is gone its Certificate. It returns their name.
func (g *Cluster) issued(ns, name string, left time.Duration, there bool) snapshot.Ref {
	name += "-tls"
	changed := Now().Add(left - 90*day)
	g.Secrets = append(g.Secrets, snapshot.Secret{
		Meta: snapshot.Meta{
			Namespace: ns, Name: name, Created: changed, Annotations: map[string]string{"cert-manager.io/certificate-name": name},
			Writers: []snapshot.Writer{{Manager: "cert-manager-certificates-issuing", Operation: "Apply", Time: changed, Content: true}},
		},
		Type: "kubernetes.io/tls", Read: true, Changed: changed, Keys: []string{"tls.crt", "tls.key"}, Values: g.pair(),
		Certificate: &snapshot.Certificate{Key: "tls.crt", Subject: "CN=" + name, Issuer: "CN=shop", DNSNames: []string{name + ".example.com"}, NotBefore: changed, NotAfter: Now().Add(left)},
	})
	ref := snapshot.Ref{Kind: "Secret", Namespace: ns, Name: name}
	if there {
		g.Sources = append(g.Sources, snapshot.Source{Meta: snapshot.Meta{Namespace: ns, Name: name}, Group: "cert-manager.io", Kind: "Certificate", Ready: "True", Makes: []snapshot.Ref{ref}, Expires: Now().Add(left)})
	}
	return ref
}

// pair are the values of a certificate and its key.
func (g *Cluster) pair() []snapshot.Value {
	return []snapshot.Value{
		g.Value("data.tls.crt", "-----BEGIN CERTIFICATE-----\n"+g.word(64)+"\n-----END CERTIFICATE-----\n", snapshot.LooksCert),
		g.Value("data.tls.key", "-----BEGIN PRIVATE KEY-----\n"+g.word(64)+"\n-----END PRIVATE KEY-----\n", snapshot.LooksPrivateKey),
	}
}

// decoys are things that only look like faults.
func (g *Cluster) decoys(ns string) {
	meta := func(name string) snapshot.Meta {
		return snapshot.Meta{Namespace: ns, Name: name, Created: Now().Add(-300 * day)}
	}
	g.secret(&Service{Name: "shared", Namespace: ns}, "shared")
	g.manage(&g.Secrets[len(g.Secrets)-1])
	// A copy of what is managed and rotated is that too.
	mirror := snapshot.Secret{Meta: meta("mirror"), Type: "Opaque", Read: true, Changed: Now().Add(-200 * day), Keys: []string{"password"}, Values: g.Secrets[len(g.Secrets)-1].Values[:1]}
	mirror.Annotations = map[string]string{"reflector.v1.k8s.emberstack.com/reflects": ns + "/shared"}
	// A CA to verify by, a release, what an operator makes up and changes.
	ca := snapshot.Secret{Meta: meta("ca"), Type: "Opaque", Read: true, Keys: []string{"ca.crt"}, Values: []snapshot.Value{g.Value("data.ca.crt", "-----BEGIN CERTIFICATE-----\n"+g.word(64), snapshot.LooksCert)}}
	release := snapshot.Secret{Meta: meta("sh.helm.release.v1.shop.v1"), Type: "helm.sh/release.v1", Read: true, Keys: []string{"release"}, Release: &snapshot.Release{Name: "shop", Revision: 1}}
	release.Writers = []snapshot.Writer{{Manager: "kubectl-create", Time: Now(), Content: true}}
	made := snapshot.Secret{Meta: meta("postgres"), Type: "Opaque", Read: true, Changed: Now().Add(-5 * day), Keys: []string{"password"}, Values: []snapshot.Value{g.Value("data.password", g.word(20), snapshot.LooksNamed)}}
	made.Owners = []snapshot.Owner{{Ref: snapshot.Ref{Group: "acid.zalan.do", Kind: "postgresql", Namespace: ns, Name: "postgres"}, Controller: true}}
	g.Secrets = append(g.Secrets, mirror, ca, release, made)
	// Paths, digests and certificates in plain sight.
	g.ConfigMaps = append(g.ConfigMaps, snapshot.ConfigMap{Meta: meta("settings"), Keys: []string{"checksum", "passwordFile"}, Values: []snapshot.Value{
		g.Value("data.checksum", g.word(64), snapshot.LooksRandom), g.Value("data.passwordFile", "/etc/db/password", snapshot.LooksReference),
	}})
	no := false
	t := snapshot.Template{
		Account: "default", Automount: &no, Containers: []snapshot.Container{{Name: "app", Image: "registry.example/app:1"}},
		Values:  []snapshot.Value{g.Value("spec.containers[app].env[PASSWORD_FILE]", "/etc/db/password", snapshot.LooksReference), g.Value("spec.containers[app].env[REVISION]", g.word(40), snapshot.LooksRandom)},
		Secrets: []consumer.Use{{Kind: consumer.UseEnv, Secret: "ca", Container: "app", Where: "CA", Key: "ca.crt"}, {Kind: consumer.UseVolume, Secret: "shared", Container: "app", Where: "/etc/db"}},
		Tokens:  []snapshot.Token{{Audience: "vault", Seconds: 3600}},
	}
	g.Workloads = append(g.Workloads, snapshot.Workload{Meta: meta("decoy"), Group: "apps", Kind: "Deployment", Template: t})
	// A Role of one Secret, that is used; a right that is none of Secrets.
	who := access.ServiceAccount(ns, "reader")
	g.role(ns, "reader", who, rule("get", "", "secrets", "shared"))
	g.act(who, "get", ns, "shared")
}

// Prints of a value that stands nowhere else.
func (g *Cluster) alone() []fingerprint.Part { return g.Key.Prints([]byte(g.word(32))) }

// planted names the i-th object of a fault.
func planted(rule string, i int) string { return fmt.Sprintf("fault-%s-%d", rule, i) }
