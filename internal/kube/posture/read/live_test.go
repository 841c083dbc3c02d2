package read_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

var server *apiserver.Server

// encryption keeps new Secrets encrypted, so that the API server has something to tell.
const encryption = `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: [{secretbox: {keys: [{name: one, secret: QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=}]}}, {identity: {}}]
`

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "read-*")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "encryption.yaml")
	if err := os.WriteFile(file, []byte(encryption), 0o600); err != nil {
		panic(err)
	}
	return apiserver.Main(apiserver.Config{
		Schemes: []func(*runtime.Scheme) error{rbacv1.AddToScheme, appsv1.AddToScheme}, Flags: []string{"--encryption-provider-config=" + file},
		Foreign: []*apiextensionsv1.CustomResourceDefinition{foreign("rds.aws.upbound.io", "instances", "Instance", "crossplane", "managed"), foreign("argoproj.io", "appprojects", "AppProject")},
	}, func(s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	})
}

// foreign is a kind of somebody else's, of any shape.
func foreign(group, plural, kind string, categories ...string) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: plural, Singular: strings.ToLower(kind), Kind: kind, ListKind: kind + "List", Categories: categories},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{
				OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)},
			}}},
		},
	}
}

// namespace makes one with what text says; NS stands for its name.
func namespace(t testing.TB, text string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "read-"}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if err := apiserver.Apply(t.Context(), server.Client, ns.Name, strings.ReplaceAll(text, "NS", ns.Name)); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// live reads the cluster, and sees to it that no value is in what was read.
func live(t testing.TB, config *rest.Config, o read.Options) *snapshot.Snapshot {
	t.Helper()
	o.Now = noon
	s, err := read.Live(t.Context(), config, o)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(s)
	if err != nil || bytes.Contains(raw, []byte(canary)) || bytes.Contains(raw, []byte("Y2FuYXJ5LTkxY2M")) {
		t.Fatalf("%v: the snapshot tells a value", err)
	}
	return s
}

const shop = `
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: ` + canary + `}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: copy}
data: {DB_PASSWORD: ` + canary + `}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
imagePullSecrets: [{name: pull}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: c, image: i, env: [{name: PW, value: ` + canary + `}]}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: alone}
spec: {replicas: 0, selector: {matchLabels: {app: alone}}, template: {metadata: {labels: {app: alone}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec: {serviceAccountName: web, containers: [{name: c, image: i, envFrom: [{secretRef: {name: db}}]}]}
`

const customs = `
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: st}
spec: {provider: {vault: {server: "https://v", path: kv, version: v2, auth: {tokenSecretRef: {name: token, key: t}}}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: es}
spec: {secretStoreRef: {name: st, kind: SecretStore}, target: {name: made}, data: [{secretKey: k, remoteRef: {key: p}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in}
spec: {tls: [{secretName: db}], defaultBackend: {service: {name: s, port: {number: 1}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS}
spec: {matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [secrets]}]}, validations: [{expression: "true"}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS}
spec: {policyName: NS, validationActions: [Deny]}
`

// in returns those of list that lie in namespace.
func in[T any](list []T, namespace string, meta func(*T) *snapshot.Meta) []T {
	return slices.DeleteFunc(slices.Clone(list), func(o T) bool { return meta(&o).Namespace != namespace })
}

