package record_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

const canary = "canary-4c1e-Zk3Qw9"

func maker(t testing.TB) *record.Maker {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{7}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return &record.Maker{Key: k}
}

func parse[T any](t testing.TB, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// silent fails if what is kept tells the canary, in whatever encoding.
func silent(t testing.TB, kept any) {
	t.Helper()
	raw, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	for shift := range 3 {
		b64 := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + canary))[4 : len(canary)-2]
		if bytes.Contains(raw, []byte(b64)) {
			t.Errorf("tells a value in base64: %s", raw)
		}
	}
	if bytes.Contains(raw, []byte(canary)) {
		t.Errorf("tells a value: %s", raw)
	}
}

// fields are those whose values have the print of the canary.
func fields(m *record.Maker, values []snapshot.Value) []string {
	var out []string
	want := m.Key.Of([]byte(canary))
	for i := range values {
		for _, p := range values[i].Prints {
			if p.Print == want {
				out = append(out, values[i].Field+p.Where)
			}
		}
	}
	slices.Sort(out)
	return out
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: got  %q\nwant %q", what, got, want)
	}
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestSecret(t *testing.T) {
	m := maker(t)
	o := parse[corev1.Secret](t, `
metadata:
  name: db
  namespace: shop
  uid: u1
  labels: {app: shop}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"kind":"Secret","data":{"password":"`+b64(canary)+`"},"stringData":{"url":"redis://:`+canary+`@r"}}'
    replicator.v1.mittwald.de/replicate-from: other/db
    strongkeep.io/note: `+"postgres://u:"+canary+"@db/x"+`
    somebody.example/note: `+canary+`
  ownerReferences: [{apiVersion: external-secrets.io/v1, kind: ExternalSecret, name: db, uid: u2, controller: true}]
  managedFields:
  - {manager: kubectl-create, operation: Update, time: "2026-01-02T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:data": {".": {}, "f:password": {}}, "f:type": {}}}
  - {manager: labeller, operation: Apply, time: "2026-03-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:annotations": {"f:data": {}}}}}
type: Opaque
immutable: true
data: {password: `+b64(canary)+`, url: `+b64("postgres://u:"+canary+"@db/x")+`, weak: `+b64("yes")+`}
`)
	s := m.Secret(o)
	silent(t, s)
	if !slices.Equal(s.Keys, []string{"password", "url", "weak"}) || !s.Read || !s.Immutable || s.Type != "Opaque" || s.UID != "u1" || s.Labels["app"] != "shop" {
		t.Errorf("got %+v", s)
	}
	if want := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC); !s.Changed.Equal(want) || len(s.Writers) != 2 || s.Writers[0].Manager != "kubectl-create" || !s.Writers[0].Content || s.Writers[1].Content {
		t.Errorf("writers: %v %+v", s.Changed, s.Writers)
	}
	if len(s.Annotations) != 1 || s.Annotations["replicator.v1.mittwald.de/replicate-from"] == "" {
		t.Errorf("annotations: %v", s.Annotations)
	}
	if len(s.Owners) != 1 || s.Owners[0].Ref != (snapshot.Ref{Group: "external-secrets.io", Kind: "ExternalSecret", Namespace: "shop", Name: "db"}) || !s.Owners[0].Controller {
		t.Errorf("owners: %+v", s.Owners)
	}
	applied := "metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]"
	equal(t, "where it is", fields(m, s.Values), []string{
		"data.password", "data.url#password", applied + "data.password", applied + "stringData.url#password",
		"metadata.annotations[somebody.example/note]", "metadata.annotations[strongkeep.io/note]#password",
	})
	var looks []string
	for _, v := range s.Values[:3] {
		looks = append(looks, v.Field+" "+string(v.Looks))
	}
	if want := []string{"data.password NamedSecret", "data.url PasswordURL", "data.weak "}; !slices.Equal(looks, want) {
		t.Errorf("looks %q, want %q", looks, want)
	}

	none := (&record.Maker{}).Secret(o)
	silent(t, none)
	if none.Read || len(none.Values) != 0 || len(none.Keys) != 3 {
		t.Errorf("without a key: %+v", none)
	}
}

