package trace_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
)

// canary is the password that has copies here.
const canary = "canary-81c2/Xq+9"

func keyOf(t testing.TB, fill byte) *fingerprint.Key {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{fill}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// seen is a snapshot of manifests.
func seen(t testing.TB, text string) *snapshot.Snapshot {
	t.Helper()
	f := read.Files{Key: keyOf(t, 1)}
	if err := f.Add("here.yaml", strings.NewReader(text)); err != nil || len(f.Wrong) > 0 {
		t.Fatal(err, f.Wrong)
	}
	return f.Snapshot(gentest.Now())
}

const original = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {username: shop_reader, password: " + canary + ", host: db.shop.example}\n---\n"

// of is the credential of shop/db that is in its key password.
func of(t testing.TB, g *trace.Graph) *trace.Report {
	t.Helper()
	list, ok := g.Resolve("", path.Name{Namespace: "shop", Name: "db"})
	if !ok {
		t.Fatal("shop/db is not there")
	}
	for _, c := range list {
		if r := g.Trace(c); slices.Contains(r.Keys, "password") {
			return r
		}
	}
	t.Fatalf("none of %d credentials is in the key password", len(list))
	return nil
}

func objects(r *trace.Report) string {
	var out []string
	for _, c := range r.Copies {
		out = append(out, c.Object.String())
	}
	return strings.Join(out, ", ")
}

// What is not in force any more holds a copy, and is told from what uses the credential.
func TestCopiesOfThePast(t *testing.T) {
	text := original + "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {spec: {containers: [{name: c}]}}}\n---\n" +
		"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}\n" +
		"spec: {replicas: 0, template: {spec: {containers: [{name: c, env: [{name: DB_PASSWORD, value: " + canary + "}]}]}}}\n---\n" +
		"apiVersion: apps/v1\nkind: ControllerRevision\nmetadata: {name: db-1, namespace: shop}\ndata: {spec: {template: {spec: {containers: [{name: c, env: [{name: DB_PASSWORD, value: " + canary + "}]}]}}}}\n---\n" +
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: sees}\nrules: [{verbs: [get], apiGroups: [apps], resources: [controllerrevisions]}]\n---\n" +
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: sees}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sees}\nsubjects: [{kind: User, name: eve, apiGroup: rbac.authorization.k8s.io}]\n"
	r := of(t, graph(t, trace.Cluster{Snapshot: seen(t, text)}))
	if got := objects(r); got != "Secret shop/db, ControllerRevision shop/db-1, ReplicaSet shop/web-1" {
		t.Errorf("copies: %s", got)
	}
	if len(r.Consumers) != 0 {
		t.Errorf("consumers: %+v", r.Consumers)
	}
	if len(r.Readers) != 1 || r.Readers[0].Count != 1 || r.Readers[0].First[0].Steps[0] != "ReadCopy ControllerRevision shop/db-1" {
		t.Errorf("readers: %+v", r.Readers)
	}
}

