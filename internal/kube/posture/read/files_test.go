package read_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// canary stands for what must never be told.
const canary = "canary-91cc"

const manifests = `
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: ` + canary + `}
---
# nothing but words
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: shop}, spec: {containers: [{name: c, env: [{name: P, valueFrom: {secretKeyRef: {name: db, key: p}}}]}], imagePullSecrets: [{name: pull}]}}
- {apiVersion: v1, kind: List, items: [{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {jobTemplate: {spec: {template: {spec: {serviceAccountName: robot, volumes: [{name: v, secret: {secretName: db}}], containers: []}}}}}}]}
- {apiVersion: example.com/v1, kind: Unknown, metadata: {name: x}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleList
items:
- {metadata: {name: reader}, rules: [{verbs: [get], apiGroups: [""], resources: [secrets]}]}
`

func TestFiles(t *testing.T) {
	f := read.Files{Namespace: "team"}
	if err := f.Add("all.yaml", strings.NewReader(manifests)); err != nil {
		t.Fatal(err)
	}
	s := f.Snapshot(noon)
	if len(f.Wrong) != 0 {
		t.Errorf("taken for wrong: %v", f.Wrong)
	}
	if want := []path.Name{{Namespace: "team", Name: "db"}}; !slices.Equal(s.Names(), want) {
		t.Errorf("Secrets %v, want %v", s.Names(), want)
	}
	if len(s.Pods) != 2 || s.Pods[0].Account != "default" || !slices.Equal(used(s.Pods[0]), []string{"db", "pull"}) ||
		s.Pods[1].Account != "robot" || s.Pods[1].Namespace != "team" || !slices.Equal(used(s.Pods[1]), []string{"db"}) {
		t.Errorf("pods: %+v", s.Pods)
	}
	if len(s.RBAC.ClusterRoles) != 1 || s.RBAC.ClusterRoles[0].Name != "reader" || len(s.RBAC.ClusterRoles[0].Rules) != 1 || !s.RBAC.Aggregate {
		t.Errorf("ClusterRoles: %+v", s.RBAC.ClusterRoles)
	}
	if s.Live || s.Source != "all.yaml" || !s.Taken.Equal(noon) || s.Coverage.Whole("pods") || !s.Coverage.Whole("roles", "secrets") {
		t.Errorf("of itself: %+v", s)
	}
}