// Annotations are kept by their names, not by their domains: what else a domain has may
// hold a value, which becomes its print.
func TestAnnotations(t *testing.T) {
	m := maker(t)
	s := m.Secret(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		"vault.hashicorp.com/agent-inject-template-db": "{{ with secret \"kv/db\" }}\nexport PGPASSWORD=" + canary + "\n{{ end }}",
		"vault.hashicorp.com/agent-inject-secret-db":   canary,
		"argocd.argoproj.io/note":                      canary,
		"strongkeep.io/reload":                         "restart",
		"versions.strongkeep.io/db":                    `{"shop/db":"3"}`,
	}}})
	silent(t, s)
	want := map[string]string{
		"vault.hashicorp.com/agent-inject-template-db": "", "vault.hashicorp.com/agent-inject-secret-db": "", "strongkeep.io/reload": "restart", "versions.strongkeep.io/db": `{"shop/db":"3"}`,
	}
	if !maps.Equal(s.Annotations, want) {
		t.Errorf("kept: %q", s.Annotations)
	}
	equal(t, "where it is", fields(m, s.Values), []string{
		"metadata.annotations[argocd.argoproj.io/note]", "metadata.annotations[vault.hashicorp.com/agent-inject-secret-db]",
	})
}

// A key that is a secret itself is not shown.
func TestKeyThatIsASecret(t *testing.T) {
	token := "gh" + "p_" + strings.Repeat("aB3dE5gH7jK9", 3)
	m := maker(t)
	raw, err := json.Marshal([]any{
		m.Secret(&corev1.Secret{Data: map[string][]byte{token: []byte("x")}, StringData: map[string]string{token + "a": "y"}}),
		m.ConfigMap(&corev1.ConfigMap{Data: map[string]string{token: canary}}),
		m.Template(&corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: token, Value: canary}}}}}),
	})
	if err != nil || bytes.Contains(raw, []byte(token)) || !bytes.Contains(raw, []byte(`"data.*"`)) {
		t.Errorf("%v %s", err, raw)
	}
}

// Binary and large values have their print, and nothing is looked for in them.
func TestOddValues(t *testing.T) {
	m := maker(t)
	big := bytes.Repeat([]byte("password="+canary+"\n"), 1<<20/28)
	s := m.Secret(&corev1.Secret{Data: map[string][]byte{"big": big, "binary": {0, 1, 2, 0xff, 4, 5, 6, 7}, "empty": nil}})
	silent(t, s)
	for i, want := range []int{1, 1, 0} {
		if v := s.Values[i]; len(v.Prints) != want || v.Size != len(map[string][]byte{"data.big": big, "data.binary": make([]byte, 8)}[v.Field]) {
			t.Errorf("%+v", v)
		}
	}
}

func TestConfigMap(t *testing.T) {
	m := maker(t)
	c := m.ConfigMap(parse[corev1.ConfigMap](t, `
metadata: {name: app}
data:
  application.yaml: "spring:\n  datasource:\n    password: `+canary+`\n"
  secretName: db-credentials
  level: info
binaryData: {blob: AAEC}
`))
	silent(t, c)
	if !slices.Equal(c.Keys, []string{"application.yaml", "blob", "level", "secretName"}) {
		t.Errorf("keys %q", c.Keys)
	}
	equal(t, "where it is", fields(m, c.Values), []string{"data.application.yaml/spring/datasource/password"})
	for _, v := range c.Values {
		if want := v.Field == "data.application.yaml"; v.Looks.Sensitive() != want || want && (v.Looks != snapshot.LooksNamed || v.Part != "/spring/datasource/password") {
			t.Errorf("%+v", v)
		}
	}
}