// What a copy is, and what is none: a user's name, a host, a setting in common join nothing.
func TestCopies(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct{ text, want string }{
		"the same value in another key": {"kind: Secret\nmetadata: {name: copy, namespace: web}\nstringData: {PGPASS: " + canary + "}", "Secret web/copy"},
		"in a connection string":        {"kind: Secret\nmetadata: {name: copy, namespace: web}\nstringData: {dsn: 'host=db.other user=other password=" + canary + "'}", "Secret web/copy"},
		"in a URL of a ConfigMap":       {"kind: ConfigMap\nmetadata: {name: copy, namespace: web}\ndata: {url: 'postgres://u:canary-81c2%2FXq%2B9@h/d'}", "ConfigMap web/copy"},
		"in YAML of a ConfigMap":        {"kind: ConfigMap\nmetadata: {name: copy, namespace: web}\ndata: {app.yaml: \"db:\\n  host: x\\n  password: " + canary + "\\n\"}", "ConfigMap web/copy"},
		"with a line's end":             {"kind: Secret\nmetadata: {name: copy, namespace: web}\ndata: {pass: " + b64(canary+"\n") + "}", "Secret web/copy"},
		"base64 twice":                  {"kind: Secret\nmetadata: {name: copy, namespace: web}\ndata: {pass: " + b64(b64(canary)) + "}", "Secret web/copy"},
		"a literal of a workload":       {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: copy, namespace: web}\nspec: {template: {spec: {containers: [{name: c, env: [{name: DB_PASSWORD, value: " + canary + "}]}]}}}", "Deployment web/copy"},
		"values of a HelmRelease":       {"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: copy, namespace: web}\nspec: {values: {db: {anything: " + canary + "}}}", "HelmRelease web/copy"},
		"values of an Application":      {"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: copy, namespace: web}\nspec: {source: {helm: {values: \"a:\\n  b: " + canary + "\\n\"}}}", "Application web/copy"},
		"a parameter of a Workflow":     {"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: copy, namespace: web}\nspec: {arguments: {parameters: [{name: password, value: " + canary + "}]}}", "Workflow web/copy"},
		"last-applied of any":           {"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: copy, namespace: web, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"metadata\": {}, \"spec\": {\"url\": \"https://u:canary-81c2%2FXq%2B9@h/d\"}}'}}", "Ingress web/copy"},
		"a reference of a HelmRelease":  {"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: other, namespace: web}\nspec: {values: {existingSecret: db, userName: shop_reader, host: db.shop.example}}", ""},
		"an annotation":                 {"kind: Service\nmetadata: {name: x, namespace: web}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: copy, namespace: web, annotations: {example.com/db-password: " + canary + "}}", "ConfigMap web/copy"},
		"the user's name":               {"kind: Secret\nmetadata: {name: other, namespace: web}\nstringData: {username: shop_reader, password: another-canary-5}", ""},
		"the user and host in a URL":    {"kind: Secret\nmetadata: {name: other, namespace: web}\nstringData: {url: 'postgres://shop_reader:another-canary-5@db.shop.example/x'}", ""},
		"the user in a keyword string":  {"kind: Secret\nmetadata: {name: other, namespace: web}\nstringData: {dsn: 'host=db.shop.example user=shop_reader password=another-canary-5'}", ""},
		"the host in a ConfigMap":       {"kind: ConfigMap\nmetadata: {name: other, namespace: web}\ndata: {DB_HOST: db.shop.example, DB_USER: shop_reader}", ""},
		"a longer password":             {"kind: Secret\nmetadata: {name: other, namespace: web}\nstringData: {password: " + canary + "0}", ""},
		"a hash of nothing, and a word": {"kind: Secret\nmetadata: {name: other, namespace: web}\nstringData: {password: changeme}", ""},
	} {
		text := original + "apiVersion: v1\n" + c.text
		if strings.HasPrefix(c.text, "apiVersion") {
			text = original + c.text
		}
		r := of(t, graph(t, trace.Cluster{Snapshot: seen(t, text)}))
		if want := strings.TrimSuffix("Secret shop/db, "+c.want, ", "); objects(r) != want {
			t.Errorf("%s: %s, want %s", name, objects(r), want)
		}
		if raw, err := json.Marshal(r); err != nil || strings.Contains(string(raw), "canary-81c2") || strings.Contains(string(raw), b64(canary)) {
			t.Errorf("%s: a value is told: %v %s", name, err, raw)
		}
	}
}

// Two passwords in one file that both have other copies are two credentials.
func TestTwoInOneFile(t *testing.T) {
	text := original + `apiVersion: v1
kind: ConfigMap
metadata: {name: both, namespace: web}
data: {app.json: '{"db": {"password": "` + canary + `"}, "queue": {"password": "canary-of-the-queue"}}'}
---
apiVersion: v1
kind: Secret
metadata: {name: queue, namespace: web}
stringData: {password: canary-of-the-queue}
`
	g := graph(t, trace.Cluster{Snapshot: seen(t, text)})
	if got := objects(of(t, g)); got != "Secret shop/db, ConfigMap web/both" {
		t.Errorf("one: %s", got)
	}
	list, _ := g.Resolve("", path.Name{Namespace: "web", Name: "queue"})
	if len(list) != 1 || objects(g.Trace(list[0])) != "Secret web/queue, ConfigMap web/both" {
		t.Errorf("the other: %d, %s", len(list), objects(g.Trace(list[0])))
	}
}