// What is wrong is said by its place, without a word of it, and the rest is read.
func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		canary + ": [": "document 1: this is not YAML",
		"a: " + canary: "document 1: this is no Kubernetes object",
		"apiVersion: v1\nkind: Pod\nspec: [" + canary + "]":                                                                       "document 1: this is no Pod",
		`{"apiVersion": "v1", "kind": "List", "items": [{"a": "` + canary + `"}]}`:                                                "document 1, item 1: this is no Kubernetes object",
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"x"},"rules":[{"verbs":"` + canary + `"}]`: "document 1: this is not YAML",
		"apiVersion: v1\nkind: Secret\n--- " + canary:                                                                             "document 2: this is no Kubernetes object",
	} {
		f := read.Files{}
		if err := f.Add("x.yaml", strings.NewReader(text+"\n---\n"+manifests)); err != nil {
			t.Fatal(err)
		}
		if len(f.Wrong) != 1 || !strings.HasPrefix(f.Wrong[0], "x.yaml: "+want) || strings.Contains(f.Wrong[0], canary) {
			t.Errorf("%s: %q, want %q", text, f.Wrong, want)
		}
		if len(f.Snapshot(noon).Pods) != 2 {
			t.Errorf("%s: the rest is not read", text)
		}
	}
	f := read.Files{}
	deep := strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 10) + strings.Repeat("]}", 10)
	if err := f.Add("deep.yaml", strings.NewReader(deep)); err != nil || len(f.Wrong) != 1 || !strings.Contains(f.Wrong[0], "nested too deep") {
		t.Errorf("%v %q", err, f.Wrong)
	}
}

// Nothing counts as read whole if a place of the files may have more of it.
func TestFilesNotWhole(t *testing.T) {
	for text, whole := range map[string]bool{
		"# nothing":                        true,
		"image: web\nreplicas: 2\n":        true, // a chart's values: read, and no object
		"a: [":                             false,
		"kind: Secret\nmetadata: {}\n":     false,
		"items: []\n":                      false,
		"apiVersion: v1\ndata:\n  a: Yg==": false, // cut off above its kind
		`{"apiVersion": "v1", "kind": "List", "items": [{}]}`:                                       false,
		`{"apiVersion": "v1", "kind": "Secret", "data": 1}`:                                         false,
		"apiVersion: v1\nkind: ConfigMap\ndata: {a: " + strings.Repeat("x", 5<<20) + "}":            false,
		"apiVersion: v1\nkind: Pod\nspec: {containers: [" + strings.Repeat("{},", 1<<19) + "{}]}\n": false,
	} {
		f := read.Files{Key: key(t)}
		if err := f.Add("x.yaml", strings.NewReader(manifests+"\n---\n"+text)); err != nil {
			t.Fatal(err)
		}
		s := f.Snapshot(noon)
		for _, r := range []string{"secrets", "secrets/values", "rolebindings", "workloads", "sources"} {
			if s.Coverage.Whole(r) != whole {
				t.Errorf("%.60q: %s: %v", text, r, s.Coverage.Missing(r))
			}
		}
		if len(s.Secrets) == 0 || len(s.Pods) != 2 {
			t.Errorf("%.60q: the rest is not read", text)
		}
	}
	f := read.Files{}
	if err := f.Add("x.yaml", strings.NewReader(strings.Repeat("---\na: [\n", 3000))); err != nil || len(f.Wrong) > 1001 {
		t.Errorf("%v, %d places are noted", err, len(f.Wrong))
	}
	if s := f.Snapshot(noon); !strings.Contains(s.Coverage.Missing("roles")[0], "3000 places") {
		t.Errorf("%q", s.Coverage.Missing("roles"))
	}
}

// A document may begin behind its mark, on the same line. No error has a word of it.
func TestDocumentOnMark(t *testing.T) {
	f := read.Files{}
	text := "--- {apiVersion: v1, kind: Secret, metadata: {name: one}, stringData: {password: " + canary + "}}\n---x " + canary + "\n---\n" + manifests
	if err := f.Add("x.yaml", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if s := f.Snapshot(noon); len(f.Wrong) != 1 || strings.Contains(f.Wrong[0], canary) || len(s.Secrets) != 1 || len(s.Pods) != 2 {
		t.Errorf("%q %+v", f.Wrong, s.Secrets)
	}
	if err := f.Add("y.yaml", strings.NewReader("--- {apiVersion: v1, kind: Secret, metadata: {name: one}}")); err != nil || len(f.Snapshot(noon).Secrets) != 2 {
		t.Error(err, f.Wrong)
	}
}

// Where a release of Helm is too large to be looked into, values are missing, and those of
// other namespaces are not.
func TestReleaseNotRead(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(bytes.Repeat([]byte(" "), 17<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	stored := base64.StdEncoding.EncodeToString(packed.Bytes())
	f := read.Files{Key: key(t)}
	text := manifests + "\n---\n{apiVersion: v1, kind: Secret, metadata: {name: r, namespace: ci}, type: helm.sh/release.v1, stringData: {release: " + stored + "}}\n" +
		"---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: r, namespace: ops, labels: {owner: helm}}, data: {release: " + stored + "}}\n"
	if err := f.Add("x.yaml", strings.NewReader(text)); err != nil || len(f.Wrong) != 0 {
		t.Fatal(err, f.Wrong)
	}
	s := f.Snapshot(noon)
	if v, c := s.Coverage["secrets/values"], s.Coverage["configmaps"]; !slices.Equal(v.Namespaces, []string{"ci"}) || !slices.Equal(c.Namespaces, []string{"ops"}) || !strings.Contains(v.Reason, "Helm") {
		t.Errorf("%+v %+v", v, c)
	}
}

// past is a Deployment without a password, and what still holds the one it had, beside
// what holds nothing that it does not.
const past = `
apiVersion: v1
kind: List
items:
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {spec: {containers: [{name: c, env: [{name: PORT, value: "port-of-web-8443"}]}]}}}}
- {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-new, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}, spec: {replicas: 1, template: {spec: {containers: [{name: c, env: [{name: PORT, value: "port-of-web-8443"}]}]}}}}
- {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-old, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}, spec: {replicas: 0, template: {spec: {containers: [{name: c, env: [{name: PW, value: ` + canary + `-pw}]}]}}}}
- {apiVersion: v1, kind: Pod, metadata: {name: over, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, uid: u, controller: true}]}, spec: {containers: [{name: c, env: [{name: PW, value: ` + canary + `-pw}]}]}, status: {phase: Failed}}
- {apiVersion: v1, kind: Pod, metadata: {name: same, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-new, uid: u, controller: true}]}, spec: {containers: [{name: c, env: [{name: PORT, value: "port-of-web-8443"}]}]}, status: {phase: Succeeded}}
- {apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: db-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}]}, revision: 1, data: {spec: {template: {$patch: replace, spec: {containers: [{name: c, args: [--password, ` + canary + `-pw]}]}}}}}
- {apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: other, namespace: shop}, revision: 1, data: {spec: {login: {password: ` + canary + `-pw}}}}
- {apiVersion: batch/v1, kind: Job, metadata: {name: of-none, namespace: shop, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: gone, uid: u, controller: true}]}, spec: {template: {spec: {containers: [{name: c, env: [{name: PW, value: ` + canary + `-pw}]}]}}}}
`

// What a workload held before is kept where it still stands, without anything else of it.
func TestRevisions(t *testing.T) {
	f := read.Files{Key: key(t)}
	if err := f.Add("past.yaml", strings.NewReader(past)); err != nil || len(f.Wrong) != 0 {
		t.Fatal(err, f.Wrong)
	}
	s := f.Snapshot(noon)
	want := f.Key.Of([]byte(canary + "-pw"))
	var got []string
	for i := range s.Revisions {
		r := &s.Revisions[i]
		got = append(got, r.Kind+" "+r.Name)
		if v := r.Template.Values; len(v) == 0 || len(v[len(v)-1].Prints) == 0 || v[len(v)-1].Prints[0].Print != want || r.Place == "" || r.Template.Account != "" || len(r.Template.Containers) != 0 {
			t.Errorf("%+v", r)
		}
	}
	if all := []string{"ControllerRevision db-1", "Job of-none", "ControllerRevision other", "Pod over", "ReplicaSet web-old"}; !slices.Equal(got, all) {
		t.Errorf("%q, want %q", got, all)
	}
	if len(s.Workloads) != 1 || len(s.Pods) != 1 || len(f.Snapshot(noon).Revisions) != len(got) {
		t.Errorf("%d workloads, %d pods", len(s.Workloads), len(s.Pods))
	}
	if raw, err := json.Marshal(s); err != nil || bytes.Contains(raw, []byte(canary)) {
		t.Errorf("%v: the snapshot tells a value", err)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte(manifests))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[null,{}]}`))
	f.Add([]byte("kind: RoleList\napiVersion: rbac.authorization.k8s.io/v1\nitems: [1, {kind: Role}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		files := read.Files{}
		if err := files.Add("f", strings.NewReader(string(text))); err != nil {
			return
		}
		_ = files.Snapshot(noon).Finder().Readers(path.Name{Namespace: "default", Name: "db"})
	})
}