func TestLive(t *testing.T) {
	ns := namespace(t, shop)
	s := live(t, server.REST, read.Options{Whole: true, Key: key(t)})
	secrets := in(s.Secrets, ns, func(o *snapshot.Secret) *snapshot.Meta { return &o.Meta })
	maps := in(s.ConfigMaps, ns, func(o *snapshot.ConfigMap) *snapshot.Meta { return &o.Meta })
	if len(secrets) != 1 || !secrets[0].Read || secrets[0].Changed.IsZero() || secrets[0].UID == "" || len(secrets[0].Writers) == 0 || secrets[0].Created.IsZero() {
		t.Fatalf("Secrets: %+v", secrets)
	}
	if i := slices.IndexFunc(maps, func(m snapshot.ConfigMap) bool { return m.Name == "copy" }); i < 0 || maps[i].Values[0].Prints[0] != secrets[0].Values[0].Prints[0] || maps[i].Values[0].Looks != snapshot.LooksNamed {
		t.Errorf("ConfigMaps: %+v", maps)
	}
	var workloads []string
	for _, w := range in(s.Workloads, ns, func(o *snapshot.Workload) *snapshot.Meta { return &o.Meta }) {
		workloads = append(workloads, w.Kind+" "+w.Name)
	}
	if want := []string{"ReplicaSet alone", "CronJob nightly", "Deployment web"}; !slices.Equal(workloads, want) {
		t.Errorf("workloads %q, want %q", workloads, want)
	}
	pods := in(s.Pods, ns, func(o *snapshot.Pod) *snapshot.Meta { return &o.Meta })
	if i := slices.IndexFunc(pods, func(p snapshot.Pod) bool { return p.Name == "bare" }); i < 0 || pods[i].Workload.String() != "Pod "+ns+"/bare" || pods[i].Secrets[0].Secret != "db" || pods[i].Account != "web" {
		t.Errorf("pods: %+v", pods)
	}
	if !slices.ContainsFunc(s.Accounts, func(a snapshot.Account) bool {
		return a.Namespace == ns && slices.Equal(a.PullSecrets, []string{"pull"})
	}) ||
		!slices.ContainsFunc(s.Namespaces, func(n snapshot.Namespace) bool { return n.Name == ns }) || len(s.RBAC.ClusterRoles) == 0 || !s.Served["/secrets"] {
		t.Error("ServiceAccounts, namespaces, roles or what is served is missing")
	}
	if s.Control.Version == "" || s.Control.Started.IsZero() || s.Control.Managed != "" || !slices.ContainsFunc(s.Control.Transformations, func(c snapshot.Transformation) bool {
		return c.Resource == "secrets" && c.Type == "to_storage" && strings.HasPrefix(c.Prefix, "k8s:enc:secretbox:v1:") && c.Count > 0
	}) {
		t.Errorf("the control plane: %+v", s.Control)
	}
	if m := s.Coverage.Missing("metrics", "nodes", "secrets", "secrets/values", "configmaps", "pods", "workloads", "deployments", "serviceaccounts", "namespaces", "roles", "resources"); len(m) > 0 {
		t.Errorf("missing: %q", m)
	}
}

const revision = `
---
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: db-1}
revision: 1
data: {spec: {template: {spec: {containers: [{name: c, env: [{name: PW, value: ` + canary + `}]}]}}}}
`

// Earlier templates are read of a cluster too.
func TestLiveRevisions(t *testing.T) {
	ns := namespace(t, strings.TrimPrefix(revision, "\n---\n"))
	s := live(t, server.REST, read.Options{Whole: true, Key: key(t)})
	got := in(s.Revisions, ns, func(o *snapshot.Workload) *snapshot.Meta { return &o.Meta })
	if len(got) != 1 || got[0].Name != "db-1" || len(got[0].Template.Values) != 1 || got[0].Template.Values[0].Field != "spec.containers[c].env[PW]" || !s.Coverage.Whole("controllerrevisions") {
		t.Errorf("%+v %q", got, s.Coverage.Missing("controllerrevisions"))
	}
}

// answers answers a path itself, in front of the API server.
type answers struct {
	http.RoundTripper
	path, body string
	status     int
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != a.path {
		return a.RoundTripper.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}, nil
}

// The version tells of EKS, where a ConfigMap says who people are; who may not ask for it
// is not told, and gets the rest.
func TestLiveCloud(t *testing.T) {
	for _, c := range []struct {
		answers
		eks bool
	}{{answers{status: http.StatusOK, body: `{"gitVersion":"v1.36.1-eks-1de2ab1"}`}, true}, {answers{status: http.StatusForbidden}, false}} {
		config := rest.CopyConfig(server.REST)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			c.RoundTripper, c.path = next, "/version"
			return c
		})
		s := live(t, config, read.Options{})
		if p := s.Paths(); p.Mapped != c.eks || p.Maps || len(s.RBAC.ClusterRoles) == 0 {
			t.Errorf("%s: %v, %v", c.body, p.Mapped, p.Maps)
		}
	}
}

// Metrics that are not to be had are missing, and nothing else is.
func TestMetricsNotServed(t *testing.T) {
	ns := namespace(t, shop)
	for _, c := range []answers{
		{status: http.StatusMethodNotAllowed}, {status: http.StatusInternalServerError, body: canary}, {status: http.StatusOK, body: strings.Repeat("x", 2<<20)},
	} {
		config := rest.CopyConfig(server.REST)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			c.RoundTripper, c.path = next, "/metrics"
			return c
		})
		s := live(t, config, read.Options{Whole: true})
		if s.Coverage.Whole("metrics") || !s.Coverage.Whole("secrets", "workloads") || len(in(s.Secrets, ns, func(o *snapshot.Secret) *snapshot.Meta { return &o.Meta })) != 1 {
			t.Errorf("%d: %q", c.status, s.Coverage.Missing("metrics", "secrets", "workloads"))
		}
	}
}

