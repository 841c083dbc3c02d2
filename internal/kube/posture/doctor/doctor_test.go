package doctor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/yaml"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/denied"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/inject"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/stale"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/start"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/stuck"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var symptoms = []doctor.Symptom{start.Symptom(), stuck.Symptom(), stale.Symptom(), inject.Symptom()}

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// all are the resources that a Case can have read.
var all = []string{"pods", "deployments", "secrets", "configmaps", "serviceaccounts", "externalsecrets", "secretstores", "clustersecretstores", "secretproviderclasses", "csidrivers", "csinodes", "mutatingwebhookconfigurations", "endpointslices"}

// read makes a Case of YAML. Objects without a namespace are in shop; a Secret's
// data was written when its annotation "written" says, by "writer". Resources in unread may not
// be read.
func read(t testing.TB, text string, unread ...string) *doctor.Case {
	t.Helper()
	c := &doctor.Case{Now: now, Coverage: snapshot.Coverage{}}
	for _, r := range all {
		c.Coverage[r] = snapshot.Gap{}
	}
	for _, doc := range strings.Split("\n"+text, "\n---") {
		add(t, c, []byte(doc))
	}
	for _, r := range unread {
		c.Coverage[r] = snapshot.Gap{Reason: "no right to list them"}
		switch r {
		case "secrets":
			c.Secrets = nil
		case "mutatingwebhookconfigurations":
			c.Hooks = nil
		}
	}
	return c
}

func decode[T any](t testing.TB, doc []byte, to *[]T, place func(*T) *string) {
	t.Helper()
	var o T
	if err := yaml.UnmarshalStrict(doc, &o); err != nil {
		t.Fatalf("%v in:\n%s", err, doc)
	}
	if place != nil && *place(&o) == "" {
		*place(&o) = "shop"
	}
	*to = append(*to, o)
}

func add(t testing.TB, c *doctor.Case, doc []byte) {
	t.Helper()
	var kind struct{ Kind string }
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		t.Fatalf("%v in:\n%s", err, doc)
	}
	switch kind.Kind {
	case "":
	case "Pod":
		decode(t, doc, &c.Pods, func(o *corev1.Pod) *string { return &o.Namespace })
	case "Deployment":
		var list []appsv1.Deployment
		decode(t, doc, &list, func(o *appsv1.Deployment) *string { return &o.Namespace })
		o := &list[0]
		c.Workloads = append(c.Workloads, doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "apps", Kind: "Deployment", Template: o.Spec.Template, At: "/spec/template", Replicas: o.Status.Replicas, Updated: o.Status.UpdatedReplicas, Ready: o.Status.ReadyReplicas, Paused: o.Spec.Paused})
	case "ReplicaSet":
		var list []appsv1.ReplicaSet
		decode(t, doc, &list, func(o *appsv1.ReplicaSet) *string { return &o.Namespace })
		o := &list[0]
		c.Workloads = append(c.Workloads, doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "apps", Kind: "ReplicaSet", At: "/spec/template", Replicas: *o.Spec.Replicas, Ready: o.Status.ReadyReplicas})
	case "Secret", "ConfigMap":
		var list []corev1.Secret
		decode(t, doc, &list, func(o *corev1.Secret) *string { return &o.Namespace })
		h := doctor.Held{ObjectMeta: list[0].ObjectMeta, Sure: true}
		for key := range list[0].StringData {
			h.Keys = append(h.Keys, key)
		}
		if w := h.Annotations["written"]; w != "" {
			h.Changed, _ = time.Parse(time.RFC3339, w)
		}
		h.Writer = h.Annotations["writer"]
		if kind.Kind == "Secret" {
			c.Secrets = append(c.Secrets, h)
		} else {
			c.ConfigMaps = append(c.ConfigMaps, h)
		}
	case "ServiceAccount":
		decode(t, doc, &c.Accounts, func(o *corev1.ServiceAccount) *string { return &o.Namespace })
	case "ExternalSecret":
		decode(t, doc, &c.Externals, func(o *external.ExternalSecret) *string { return &o.Namespace })
	case "SecretStore":
		decode(t, doc, &c.Stores, func(o *external.SecretStore) *string { return &o.Namespace })
	case "ClusterSecretStore":
		decode(t, doc, &c.ClusterStores, nil)
	case "Event":
		decode(t, doc, &c.Events, func(o *corev1.Event) *string { return &o.InvolvedObject.Namespace })
	case "Namespace":
		decode(t, doc, &c.Namespaces, nil)
	case "CSINode":
		decode(t, doc, &c.Nodes, nil)
	case "CSIDriver":
		var list []storagev1.CSIDriver
		decode(t, doc, &list, nil)
		c.Drivers = append(c.Drivers, list[0].Name)
	case "SecretProviderClass":
		var list []struct {
			APIVersion, Kind string
			Metadata         struct{ Namespace, Name string }
			Spec             struct {
				SecretObjects []struct{ SecretName string }
			}
		}
		decode(t, doc, &list, nil)
		class := doctor.Class{Namespace: "shop", Name: list[0].Metadata.Name}
		for _, s := range list[0].Spec.SecretObjects {
			class.Secrets = append(class.Secrets, s.SecretName)
		}
		c.Classes = append(c.Classes, class)
	case "MutatingWebhookConfiguration":
		var list []admissionv1.MutatingWebhookConfiguration
		decode(t, doc, &list, nil)
		for _, h := range list[0].Webhooks {
			c.Hooks = append(c.Hooks, doctor.Hook{Configuration: list[0].Name, Mutating: true, Name: h.Name, Client: h.ClientConfig, Namespaces: h.NamespaceSelector, Objects: h.ObjectSelector, Pods: true, Ignores: true})
		}
	case "Operator":
		var list []appsv1.Deployment
		decode(t, doc, &list, nil)
		c.Operators = append(c.Operators, list...)
	case "Role":
		decode(t, doc, &c.RBAC.Roles, func(o *rbacv1.Role) *string { return &o.Namespace })
	case "RoleBinding":
		decode(t, doc, &c.RBAC.RoleBindings, func(o *rbacv1.RoleBinding) *string { return &o.Namespace })
	case "ClusterRole":
		decode(t, doc, &c.RBAC.ClusterRoles, nil)
	default:
		t.Fatalf("kind %s", kind.Kind)
	}
}