// Clusters are compared by fingerprints of one key, and not by those of two.
func TestClusters(t *testing.T) {
	one, two := seen(t, original), seen(t, original)
	g := graph(t, trace.Cluster{Name: "east", Snapshot: one}, trace.Cluster{Name: "west", Snapshot: two})
	list, ok := g.Resolve("west", path.Name{Namespace: "shop", Name: "db"})
	if !ok || len(list) != 1 {
		t.Fatalf("%d credentials", len(list))
	}
	if r := g.Trace(list[0]); len(r.Copies) != 2 || r.Copies[0].Cluster == r.Copies[1].Cluster || len(r.Readers) != 2 {
		t.Errorf("%+v", r.Copies)
	}
	two.Key = "another"
	if _, err := trace.New(trace.Config{Clusters: []trace.Cluster{{Name: "east", Snapshot: one}, {Name: "west", Snapshot: two}}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("two keys: %v", err)
	}
	if _, err := trace.New(trace.Config{Clusters: []trace.Cluster{{Snapshot: one}, {Snapshot: one}}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("two of one name: %v", err)
	}
}

// A Secret whose values are not read, or say nothing, is there all the same.
func TestUnknownValues(t *testing.T) {
	s := &snapshot.Snapshot{Secrets: []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Keys: []string{"password"}}}}
	list, ok := graph(t, trace.Cluster{Snapshot: s}).Resolve("", path.Name{Namespace: "shop", Name: "db"})
	if !ok || len(list) != 1 || list[0].Known() || list[0].ID() != "shop/db" {
		t.Errorf("%v %+v", ok, list)
	}
}

func secret(ns, name string, m snapshot.Meta) snapshot.Secret {
	m.Namespace, m.Name = ns, name
	return snapshot.Secret{Meta: m}
}