func release(t testing.TB) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"name": "shop", "version": 3, "info": map[string]any{"status": "superseded"},
		"chart":    map[string]any{"metadata": map[string]any{"name": "shop", "version": "1.2.3"}, "values": map[string]any{"db": map[string]any{"password": canary, "host": "db.example"}}},
		"config":   map[string]any{"db": map[string]any{"password": canary}, "list": []any{map[string]any{"token": "T-" + canary}}, "n": 5},
		"manifest": "---\n# Source: shop/secret.yaml\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  password: " + b64(canary) + "\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n        env:\n        - {name: PW, value: " + canary + "}\n---\nkind: Service\n",
		"hooks":    []any{map[string]any{"manifest": "kind: ConfigMap\nmetadata: {name: c}\ndata: {a: " + canary + "}\n"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(raw); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes())
}

func TestHelmRelease(t *testing.T) {
	m, packed := maker(t), release(t)
	s := m.Secret(&corev1.Secret{Type: "helm.sh/release.v1", Data: map[string][]byte{"release": []byte(packed)}})
	c := m.ConfigMap(parse[corev1.ConfigMap](t, "metadata: {labels: {owner: helm}}\ndata: {release: "+packed+"}"))
	silent(t, []any{s, c})
	want := snapshot.Release{Name: "shop", Chart: "shop-1.2.3", Revision: 3, Status: "superseded"}
	if s.Release == nil || *s.Release != want || c.Release == nil || *c.Release != want {
		t.Errorf("releases %+v %+v", s.Release, c.Release)
	}
	for name, values := range map[string][]snapshot.Value{"Secret": s.Values, "ConfigMap": c.Values} {
		equal(t, name, fields(m, values), []string{
			"release.config.db.password", "release.chart.values.db.password", "release.manifest[Secret/db].data.password",
			"release.manifest[Deployment/web].spec.containers[web].env[PW]", "release.hooks[0][ConfigMap/c].data.a",
		})
	}
	for _, broken := range []string{"x", "aGFsbG8=", packed[:40], b64("\x1f\x8bxxxxxx")} {
		if s := m.Secret(&corev1.Secret{Type: "helm.sh/release.v1", Data: map[string][]byte{"release": []byte(broken)}}); s.Release != nil {
			t.Errorf("%q is a release: %+v", broken, s.Release)
		}
	}
}

// A release that is small as it is stored and large as it is unpacked is not looked into,
// and says so; also where it is small until it is parsed.
func TestLargeRelease(t *testing.T) {
	m := maker(t)
	for what, text := range map[string]string{
		"JSON":      `{"name":"big","x":"` + strings.Repeat("x", 17<<20) + `"}`,
		"values":    `{"name":"big","config":{"a":[` + strings.Repeat("[],", 600<<10) + `1]}}`,
		"manifest":  `{"name":"big","manifest":"kind: Secret\ndata: [` + strings.Repeat("{},", 600<<10) + `]\n"}`,
		"as leaves": `{"name":"big","config":{"a":["` + strings.Repeat(`","`, 5000) + `"]}}`,
	} {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"name": "big"}}, Type: "helm.sh/release.v1", Data: map[string][]byte{"release": []byte(b64(packed.String()))}}
		if s := m.Secret(o); s.Release == nil || !s.Release.Unread || s.Release.Name != "big" {
			t.Errorf("%s: %+v", what, s.Release)
		}
	}
	if s := m.Secret(&corev1.Secret{Type: "helm.sh/release.v1", Data: map[string][]byte{"release": []byte(release(t))}}); s.Release == nil || s.Release.Unread {
		t.Errorf("of usual size: %+v", s.Release)
	}
}

const deployment = `
metadata:
  name: web
  namespace: shop
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"PW","value":"` + canary + `"}]}]}}}}'
spec:
  replicas: 3
  template:
    metadata: {annotations: {reloader.stakater.com/auto: "true", other: x}}
    spec:
      serviceAccountName: web
      automountServiceAccountToken: false
      initContainers:
      - {name: side, restartPolicy: Always, image: i, env: [{name: PW, value: ` + canary + `}]}
      - {name: init, image: i}
      containers:
      - name: web
        image: i:1
        args: [serve, --db-password, ` + canary + `, --url=redis://:` + canary + `@r]
        command: [sh, -c, "echo hallo"]
        env: [{name: PASSWORD_FILE, value: /run/db}, {name: KEY, valueFrom: {secretKeyRef: {name: db, key: password, optional: true}}}]
        livenessProbe: {httpGet: {port: 1, httpHeaders: [{name: Authorization, value: "Bearer ` + canary + `"}]}}
        securityContext: {privileged: true}
      volumes:
      - {name: t, projected: {sources: [{serviceAccountToken: {path: t, audience: vault, expirationSeconds: 600}}, {serviceAccountToken: {path: u}}]}}
      - {name: kube-api-access-x, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 3607}}]}}
      - {name: kube-api-access-mine, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 31536000}}]}}
      - {name: c, csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: aws}}}
      - {name: m, configMap: {name: app}}
`