// sidecar puts one, and a variable, in front of what the pod has of its template.
func sidecar(text string) string {
	i := strings.Index(text, "kind: Pod")
	pod := strings.Replace(text[i:], "containers: [{name: web, ", "containers: [{name: istio-proxy, env: [{name: A, value: b}]}, {name: web, ", 1)
	return text[:i] + strings.Replace(pod, "env: [{name: PASSWORD", "env: [{name: INJECTED, value: x}, {name: PASSWORD", 1)
}

// web is a pod of Deployment web; %s is its spec without containers' names, as flow.
func web(container, more, status string) string {
	return `
kind: Deployment
metadata: {name: web}
spec: {selector: {}, template: {spec: {containers: [{name: web, ` + container + `}]` + spec(more) + `}}}
status: {replicas: 1, updatedReplicas: 1, readyReplicas: 0}
---
kind: ReplicaSet
metadata: {name: web-1, ownerReferences: [{kind: Deployment, name: web, controller: true, apiVersion: apps/v1, uid: d}]}
spec: {replicas: 1, selector: {}, template: {}}
---
kind: Pod
metadata: {name: web-1-a, ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true, apiVersion: apps/v1, uid: r}]` + annotations(more) + `}
spec: {serviceAccountName: web, nodeName: n1, containers: [{name: web, ` + container + `}]` + spec(more) + `}
status: ` + status + `
---
kind: ServiceAccount
metadata: {name: web}
---
`
}

func annotations(more string) string {
	if a, ok := strings.CutPrefix(more, "@"); ok {
		return ", annotations: " + a
	}
	return ""
}

func spec(more string) string {
	if more == "" || strings.HasPrefix(more, "@") {
		return ""
	}
	return ", " + more
}

const (
	env     = `env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]`
	broken  = `{phase: Pending, containerStatuses: [{name: web, state: {waiting: {reason: CreateContainerConfigError, message: 'secret "db" not found'}}}]}`
	running = `{phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: web, ready: true, state: {running: {startedAt: "2026-11-01T10:00:00Z"}}}]}`
	unready = `{phase: Running, conditions: [{type: Ready, status: "False"}], containerStatuses: [{name: web, state: {running: {startedAt: "2026-11-01T10:00:00Z"}}}]}`
	pending = `{phase: Pending, containerStatuses: [{name: web, state: {waiting: {reason: ContainerCreating}}}]}`
	db      = "kind: Secret\nmetadata: {name: db}\nstringData: {password: canary-1}\n---\n"
	csi     = `volumes: [{name: v, csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: vault-db}}}]`
	driver  = "kind: CSIDriver\nmetadata: {name: secrets-store.csi.k8s.io}\nspec: {}\n---\n"
	onNode  = "kind: CSINode\nmetadata: {name: n1}\nspec: {drivers: [{name: secrets-store.csi.k8s.io, nodeID: n1}]}\n---\n"
	agent   = `@{vault.hashicorp.com/agent-inject: "true"}`
)