// Where content comes from, by what is surest.
func TestOrigin(t *testing.T) {
	to := []snapshot.Ref{{Kind: "Secret", Namespace: "shop", Name: "db"}}
	controller := func(group, kind, name string) []snapshot.Owner {
		return []snapshot.Owner{{Ref: snapshot.Ref{Group: group, Kind: kind, Namespace: "shop", Name: name}, Controller: true}}
	}
	whole := snapshot.Coverage{"sources": {}, "secrets": {}, "secrets/values": {}, "serviceaccounts": {}}
	for name, c := range map[string]struct {
		meta     snapshot.Meta
		kind     string
		account  string
		sources  []snapshot.Source
		want     origin.Kind
		by       string
		orphaned int
	}{
		"an ExternalSecret":          {sources: []snapshot.Source{{Meta: snapshot.Meta{Namespace: "shop", Name: "x"}, Group: "external-secrets.io", Kind: "ExternalSecret", Makes: to, Ready: "True"}}, want: origin.Store, by: "ExternalSecret shop/x"},
		"one that is not ready":      {sources: []snapshot.Source{{Meta: snapshot.Meta{Namespace: "shop", Name: "x"}, Group: "external-secrets.io", Kind: "ExternalSecret", Makes: to, Ready: "False", Reason: "SecretSyncedError"}}, want: origin.Store, by: "ExternalSecret shop/x", orphaned: 1},
		"one that draws":             {sources: []snapshot.Source{{Meta: snapshot.Meta{Namespace: "shop", Name: "x"}, Group: "external-secrets.io", Kind: "ExternalSecret", Makes: to, Generator: true}}, want: origin.Generator, by: "ExternalSecret shop/x"},
		"one that is gone":           {meta: snapshot.Meta{Owners: controller("external-secrets.io", "ExternalSecret", "x")}, want: origin.Store, by: "ExternalSecret shop/x", orphaned: 1},
		"another operator's":         {meta: snapshot.Meta{Owners: controller("postgresql.cnpg.io", "Cluster", "x")}, want: origin.Operator, by: "Cluster shop/x"},
		"a SealedSecret":             {sources: []snapshot.Source{{Meta: snapshot.Meta{Namespace: "shop", Name: "x"}, Group: "bitnami.com", Kind: "SealedSecret", Makes: to}}, want: origin.Sealed, by: "SealedSecret shop/x"},
		"a Certificate":              {sources: []snapshot.Source{{Meta: snapshot.Meta{Namespace: "shop", Name: "x"}, Group: "cert-manager.io", Kind: "Certificate", Makes: to}}, want: origin.Issuer, by: "Certificate shop/x"},
		"a ServiceAccount's token":   {kind: "kubernetes.io/service-account-token", account: "web", want: origin.Kubernetes, by: "ServiceAccount shop/web", orphaned: 1},
		"a mirror":                   {meta: snapshot.Meta{Annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflects": "shop/db"}}, want: origin.Mirror, by: "Secret shop/db"},
		"a mirror of what is gone":   {meta: snapshot.Meta{Annotations: map[string]string{"replicator.v1.mittwald.de/replicate-from": "ops/db"}}, want: origin.Mirror, by: "Secret ops/db", orphaned: 1},
		"Helm":                       {meta: snapshot.Meta{Annotations: map[string]string{"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"}}, want: origin.Helm, by: "Release shop/shop"},
		"Flux":                       {meta: snapshot.Meta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}}, want: origin.GitOps},
		"kubectl":                    {meta: snapshot.Meta{Writers: []snapshot.Writer{{Manager: "kubectl-create", Content: true}, {Manager: "kubelet"}}}, want: origin.Hand},
		"a program":                  {meta: snapshot.Meta{Writers: []snapshot.Writer{{Manager: "syncer", Content: true}}}, want: origin.Client},
		"Terraform":                  {meta: snapshot.Meta{Writers: []snapshot.Writer{{Manager: "terraform", Content: true}}}, want: origin.Manifest},
		"nothing that says anything": {want: origin.Unknown},
	} {
		s := &snapshot.Snapshot{Secrets: []snapshot.Secret{secret("shop", "db", c.meta)}, Sources: c.sources, Coverage: whole}
		s.Secrets[0].Type, s.Secrets[0].Account = c.kind, c.account
		g := graph(t, trace.Cluster{Snapshot: s})
		list, _ := g.Resolve("", path.Name{Namespace: "shop", Name: "db"})
		r := g.Trace(list[0])
		by := ""
		if r.Source.By.Name != "" {
			by = r.Source.By.String()
		}
		if r.Source.Kind != c.want || by != c.by || len(r.Orphaned) != c.orphaned {
			t.Errorf("%s: %s by %q, orphaned %q; want %s by %q", name, r.Source.Kind, by, r.Orphaned, c.want, c.by)
		}
	}
}