// used are the Secrets that p uses.
func used(p snapshot.Pod) []string {
	var out []string
	for i := range p.Secrets {
		out = append(out, p.Secrets[i].Secret)
	}
	return out
}

// key makes fingerprints.
func key(t testing.TB) *fingerprint.Key {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{3}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const dump = `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}, data: {password: Y2FuYXJ5LTkxY2M=, sealed: "ENC[AES256_GCM,data:x]"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: app, namespace: shop}, data: {password: ` + canary + `}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: shop}, imagePullSecrets: [{name: pull}]}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: c}, spec: {secretName: tls}}
- {apiVersion: v1, kind: Secret, metadata: {name: sealed, namespace: shop}, data: {a: "ENC[x]"}, sops: {version: 3}}
- {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: shop}, spec: {tls: [{secretName: tls}]}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {spec: {containers: [{name: c}]}}}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: idle, namespace: shop}, spec: {template: {spec: {containers: [{name: c}]}}}}
- {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}, spec: {template: {spec: {containers: [{name: c}]}}}}
- {apiVersion: v1, kind: Pod, metadata: {name: web-1-x, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: u, controller: true}]}, spec: {containers: [{name: c}]}, status: {phase: Running}}
- {apiVersion: v1, kind: Pod, metadata: {name: over, namespace: shop}, spec: {containers: [{name: c}]}, status: {phase: Succeeded}}
`

// A dump, also a packed one, becomes the whole snapshot: pods lead to the highest
// owner, and are made up only where none runs.
func TestDump(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(dump)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	f := read.Files{Key: key(t)}
	if err := f.Add("dump.yaml.gz", &packed); err != nil || len(f.Wrong) != 0 {
		t.Fatal(err, f.Wrong)
	}
	s := f.Snapshot(noon)
	if raw, err := json.Marshal(s); err != nil || bytes.Contains(raw, []byte(canary)) || bytes.Contains(raw, []byte("Y2FuYXJ5LTkxY2M")) {
		t.Errorf("%v %s", err, raw)
	}
	var pods []string
	for i := range s.Pods {
		pods = append(pods, s.Pods[i].Name+" of "+s.Pods[i].Workload.String())
	}
	if want := []string{"idle of Deployment shop/idle", "web-1-x of Deployment shop/web"}; !slices.Equal(pods, want) {
		t.Errorf("pods %q, want %q", pods, want)
	}
	if len(s.Workloads) != 2 || len(s.Namespaces) != 1 || len(s.Accounts) != 1 || len(s.Uses) != 2 || s.Uses[0].To.Name != "tls" || s.Uses[1].To.Name != "pull" || s.Key != f.Key.ID() {
		t.Errorf("%+v", s)
	}
	if len(s.Secrets) != 2 || !slices.Equal(s.Secrets[0].Keys, []string{"password", "sealed"}) || s.Secrets[0].Place != "dump.yaml.gz: document 1, item 1" || !s.Coverage.Whole("secrets/values") {
		t.Fatalf("%+v", s.Secrets)
	}
	if a, b := s.Secrets[0].Values[0], s.ConfigMaps[0].Values[0]; a.Prints[0].Print != b.Prints[0].Print || a.Looks != snapshot.LooksNamed {
		t.Errorf("the copy has another print: %+v %+v", a, b)
	}
	if len(s.Sources) != 2 || s.Sources[0].Kind != "Certificate" || s.Sources[0].Namespace != "default" || s.Sources[0].Place != "dump.yaml.gz: document 1, item 5" || s.Sources[1].Kind != "SOPS" || s.Sources[1].Makes[0].Name != "sealed" {
		t.Errorf("sources: %+v", s.Sources)
	}
	if again := f.Snapshot(noon); len(again.Pods) != 2 || len(again.Uses) != 2 || len(again.Sources) != 2 {
		t.Errorf("asked again: %d pods, %d uses", len(again.Pods), len(again.Uses))
	}
}