// What is no pod, and what the cluster does not serve, is read and judged as such.
func TestLiveCustom(t *testing.T) {
	ns := namespace(t, shop+customs)
	s := live(t, server.REST, read.Options{Whole: true, Key: key(t)})
	sources := in(s.Sources, ns, func(o *snapshot.Source) *snapshot.Meta { return &o.Meta })
	stores := in(s.Stores, ns, func(o *snapshot.Store) *snapshot.Meta { return &o.Meta })
	if len(sources) != 1 || sources[0].Makes[0].Name != "made" || sources[0].Store.Name != "st" || sources[0].Interval == 0 || len(stores) != 1 || stores[0].Server != "https://v" || len(stores[0].Uses) != 1 {
		t.Errorf("%+v %+v", sources, stores)
	}
	var uses []string
	for _, u := range s.Uses {
		if u.To.Namespace == ns {
			uses = append(uses, u.From.Kind+" "+u.From.Name+" "+u.To.Name)
		}
	}
	if want := []string{"Ingress in db", "SecretStore st token", "ServiceAccount web pull"}; !slices.Equal(uses, want) {
		t.Errorf("uses %q, want %q", uses, want)
	}
	if i := slices.IndexFunc(s.Admissions, func(a snapshot.Admission) bool { return a.Name == ns }); i < 0 || !s.Admissions[i].Secrets || !s.Admissions[i].Enforced {
		t.Errorf("%+v", s.Admissions)
	}
	if m := s.Coverage.Missing("uses", "sources", "stores", "admissions", "workloads", "ingresses", "certificates.cert-manager.io", "validatingadmissionpolicies", "rollouts.argoproj.io"); len(m) > 0 {
		t.Errorf("missing: %q", m)
	}
}

const argo = `
---
apiVersion: argoproj.io/v1
kind: AppProject
metadata: {name: shop}
spec: {destinations: [{server: "*", namespace: NS}]}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: es}
spec: {secretStoreRef: {name: vault, kind: ClusterSecretStore}, target: {name: made}, data: [{secretKey: k, remoteRef: {key: p}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: mirrored, annotations: {replicator.v1.mittwald.de/replication-allowed: "true"}}
---
apiVersion: v1
kind: Pod
metadata: {name: mighty}
spec: {hostPID: true, containers: [{name: c, image: i, args: [--default-service-account=low]}]}
`

// The kinds of Crossplane are found by their categories.
func TestLiveProvisioned(t *testing.T) {
	ns := namespace(t, `
apiVersion: rds.aws.upbound.io/v1
kind: Instance
metadata: {name: db}
spec: {writeConnectionSecretToRef: {name: connection}, forProvider: {passwordSecretRef: {name: master, key: p}}}
`)
	s := live(t, server.REST, read.Options{Whole: true, Key: key(t)})
	sources := in(s.Sources, ns, func(o *snapshot.Source) *snapshot.Meta { return &o.Meta })
	if len(sources) != 1 || sources[0].Kind != "Instance" || sources[0].Makes[0].Name != "connection" || !sources[0].Generator || !s.Coverage.Whole("instances.rds.aws.upbound.io", "sources", "uses") {
		t.Errorf("%+v", sources)
	}
	if !slices.ContainsFunc(s.Uses, func(u snapshot.Use) bool { return u.To.Namespace == ns && u.To.Name == "master" }) {
		t.Errorf("its password: %+v", s.Uses)
	}
}

// Without Whole, too, everything is read by which who-can knows detours.
func TestLiveDetours(t *testing.T) {
	ns := namespace(t, argo)
	for _, whole := range []bool{false, true} {
		s := live(t, server.REST, read.Options{Whole: whole})
		projects, sources := in(s.Projects, ns, func(o *snapshot.Project) *snapshot.Meta { return &o.Meta }), in(s.Sources, ns, func(o *snapshot.Source) *snapshot.Meta { return &o.Meta })
		if len(projects) != 1 || !slices.Equal(projects[0].To, []string{ns}) || len(sources) != 1 || sources[0].Makes[0].Name != "made" {
			t.Errorf("whole %v: projects %+v, sources %+v", whole, projects, sources)
		}
		secrets, pods := in(s.Secrets, ns, func(o *snapshot.Secret) *snapshot.Meta { return &o.Meta }), in(s.Pods, ns, func(o *snapshot.Pod) *snapshot.Meta { return &o.Meta })
		if len(secrets) != 1 || len(secrets[0].Annotations) != 1 || len(pods) != 1 || !pods[0].Privileged || pods[0].Lowered != "low" {
			t.Errorf("whole %v: Secrets %+v, pods %+v", whole, secrets, pods)
		}
		if !slices.ContainsFunc(s.Namespaces, func(n snapshot.Namespace) bool { return n.Name == ns }) || !s.Coverage.Whole("appprojects.argoproj.io", "externalsecrets.external-secrets.io", "namespaces") {
			t.Errorf("whole %v: %+v", whole, s.Coverage)
		}
	}
}