// es is an ExternalSecret db of store vault, with a message of a failure.
func es(message string) string {
	status := ""
	if message != "" {
		status = fmt.Sprintf("status: {conditions: [{type: Ready, status: \"False\", reason: SecretSyncedError, message: %q, lastTransitionTime: \"2026-11-01T10:00:00Z\"}]}\n", message)
	}
	return "kind: ExternalSecret\nmetadata: {name: db, creationTimestamp: \"2026-11-01T09:00:00Z\"}\nspec: {secretStoreRef: {name: vault}, data: [{secretKey: password, remoteRef: {key: db}}]}\n" + status + "---\n"
}

func store(kind, name, message string) string {
	status := `status: {conditions: [{type: Ready, status: "True", reason: Valid}]}`
	if message != "" {
		status = fmt.Sprintf(`status: {conditions: [{type: Ready, status: "False", reason: InvalidProviderConfig, message: %q}]}`, message)
	}
	return "kind: " + kind + "\nmetadata: {name: " + name + "}\nspec: {provider: {vault: {server: 'https://v'}}}\n" + status + "\n---\n"
}

const hook = `kind: MutatingWebhookConfiguration
metadata: {name: vault-agent-injector-cfg}
webhooks:
- {name: vault.hashicorp.com, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {service: {namespace: vault, name: vault-agent-injector-svc}}, namespaceSelector: {matchLabels: {inject: "yes"}}}
---
`