func TestWorkload(t *testing.T) {
	m := maker(t)
	w, ok := m.Workload(parse[appsv1.Deployment](t, deployment))
	silent(t, w)
	if !ok || w.Group != "apps" || w.Kind != "Deployment" || w.Replicas != 3 || len(w.TemplateAnnotations) != 1 {
		t.Fatalf("%v %+v", ok, w)
	}
	s := &w.Template
	if s.Account != "web" || s.Automount == nil || *s.Automount || !s.Privileged || !slices.Equal(s.Classes, []string{"aws"}) ||
		!slices.Equal(s.Tokens, []snapshot.Token{{Audience: "vault", Seconds: 600}, {Seconds: 3600}, {Seconds: 31536000}}) ||
		!slices.Equal(s.Containers, []snapshot.Container{{Name: "side", Kind: "sidecar", Image: "i"}, {Name: "init", Kind: "init", Image: "i"}, {Name: "web", Image: "i:1"}}) {
		t.Errorf("%+v", s)
	}
	if len(s.Secrets) != 1 || s.Secrets[0].Kind != consumer.UseEnv || s.Secrets[0].Key != "password" || !s.Secrets[0].Optional || len(s.ConfigMaps) != 1 || s.ConfigMaps[0].Secret != "app" {
		t.Errorf("uses %+v %+v", s.Secrets, s.ConfigMaps)
	}
	equal(t, "where it is", fields(m, s.Values), []string{
		"spec.initContainers[side].env[PW]", "spec.containers[web].args[2]", "spec.containers[web].args[3]#password",
		"metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]spec.containers[web].env[PW]",
	})
	for _, v := range s.Values {
		if v.Field == "spec.containers[web].env[PASSWORD_FILE]" && v.Looks.Sensitive() || v.Field == "spec.containers[web].args[2]" && v.Looks != snapshot.LooksNamed {
			t.Errorf("%+v", v)
		}
	}
	annotated := parse[batchv1.CronJob](t, "metadata: {name: c}\nspec: {jobTemplate: {spec: {template: {metadata: {annotations: {example.com/note: "+canary+"}}}}}}")
	if c, ok := m.Workload(annotated); !ok || len(c.TemplateAnnotations) != 0 {
		t.Errorf("a CronJob: %+v", c)
	} else {
		equal(t, "in annotations of a template", fields(m, c.Template.Values), []string{"template.metadata.annotations[example.com/note]"})
		p := m.Pod(&corev1.Pod{ObjectMeta: annotated.Spec.JobTemplate.Spec.Template.ObjectMeta})
		if !snapshot.Holds(c.Template.Values, p.Values) || len(p.Values) != 1 || snapshot.Holds(nil, p.Values) {
			t.Errorf("its pod has another value: %+v", p.Values)
		}
	}
	if p := record.PodOf(&w); p.Workload.String() != "Deployment shop/web" || p.Account != "web" || p.Phase != "" {
		t.Errorf("its pod: %+v", p)
	}
}

func TestPod(t *testing.T) {
	m := maker(t)
	p := m.Pod(parse[corev1.Pod](t, `
metadata: {name: web-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: u, controller: true}], annotations: {cni.projectcalico.org/podIP: 10.0.0.1/32, note: `+canary+`}}
spec: {nodeName: n1, hostPID: true, containers: [{name: c, env: [{name: A, value: `+canary+`}]}], ephemeralContainers: [{name: e, env: [{name: B, value: `+canary+`}]}]}
status: {phase: Running, startTime: "2026-01-01T00:00:00Z"}
`))
	silent(t, p)
	if p.Node != "n1" || p.Phase != "Running" || p.Started.Year() != 2026 || p.Workload.String() != "ReplicaSet shop/web" || p.Account != "default" || !p.Privileged {
		t.Errorf("%+v", p)
	}
	equal(t, "where it is", fields(m, p.Values), []string{"metadata.annotations[note]", "spec.containers[c].env[A]", "spec.ephemeralContainers[e].env[B]"})
}