// Without Whole nothing is read that who-can does not need, and without a Key no content.
func TestLiveWithLess(t *testing.T) {
	ns := namespace(t, shop)
	s := live(t, server.REST, read.Options{Key: key(t)})
	if len(s.ConfigMaps)+len(s.Workloads)+len(s.Accounts) != 0 || s.Key != "" || s.Coverage.Whole("secrets/values") || s.Coverage.Whole("configmaps") {
		t.Errorf("too much: %+v", s.Coverage)
	}
	for _, s := range []*snapshot.Snapshot{s, live(t, server.REST, read.Options{Whole: true})} {
		secrets := in(s.Secrets, ns, func(o *snapshot.Secret) *snapshot.Meta { return &o.Meta })
		if len(secrets) != 1 || secrets[0].Read || len(secrets[0].Values) != 0 || s.Coverage.Whole("secrets/values") || !s.Coverage.Whole("secrets") {
			t.Errorf("Secrets: %+v", secrets)
		}
	}
}

const reader = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [secrets, pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: NS-eve, apiGroup: rbac.authorization.k8s.io}]
---
`

// as is the config of the user of a namespace, who may list Secrets and pods there and
// was never known before: what another run of a test grants is not theirs.
func as(t *testing.T, ns string) *rest.Config {
	t.Helper()
	config := rest.CopyConfig(server.REST)
	config.Impersonate.UserName = ns + "-eve"
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}}}}
	if err := apiserver.InForce(t.Context(), server.REST, config.Impersonate, []*rbacv1.Role{role}); err != nil {
		t.Fatal(err)
	}
	return config
}

// Who may list in one namespace only reads that one, if it is named, and is told
// what is missing.
func TestForbidden(t *testing.T) {
	ns := namespace(t, reader+shop)
	config := as(t, ns)
	s := live(t, config, read.Options{Whole: true, Key: key(t), Namespaces: []string{ns, "kube-system"}})
	if len(s.Secrets) != 1 || s.Secrets[0].Namespace != ns || !s.Secrets[0].Read {
		t.Errorf("Secrets: %+v", s.Secrets)
	}
	if m := s.Coverage.Missing("secrets", "pods"); len(m) != 2 || !strings.Contains(m[0], "only those that were named") {
		t.Errorf("missing: %q", m)
	}
	if m := s.Coverage.Missing("configmaps", "roles", "clusterroles", "workloads", "metrics", "nodes"); len(m) != 6 || !strings.Contains(m[0], "no right") || !strings.Contains(m[3], "deployments: no right") {
		t.Errorf("missing: %q", m)
	}
	if s := live(t, config, read.Options{Whole: true, Key: key(t)}); len(s.Secrets) != 0 || s.Coverage.Whole("secrets") {
		t.Errorf("without a name: %+v", s.Secrets)
	}
}

const lister = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-namespaces}
rules: [{apiGroups: [""], resources: [namespaces], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-namespaces}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-namespaces}
subjects: [{kind: User, name: NS-eve, apiGroup: rbac.authorization.k8s.io}]
---
`

// Who may list namespaces is told by name which of them are missing.
func TestForbiddenByName(t *testing.T) {
	ns := namespace(t, reader+lister+shop)
	config := as(t, ns)
	all := &rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"list"}}}}
	if err := apiserver.InForce(t.Context(), server.REST, config.Impersonate, []*rbacv1.ClusterRole{all}); err != nil {
		t.Fatal(err)
	}
	s := live(t, config, read.Options{Whole: true, Key: key(t)})
	gap := s.Coverage["secrets"]
	if len(s.Secrets) != 1 || !slices.Contains(gap.Namespaces, "kube-system") || slices.Contains(gap.Namespaces, ns) || !slices.Equal(s.Coverage["secrets/values"].Namespaces, gap.Namespaces) {
		t.Errorf("%+v %+v", s.Secrets, gap)
	}
}