func TestExamine(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		unread []string
		asked  bool
		want   string // "Symptom confidence", several with ", "; "" for none
		cause  string
		fix    string // in command, text or patch
	}{
		"a pod that runs":    {text: web(env, "", running) + db, want: ""},
		"a pod that begins":  {text: web(env, "", pending) + db, want: ""},
		"an optional secret": {text: web(`envFrom: [{secretRef: {name: none, optional: true}}]`, "", running), want: ""},

		"secret missing":           {text: web(env, "", broken), want: "SecretMissing sure", cause: "container web needs Secret db, which does not exist in namespace shop", fix: "make Secret db in namespace shop"},
		"in a namespace beside":    {text: web(env, "", broken) + "kind: Secret\nmetadata: {name: db, namespace: default}\n", want: "SecretElsewhere sure", cause: "it is in namespace default"},
		"made beside":              {text: web(env, "", broken) + "kind: Secret\nmetadata: {name: db, namespace: team}\n---\nkind: ExternalSecret\nmetadata: {name: db, namespace: team}\nspec: {secretStoreRef: {kind: ClusterSecretStore, name: vault}, data: [{secretKey: password, remoteRef: {key: db}}]}\nstatus: {conditions: [{type: Ready, status: \"True\"}]}\n", want: "SecretElsewhere sure", fix: "namespace: shop"},
		"a name that is nearly it": {text: web(env, "", broken) + "kind: Secret\nmetadata: {name: db1}\n", want: "SecretMissing sure", cause: "there is db1", fix: `-p '[{"op":"test","path":"/spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/name","value":"db"},{"op":"replace","path":"/spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/name","value":"db1"}]'`},
		"a sidecar first": {text: sidecar(web(env, "", broken)) + "kind: Secret\nmetadata: {name: db1}\n", want: "SecretMissing sure", cause: "there is db1",
			fix: `{"op":"replace","path":"/spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/name","value":"db1"}`},
		"only in the pod":                        {text: strings.Replace(web(env, "", broken), env, "", 1) + "kind: Secret\nmetadata: {name: db1}\n", want: "SecretMissing sure", cause: "there is db1", fix: "correct db to db1 in what puts it there"},
		"copied beside":                          {text: web(env, "", broken) + "kind: Secret\nmetadata: {name: db, namespace: team, annotations: {reflector.v1.k8s.emberstack.com/reflects: ops/db}}\n", want: "SecretElsewhere sure", fix: "have Reflector copy it to shop too"},
		"sealed beside":                          {text: web(env, "", broken) + "kind: Secret\nmetadata: {name: db, namespace: team, ownerReferences: [{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, name: db, uid: u, controller: true}]}\n", want: "SecretElsewhere sure", fix: "by another SealedSecret, as it is by SealedSecret team/db"},
		"a key of what is made by hand":          {text: web(env, "", broken) + "kind: Secret\nmetadata: {name: db, annotations: {writer: kubectl-create}}\nstringData: {user: canary-1}\n", want: "KeyMissing sure", fix: "where it comes from (by hand, with kubectl-create)"},
		"key missing":                            {text: web(env, "", broken) + "kind: Secret\nmetadata: {name: db}\nstringData: {passwd: canary-1, user: canary-1}\n", want: "KeyMissing sure", cause: "needs key password of Secret db, which has no such key; it has passwd", fix: `secretKeyRef/key","value":"passwd"`},
		"item missing":                           {text: web(`volumeMounts: [{name: s, mountPath: /s}]`, `volumes: [{name: s, secret: {secretName: db, items: [{key: tls.crt, path: c}]}}]`, pending) + db, want: "KeyMissing sure", cause: "the pod needs key tls.crt of Secret db"},
		"projected":                              {text: web("", `volumes: [{name: s, projected: {sources: [{secret: {name: none}}]}}]`, pending), want: "SecretMissing sure"},
		"config map":                             {text: web(`envFrom: [{configMapRef: {name: settings}}]`, "", broken), want: "ConfigMapMissing sure"},
		"optional, and not ready":                {text: web(`envFrom: [{secretRef: {name: none, optional: true}}]`, "", unready), want: "OptionalMissing possible"},
		"not to be read: the kubelet's words":    {text: web(env, "", broken), unread: []string{"secrets"}, want: "SecretMissing sure", cause: "does not exist", fix: "may not be listed"},
		"not to be read: a key":                  {text: web(env, "", strings.Replace(broken, `secret "db" not found`, `couldn''t find key password in Secret shop/db`, 1)), unread: []string{"secrets"}, want: "KeyMissing sure"},
		"not to be read, and another is missing": {text: web(env, "", strings.Replace(broken, `"db"`, `"other"`, 1)), unread: []string{"secrets"}, want: ""},
		"pull secret":                            {text: web("", `imagePullSecrets: [{name: registry}]`, `{phase: Pending, containerStatuses: [{name: web, state: {waiting: {reason: ImagePullBackOff}}}]}`), want: "PullSecretMissing likely", cause: "imagePullSecret registry does not exist"},
		"pull secret that is not needed":         {text: web("", `imagePullSecrets: [{name: registry}]`, running), want: ""},
		"service account gone":                   {text: strings.Replace(web("", "", pending), "kind: ServiceAccount\nmetadata: {name: web}", "", 1), want: "AccountMissing sure", fix: "create serviceaccount web"},
		"service account was never":              {text: "kind: ReplicaSet\nmetadata: {name: web-1}\nspec: {replicas: 1, selector: {}, template: {}}\n---\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {kind: ReplicaSet, name: web-1}\ntype: Warning\nreason: FailedCreate\nmessage: 'Error creating: pods \"web-1-\" is forbidden: error looking up service account shop/web: serviceaccount \"web\" not found'\n", want: "AccountMissing sure", cause: "run as ServiceAccount web, which does not exist"},
		"a webhook refuses":                      {text: "kind: ReplicaSet\nmetadata: {name: web-1}\nspec: {replicas: 1, selector: {}, template: {}}\n---\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {kind: ReplicaSet, name: web-1}\ntype: Warning\nreason: FailedCreate\nmessage: 'Error creating: admission webhook \"vault.hashicorp.com\" denied the request: error validating agent configuration: no Vault role specified'\n", want: "WebhookDenied sure", cause: "webhook vault.hashicorp.com refuses"},
		"a webhook is down":                      {text: hook + "kind: ReplicaSet\nmetadata: {name: web-1}\nspec: {replicas: 1, selector: {}, template: {}}\n---\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {kind: ReplicaSet, name: web-1}\ntype: Warning\nreason: FailedCreate\nmessage: 'Internal error occurred: failed calling webhook \"vault.hashicorp.com\": failed to call webhook'\n", want: "WebhookDown sure", fix: "kubectl -n vault get"},
		"refused, and over":                      {text: "kind: ReplicaSet\nmetadata: {name: web-1}\nspec: {replicas: 1, selector: {}, template: {}}\nstatus: {replicas: 1, readyReplicas: 1}\n---\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {kind: ReplicaSet, name: web-1}\ntype: Warning\nreason: FailedCreate\nmessage: 'admission webhook \"x\" denied the request'\n", want: ""},
		"not synced: no path":                    {text: web(env, "", broken) + es(`key "db": secret "db" does not exist, or its latest version was deleted, at https://v (path secret/data/db)`) + store("SecretStore", "vault", ""), want: "SecretNotSynced likely, PathNotFound likely", cause: "ExternalSecret db does not sync: the store has nothing at the path"},

		"refused by IAM":        {text: es(`key "db": AccessDeniedException: User: arn:aws:sts::1:assumed-role/eso is not authorized to perform: secretsmanager:GetSecretValue on resource: db because no identity-based policy allows`) + store("SecretStore", "vault", ""), want: "AccessDenied likely"},
		"refused by Vault":      {text: es(`SecretStore "shop/vault": permission denied; give the policies of auth/kubernetes the capability "read" on "secret/data/db"`) + store("SecretStore", "vault", ""), want: "AccessDenied likely"},
		"expired":               {text: es("ExpiredTokenException: The security token included in the request is expired") + store("SecretStore", "vault", ""), want: "TokenExpired likely"},
		"store not ready":       {text: es("SecretStore is not ready") + store("SecretStore", "vault", "logging in to Vault: invalid role or secret ID"), want: "LoginRefused sure", cause: "its store vault is not ready"},
		"unreachable":           {text: es("Get https://v: dial tcp: lookup v: no such host") + store("SecretStore", "vault", ""), want: "StoreUnreachable likely"},
		"store missing":         {text: es("x") + store("SecretStore", "vault1", ""), want: "StoreMissing sure", fix: `"name":"vault1"`},
		"store of other kind":   {text: es("x") + store("ClusterSecretStore", "vault", ""), want: "StoreMissing sure", fix: `"kind":"ClusterSecretStore"`},
		"store not to be read":  {text: es("permission denied"), unread: []string{"secretstores"}, want: "AccessDenied likely"},
		"taken":                 {text: es(`Secret "db" is not overwritten: it was not made by this ExternalSecret`) + store("SecretStore", "vault", "") + db, want: "TargetTaken sure", cause: "Secret db exists and is not its own"},
		"no operator":           {text: es("") + store("SecretStore", "vault", ""), want: "NoOperator sure", fix: "kubectl apply"},
		"operator that is down": {text: es("") + store("SecretStore", "vault", "") + "kind: Operator\nmetadata: {name: strongkeep-operator, namespace: strongkeep-system}\nspec: {selector: {}, template: {}}\n", want: "NoOperator sure", fix: "describe deployment strongkeep-operator"},
		"foreign class":         {text: es("") + "kind: SecretStore\nmetadata: {name: vault}\nspec: {controller: team, provider: {vault: {server: 'https://v'}}}\n", want: "ForeignClass likely", cause: `class "team"`},
		"namespace leaves":      {text: es("x") + "kind: Namespace\nmetadata: {name: shop, deletionTimestamp: \"2026-11-01T10:00:00Z\"}\n", want: "NamespaceLeaves sure"},
		"words nobody knows":    {text: es("something else") + store("SecretStore", "vault", ""), want: "NotSynced possible"},
		"a shut window":         {text: strings.Replace(strings.TrimSuffix(es(""), "---\n"), "secretStoreRef", "syncWindows: {kind: deny, windows: [{schedule: '0 0 * * *', duration: 24h}]}, secretStoreRef", 1) + "status: {conditions: [{type: Ready, status: \"True\"}]}\n", asked: true, want: "WindowShut sure", fix: "strongkeep sync shop/db"},

		"old credential": {text: web(env, "", running) + strings.Replace(db, "{name: db}", `{name: db, annotations: {written: "2026-11-01T11:00:00Z"}}`, 1), want: "OldCredential likely", cause: "(PASSWORD) of Secret db in a variable", fix: "rollout restart deployment web"},
		"subPath":        {text: web(`volumeMounts: [{name: s, mountPath: /s/p, subPath: password}]`, `volumes: [{name: s, secret: {secretName: db}}]`, running) + strings.Replace(db, "{name: db}", `{name: db, annotations: {written: "2026-11-01T11:00:00Z"}}`, 1), want: "OldCredential likely", cause: "subPath"},
		"written before": {text: web(env, "", running) + strings.Replace(db, "{name: db}", `{name: db, annotations: {written: "2026-11-01T09:00:00Z"}}`, 1), want: ""},
		"a file":         {text: web(`volumeMounts: [{name: s, mountPath: /s}]`, `volumes: [{name: s, secret: {secretName: db}}]`, running) + strings.Replace(db, "{name: db}", `{name: db, annotations: {written: "2026-11-01T11:00:00Z"}}`, 1), want: ""},
		"a file, asked":  {text: web(`volumeMounts: [{name: s, mountPath: /s}]`, `volumes: [{name: s, secret: {secretName: db}}]`, running) + strings.Replace(db, "{name: db}", `{name: db, annotations: {written: "2026-11-01T11:00:00Z"}}`, 1), asked: true, want: "NotReread possible"},
		"stuck rollout":  {text: strings.Replace(web(env, "", running), "updatedReplicas: 1", "updatedReplicas: 0", 1) + strings.Replace(db, "{name: db}", `{name: db, annotations: {written: "2026-11-01T11:00:00Z"}}`, 1), want: "OldCredential likely", cause: "the rollout that would replace it has not come to it"},

		"no injector":        {text: web("", agent, running), want: "NoInjector sure"},
		"injector not read":  {text: web("", agent, running), unread: []string{"mutatingwebhookconfigurations"}, want: "NotInjected possible"},
		"injected":           {text: strings.Replace(web("", agent, running), "nodeName: n1, containers: [{name: web, }]", "nodeName: n1, containers: [{name: web}, {name: vault-agent}]", 1) + hook, want: ""},
		"namespace excluded": {text: web("", agent, running) + hook + "kind: Namespace\nmetadata: {name: shop}\n", want: "NamespaceExcluded sure", fix: "kubectl label namespace shop inject=yes"},
		"injector down":      {text: web("", agent, running) + hook + "kind: Namespace\nmetadata: {name: shop, labels: {inject: \"yes\"}}\n", want: "InjectorDown likely"},
		"misspelt":           {text: web("", `@{vault.hashicorp.com/agent-injects: "true"}`, running) + hook, want: "AnnotationMisspelt likely", fix: "vault.hashicorp.com/agent-inject "},
		"misspelt secret":    {text: web("", `@{vault.hashicorp.com/agent-inject-secrets-db: secret/db}`, running) + hook, want: "AnnotationMisspelt likely", fix: "vault.hashicorp.com/agent-inject-secret-db "},
		"misplaced":          {text: "kind: Deployment\nmetadata: {name: web, annotations: {vault.hashicorp.com/agent-inject: \"true\"}}\nspec: {selector: {}, template: {}}\n", want: "AnnotationMisplaced sure"},
		"turned off":         {text: web("", `@{vault.hashicorp.com/agent-inject: "false"}`, running), want: ""},

		"no driver":         {text: web("", csi, pending), want: "DriverMissing sure"},
		"driver elsewhere":  {text: web("", csi, pending) + driver + "kind: CSINode\nmetadata: {name: n1}\nspec: {drivers: []}\n", want: "DriverNotOnNode sure", cause: "node n1"},
		"no class":          {text: web("", csi, pending) + driver + onNode + "kind: SecretProviderClass\nmetadata: {name: vaultdb}\n", want: "ClassMissing sure", fix: `/volumes/0/csi/volumeAttributes/secretProviderClass","value":"vaultdb"`},
		"mount refused":     {text: web("", csi, pending) + driver + onNode + "kind: SecretProviderClass\nmetadata: {name: vault-db}\n---\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {kind: Pod, name: web-1-a}\ntype: Warning\nreason: FailedMount\nmessage: 'MountVolume.SetUp failed for volume \"v\" : rpc error: code = Unknown desc = permission denied'\n", want: "MountRefused likely"},
		"mounted":           {text: web("", csi, running) + driver + onNode + "kind: SecretProviderClass\nmetadata: {name: vault-db}\n", want: ""},
		"class not mounted": {text: web(env, "", broken) + "kind: SecretProviderClass\nmetadata: {name: vault-db}\nspec: {secretObjects: [{secretName: db}]}\n", want: "SecretNotMounted sure", cause: "makes it only while a pod mounts it"},
	} {
		t.Run(name, func(t *testing.T) {
			k := read(t, c.text, c.unread...)
			k.Asked = c.asked
			found := doctor.Examine(k, symptoms, doctor.Target{})
			var got []string
			all := ""
			for _, d := range found {
				got = append(got, d.Symptom+" "+string(d.Confidence))
				all += fmt.Sprintf("%+v\n", d)
				if d.Cause == "" || d.Fix.Command+d.Fix.Patch+d.Fix.Text == "" || len(d.Evidence) == 0 && d.Symptom != "x" {
					t.Errorf("without cause, evidence or fix: %+v", d)
				}
			}
			if strings.Join(got, ", ") != c.want || !strings.Contains(all, c.cause) || !strings.Contains(all, c.fix) {
				t.Errorf("got %q, want %q, with %q and %q\n%s", got, c.want, c.cause, c.fix, all)
			}
			if strings.Contains(all, "canary") {
				t.Errorf("it tells a value: %s", all)
			}
		})
	}
}