// Who uses a credential uses the keys that hold it.
func TestConsumers(t *testing.T) {
	text := original + `apiVersion: apps/v1
kind: Deployment
metadata: {name: by-name, namespace: shop, labels: {team: checkout}}
spec: {template: {spec: {containers: [{name: c, env: [{name: U, valueFrom: {secretKeyRef: {name: db, key: username}}}]}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: by-password, namespace: shop}
spec: {template: {spec: {containers: [{name: c, env: [{name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}]}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: by-all, namespace: shop}
spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: {spec: {containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: elsewhere, namespace: web}
spec: {template: {spec: {containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}}}
`
	r := of(t, graph(t, trace.Cluster{Snapshot: seen(t, text)}))
	var got []string
	for _, c := range r.Consumers {
		got = append(got, c.Object.String())
	}
	if want := []string{"CronJob shop/by-all", "Deployment shop/by-password"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// That nothing uses a Secret is said only of what was read.
func TestUnused(t *testing.T) {
	s := seen(t, original)
	if r := of(t, graph(t, trace.Cluster{Snapshot: s})); r.Unused != "cannot tell" || len(r.Missing) == 0 {
		t.Errorf("of files: %q, %v", r.Unused, r.Missing)
	}
	for _, part := range []string{"pods", "workloads", "serviceaccounts", "uses", "sources"} {
		s.Coverage[part] = snapshot.Gap{}
	}
	if r := of(t, graph(t, trace.Cluster{Snapshot: s})); r.Unused != "yes" {
		t.Errorf("of all: %q, %v", r.Unused, r.Missing)
	}
	s.Uses = []snapshot.Use{{From: snapshot.Ref{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "shop", Name: "web"}, Field: "spec.tls[0].secretName", To: snapshot.Ref{Kind: "Secret", Namespace: "shop", Name: "db"}}}
	if r := of(t, graph(t, trace.Cluster{Snapshot: s})); r.Unused != "no" || len(r.Consumers) != 1 || r.Consumers[0].Uses[0] != "spec.tls[0].secretName of Secret shop/db" {
		t.Errorf("by an Ingress: %+v", r)
	}
}

// Age, owner, rotation, and what a path of a store is the source of.
func TestAbout(t *testing.T) {
	s := seen(t, original)
	at := gentest.Now().Add(-100 * 24 * time.Hour)
	s.Secrets[0].Created = at
	s.Secrets[0].Annotations = map[string]string{"strongkeep.io/versions": `{"vault|shop/db": "7"}`}
	s.Namespaces = []snapshot.Namespace{{Meta: snapshot.Meta{Name: "shop", Labels: map[string]string{"team": "checkout", "environment": "prod"}}}}
	remote := []snapshot.Remote{{Path: "shop/db", Key: "password"}}
	yes := true
	s.Stores = []snapshot.Store{{Meta: snapshot.Meta{Name: "vault"}, Kind: "ClusterSecretStore", Provider: "vault", Server: "https://vault:8200", Mount: "secret"}}
	s.Sources = []snapshot.Source{
		{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Group: "external-secrets.io", Kind: "ExternalSecret", Makes: []snapshot.Ref{{Kind: "Secret", Namespace: "shop", Name: "db"}}, Remote: remote, Store: snapshot.Ref{Kind: "ClusterSecretStore", Name: "vault"}},
		{Meta: snapshot.Meta{Namespace: "shop", Name: "turn"}, Group: "strongkeep.io", Kind: "Rotation", Rotates: 24 * time.Hour, Proven: &yes, Remote: []snapshot.Remote{{Path: "/shop/db"}}},
		{Meta: snapshot.Meta{Namespace: "shop", Name: "push"}, Group: "external-secrets.io", Kind: "PushSecret", Reads: []snapshot.Ref{{Kind: "Secret", Namespace: "shop", Name: "db"}}, Remote: []snapshot.Remote{{Path: "other/place"}}, Store: snapshot.Ref{Kind: "ClusterSecretStore", Name: "vault"}},
	}
	g := graph(t, trace.Cluster{Snapshot: s})
	r := of(t, g)
	switch {
	case r.Days != 100 || !r.Age.AtMost:
		t.Errorf("age %d, %+v", r.Days, r.Age)
	case r.Owner != trace.Owner{Team: "checkout", Environment: "prod"}:
		t.Errorf("owner %+v", r.Owner)
	case r.Rotation == nil || r.Rotation.Seconds != 86400 || !*r.Rotation.Proven:
		t.Errorf("rotation %+v", r.Rotation)
	case r.Source.Store != "vault https://vault:8200 secret" || r.Versions["vault|shop/db"] != "7":
		t.Errorf("source %+v, versions %v", r.Source, r.Versions)
	case len(r.Targets) != 1 || r.Targets[0].Remote[0].Path != "other/place":
		t.Errorf("pushed to %+v", r.Targets)
	}
	for at, want := range map[string]int{"shop/db": 1, "secret/shop/db": 1, "secret/data/shop/db": 1, "other/place": 1, "shop": 0, "kv/shop/db": 0} {
		if got := g.OfVault(at); len(got) != want {
			t.Errorf("%s: %d credentials, want %d", at, len(got), want)
		}
	}
}

// What a vault was read to hold is the source of what is equal.
func TestVault(t *testing.T) {
	g := graph(t, trace.Cluster{Snapshot: seen(t, original)})
	g.AddVault("secret/anything", []snapshot.Value{{Field: "data.pw", Prints: keyOf(t, 1).Prints([]byte(canary))}})
	if r := of(t, g); objects(r) != "Secret shop/db, Vault secret/anything" {
		t.Errorf("%s", objects(r))
	}
	if list := g.OfVault("secret/anything"); len(list) != 1 {
		t.Errorf("%d credentials of the path", len(list))
	}
}

// Copies of a Secret are ways to it; those of its other keys are not ways to a credential.
func TestReaders(t *testing.T) {
	s := seen(t, original+`apiVersion: v1
kind: ConfigMap
metadata: {name: copy, namespace: web}
data: {password: `+canary+`}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: maps, namespace: web}
rules: [{verbs: [get], apiGroups: [""], resources: [configmaps]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: maps, namespace: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: maps}
subjects: [{kind: User, name: eve}]
`)
	g := graph(t, trace.Cluster{Snapshot: s})
	r := of(t, g)
	if len(r.Readers) != 1 || r.Readers[0].Count != 1 || r.Readers[0].First[0].Steps[0] != "ReadCopy ConfigMap web/copy" || r.Readers[0].Builtin != 1 {
		t.Errorf("%+v", r.Readers)
	}
	config := s.Paths()
	config.Copies = g.Copies("")
	readers := path.New(config).Readers(path.Name{Namespace: "shop", Name: "db"})
	if !slices.ContainsFunc(readers, func(r path.Reader) bool { return r.Subject.Name == "eve" }) {
		t.Errorf("who-can misses who reads a copy: %+v", readers)
	}
}

// Who reads a custom resource that holds a copy is named, by that resource alone: kinds of
// other groups have the same names.
func TestReadersOfCustom(t *testing.T) {
	grant := func(who, group, resource string) string {
		return "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: " + who + ", namespace: web}\nrules: [{verbs: [get], apiGroups: [" + group + "], resources: [" + resource + "]}]\n" +
			"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: " + who + ", namespace: web}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: " + who + "}\nsubjects: [{kind: User, name: " + who + "}]\n"
	}
	s := seen(t, original+"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: copy, namespace: web}\nspec: {values: {db: {anything: "+canary+"}}}\n---\n"+
		"apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: train, namespace: web}\nspec: {tasks: [{env: [{name: DB_PASSWORD, value: "+canary+"}]}]}\n"+
		grant("helmer", "helm.toolkit.fluxcd.io", "helmreleases")+grant("charter", "source.toolkit.fluxcd.io", "helmcharts")+grant("jobber", "batch", "jobs"))
	g := graph(t, trace.Cluster{Snapshot: s})
	r := of(t, g)
	if got := objects(r); got != "Secret shop/db, HelmRelease web/copy, Job web/train" {
		t.Errorf("copies: %s", got)
	}
	if len(r.Readers) != 1 || r.Readers[0].Count != 1 || r.Readers[0].First[0].Subject != "User/helmer" || r.Readers[0].First[0].Steps[0] != "ReadCopy HelmRelease web/copy" {
		t.Errorf("readers: %+v", r.Readers)
	}
	// Of a kind that the table does not have there is no resource: that of another group is none.
	for _, c := range g.Copies("")(path.Name{Namespace: "shop", Name: "db"}) {
		if c.Kind == "Job" {
			t.Errorf("the copy in a Job of %q is read as %s", c.Group, c.Resource)
		}
	}
}