// Which pods get at the others of their node.
func TestPrivileged(t *testing.T) {
	for text, want := range map[string]bool{
		"containers: [{name: c}]":                                                                   false,
		"containers: [{name: c, securityContext: {privileged: true}}]":                              true,
		"containers: [{name: c}]\ninitContainers: [{name: i, securityContext: {privileged: true}}]": true,
		"containers: [{name: c, securityContext: {capabilities: {add: [CAP_SYS_ADMIN]}}}]":          true,
		"containers: [{name: c, securityContext: {capabilities: {add: [NET_ADMIN, SYS_PTRACE]}}}]":  false,
		"containers: [{name: c}]\nhostPID: true":                                                    true,
		"containers: [{name: c}]\nhostNetwork: true":                                                false,
		"containers: [{name: c}]\nvolumes: [{name: v, hostPath: {path: /var/lib/kubelet/pods}}]":    true,
		"containers: [{name: c}]\nvolumes: [{name: v, hostPath: {path: /}}]":                        true,
		"containers: [{name: c}]\nvolumes: [{name: v, hostPath: {path: /usr/share/zoneinfo}}]":      false,
	} {
		if got := record.Privileged(parse[corev1.PodSpec](t, text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// As whom a controller of Flux acts for objects that name nobody.
func TestLowered(t *testing.T) {
	for args, want := range map[string]string{
		"[--watch-all-namespaces, --default-service-account=default]": "default",
		"[--default-service-account, flux]":                           "flux",
		"[--default-service-account]":                                 "",
		"[--default-service-account=]":                                "",
		"[default-service-account=default]":                           "",
	} {
		if got := record.Lowered(parse[corev1.PodSpec](t, "containers: [{name: manager, args: "+args+"}]")); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

func TestAccount(t *testing.T) {
	a := record.Account(parse[corev1.ServiceAccount](t, "metadata: {name: web, namespace: shop}\nautomountServiceAccountToken: false\nsecrets: [{name: old}]\nimagePullSecrets: [{name: pull}]"))
	if a.Automount == nil || *a.Automount || !slices.Equal(a.Secrets, []string{"old"}) || !slices.Equal(a.PullSecrets, []string{"pull"}) {
		t.Errorf("%+v", a)
	}
	var uses []string
	for _, u := range record.AccountUses(&a) {
		uses = append(uses, u.From.String()+" "+u.Field+" "+u.To.String())
	}
	equal(t, "uses", uses, []string{"ServiceAccount shop/web secrets[old] Secret shop/old", "ServiceAccount shop/web imagePullSecrets[pull] Secret shop/pull"})
}

// Whatever an object is like, it is kept without a word of it.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"metadata":{"annotations":{"a/b":"x","kubectl.kubernetes.io/last-applied-configuration":"{}"}},"data":{"release":"eA=="},"type":"helm.sh/release.v1"}`))
	f.Add([]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"B"}],"livenessProbe":{"httpGet":{}},"lifecycle":{"preStop":{"exec":{}}}}],"volumes":[{"csi":{}}]}}}}`))
	m := maker(f)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		var s corev1.Secret
		if json.Unmarshal(raw, &s) == nil {
			_ = m.Secret(&s)
		}
		var c corev1.ConfigMap
		if json.Unmarshal(raw, &c) == nil {
			_ = m.ConfigMap(&c)
		}
		var p corev1.Pod
		if json.Unmarshal(raw, &p) == nil {
			_ = m.Pod(&p)
		}
		var d appsv1.Deployment
		if json.Unmarshal(raw, &d) == nil {
			_, _ = m.Workload(&d)
		}
	})
}