// What is the same of several pods is told once, of what makes them; who is asked
// about is all that is told of.
func TestMergedAndTargeted(t *testing.T) {
	text := web(env, "", broken)
	second := strings.Replace(text[strings.Index(text, "kind: Pod"):strings.Index(text, "kind: ServiceAccount")], "web-1-a", "web-1-b", 1)
	k := read(t, text+second+"kind: Pod\nmetadata: {name: other}\nspec: {containers: [{name: c, envFrom: [{secretRef: {name: gone}}]}]}\nstatus: {phase: Pending}\n")
	found := doctor.Examine(k, symptoms, doctor.Target{})
	if len(found) != 2 || found[0].Object.Kind != "Deployment" || len(found[0].Affected) != 2 || found[1].Object.Name != "other" {
		t.Errorf("%+v", found)
	}
	for _, target := range []doctor.Target{{Kind: "Deployment", Namespace: "shop", Name: "web"}, {Kind: "Pod", Namespace: "shop", Name: "web-1-b"}, {Kind: "Secret", Namespace: "shop", Name: "db"}} {
		if found := doctor.Examine(k, symptoms, target); len(found) != 1 || found[0].Symptom != "SecretMissing" {
			t.Errorf("%v: %+v", target, found)
		}
	}
	if found := doctor.Examine(k, symptoms, doctor.Target{Kind: "Pod", Namespace: "shop", Name: "web"}); len(found) != 0 {
		t.Errorf("about another: %+v", found)
	}
}

func TestNear(t *testing.T) {
	for given, c := range map[string]struct{ names, want string }{
		"db-pasword":  {"db-password web", "db-password"},
		"db_password": {"db-password", "db-password"},
		"db":          {"da xy", "da"},
		"password":    {"passwd user", "passwd"},
		"tls":         {"database", ""},
	} {
		if got := strings.Join(doctor.Near(given, strings.Fields(c.names)), " "); got != c.want {
			t.Errorf("%s: %q, want %q", given, got, c.want)
		}
	}
}

const words = `Error from server (Forbidden): secrets "db" is forbidden: User "system:serviceaccount:shop:web" cannot get resource "secrets" in API group "" in the namespace "shop"`

func role(name, ns, rule, subject string) string {
	return fmt.Sprintf("kind: Role\nmetadata: {name: %[1]s, namespace: %[2]s}\nrules: [%[3]s]\n---\nkind: RoleBinding\nmetadata: {name: %[1]s, namespace: %[2]s}\nroleRef: {kind: Role, name: %[1]s, apiGroup: rbac.authorization.k8s.io}\nsubjects: [%[4]s]\n---\n", name, ns, rule, subject)
}

func TestDenied(t *testing.T) {
	const me, reads = "{kind: ServiceAccount, name: web, namespace: shop}", `{verbs: [get], apiGroups: [""], resources: [secrets]}`
	account := "kind: ServiceAccount\nmetadata: {name: web}\n---\n"
	for name, c := range map[string]struct{ text, said, want, cause, fix string }{
		"nothing":           {account, words, "NoRight sure", "may not get secrets db in namespace shop", "- db"},
		"no account":        {"", words, "AccountMissing sure", "", "create serviceaccount web"},
		"allowed now":       {account + role("r", "shop", reads, me), words, "Allowed sure", "came later", "custom-columns"},
		"other name":        {account + role("r", "shop", `{verbs: [get], apiGroups: [""], resources: [secrets], resourceNames: [dbs]}`, me), words, "RuleMisses sure", "is for dbs, and not for db", "resourceNames"},
		"other verb":        {account + role("r", "shop", `{verbs: ["get,list"], apiGroups: [""], resources: [secrets]}`, me), words, "RuleMisses sure", `the verb "get,list", which is one word`, ""},
		"other group":       {account + role("r", "shop", `{verbs: [get], apiGroups: [v1], resources: [secrets]}`, me), words, "RuleMisses sure", `API groups ["v1"]`, ""},
		"star":              {account + role("r", "shop", `{verbs: [get], apiGroups: [""], resources: ["secrets/*"]}`, me), words, "RuleMisses sure", "matches nothing", ""},
		"singular":          {account + role("r", "shop", `{verbs: [get], apiGroups: [""], resources: [secret]}`, me), words, "RuleMisses sure", `"secret", and it is called secrets`, ""},
		"elsewhere":         {account + role("r", "team", reads, me), words, "BoundElsewhere sure", "they have it in namespace team", "kind: RoleBinding"},
		"no role":           {account + strings.Replace(role("r", "shop", reads, me), "kind: Role, name: r", "kind: Role, name: reader", 1), words, "RoleMissing sure", "Role reader, which does not exist", ""},
		"another's account": {account + role("r", "shop", reads, "{kind: ServiceAccount, name: web, namespace: default}"), words, "WrongSubject likely", "the one of another namespace", ""},
		"a user":            {account + role("r", "shop", reads, "{kind: User, name: web, apiGroup: rbac.authorization.k8s.io}"), words, "WrongSubject likely", "kind is User", ""},
		"two as default": {account + "kind: ServiceAccount\nmetadata: {name: default}\n---\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {}, template: {}}\n---\nkind: Deployment\nmetadata: {name: other}\nspec: {selector: {}, template: {}}\n---\n" + role("r", "shop", reads, me),
			strings.Replace(words, "shop:web", "shop:default", 1), "OtherAccount likely", "ServiceAccount web of the namespace may", "which is one of Deployment web, Deployment other"},
		"a command's name": {account + "kind: ClusterRole\nmetadata: {name: $(touch x)}\nrules: [" + reads + "]\n---\n" + strings.Replace(role("r", "team", reads, me), "kind: Role, name: r", "kind: ClusterRole, name: $(touch x)", 1), words, "BoundElsewhere sure", "they have it in namespace team", "--clusterrole='$(touch x)' --serviceaccount=shop:web"},
		"runs as default":  {account + "kind: ServiceAccount\nmetadata: {name: default}\n---\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {}, template: {}}\n---\n" + role("r", "shop", reads, me), strings.Replace(words, "shop:web", "shop:default", 1), "OtherAccount likely", "ServiceAccount web of the namespace may", "set serviceaccount deployment web web"},
		"whole cluster":    {account + role("r", "shop", `{verbs: [list], apiGroups: [""], resources: [secrets]}`, me), `secrets is forbidden: User "system:serviceaccount:shop:web" cannot list resource "secrets" in API group "" at the cluster scope`, "ClusterScope sure", "ask for all namespaces", "ask in namespace shop"},
		"a path":           {account, `forbidden: User "system:serviceaccount:shop:web" cannot get path "/metrics"`, "NoRight sure", "get /metrics", "nonResourceURLs"},
	} {
		t.Run(name, func(t *testing.T) {
			ask, err := denied.Parse(strings.ReplaceAll(c.said, `"`, `\"`))
			if err != nil {
				t.Fatal(err)
			}
			found := denied.Explain(read(t, c.text), ask)
			d := found[0]
			if got := d.Symptom + " " + string(d.Confidence); got != c.want || !strings.Contains(d.Cause, c.cause) || !strings.Contains(d.Fix.Command+d.Fix.Text+d.Fix.Patch, c.fix) {
				t.Errorf("got %q, want %q with %q and %q:\n%+v", got, c.want, c.cause, c.fix, d)
			}
		})
	}
	if _, err := denied.Parse("it does not work"); err == nil {
		t.Error("words that say nothing were understood")
	}
}
