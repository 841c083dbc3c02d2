package custom_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record/custom"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// object is one of a kind in namespace ns, with what text says.
func object(t testing.TB, apiVersion, kind, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetName("x")
	if !custom.Global(o.GroupVersionKind().GroupKind()) {
		o.SetNamespace("ns")
	}
	return o
}

// of is what o says of all but values.
func of(o *unstructured.Unstructured) custom.Found { return custom.Of(o, &record.Maker{}) }

func TestUses(t *testing.T) {
	for name, c := range map[string]struct {
		apiVersion, kind, text string
		want                   []string
	}{
		"Ingress":        {"networking.k8s.io/v1", "Ingress", `spec: {tls: [{secretName: a}, {secretName: b}]}`, []string{"spec.tls[0].secretName ns/a", "spec.tls[1].secretName ns/b"}},
		"Gateway":        {"gateway.networking.k8s.io/v1", "Gateway", `spec: {listeners: [{tls: {certificateRefs: [{name: a}, {name: b, namespace: o}]}}]}`, []string{"spec.listeners[0].tls.certificateRefs[0].name ns/a", "spec.listeners[0].tls.certificateRefs[1].name o/b"}},
		"PV":             {"v1", "PersistentVolume", `spec: {csi: {nodeStageSecretRef: {name: a, namespace: o}}, capacity: {storage: 1Gi}}`, []string{"spec.csi.nodeStageSecretRef.name o/a"}},
		"StorageClass":   {"storage.k8s.io/v1", "StorageClass", `parameters: {csi.storage.k8s.io/provisioner-secret-name: a, csi.storage.k8s.io/provisioner-secret-namespace: o, csi.storage.k8s.io/node-stage-secret-name: "${pvc.name}"}`, []string{"parameters[csi.storage.k8s.io/provisioner-secret-name] o/a"}},
		"webhook":        {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", `webhooks: [{clientConfig: {service: {namespace: o, name: s}, caBundle: eA==}}]`, []string{"webhooks[0].clientConfig.service o/s"}},
		"Issuer":         {"cert-manager.io/v1", "Issuer", `spec: {acme: {privateKeySecretRef: {name: a}, solvers: [{dns01: {cloudflare: {apiTokenSecretRef: {name: b, key: k}}}}]}}`, []string{"spec.acme.privateKeySecretRef.name ns/a", "spec.acme.solvers[0].dns01.cloudflare.apiTokenSecretRef.name ns/b#k"}},
		"ClusterIssuer":  {"cert-manager.io/v1", "ClusterIssuer", `spec: {ca: {secretName: a}}`, []string{"spec.ca.secretName cert-manager/a"}},
		"Flux":           {"helm.toolkit.fluxcd.io/v2", "HelmRelease", `spec: {valuesFrom: [{kind: Secret, name: a}, {kind: ConfigMap, name: b}], kubeConfig: {secretRef: {name: c}}}`, []string{"spec.kubeConfig.secretRef.name ns/c", "spec.valuesFrom[0].name ns/a"}},
		"ServiceMonitor": {"monitoring.coreos.com/v1", "ServiceMonitor", `spec: {endpoints: [{basicAuth: {username: {name: a, key: u}, password: {name: a, key: p}}, bearerTokenSecret: {name: b, key: t}}]}`, []string{"spec.endpoints[0].basicAuth.password.name ns/a#p", "spec.endpoints[0].basicAuth.username.name ns/a#u", "spec.endpoints[0].bearerTokenSecret.name ns/b#t"}},
		"CloudNativePG":  {"postgresql.cnpg.io/v1", "Cluster", `spec: {superuserSecret: {name: a}, bootstrap: {initdb: {secret: {name: b}}}, backup: {barmanObjectStore: {s3Credentials: {accessKeyId: {name: c, key: k}}}}}`, []string{"spec.backup.barmanObjectStore.s3Credentials.accessKeyId.name ns/c#k", "spec.bootstrap.initdb.secret.name ns/b", "spec.superuserSecret.name ns/a"}},
		"KEDA":           {"keda.sh/v1alpha1", "TriggerAuthentication", `spec: {secretTargetRef: [{parameter: p, name: a, key: k}]}`, []string{"spec.secretTargetRef[0].name ns/a#k"}},
		"Traefik":        {"traefik.io/v1alpha1", "TLSOption", `spec: {clientAuth: {secretNames: [a, b]}}`, []string{"spec.clientAuth.secretNames[0] ns/a", "spec.clientAuth.secretNames[1] ns/b"}},
		"Contour":        {"projectcontour.io/v1", "HTTPProxy", `spec: {virtualhost: {tls: {secretName: o/a}}}`, []string{"spec.virtualhost.tls.secretName o/a"}},
		"Istio":          {"networking.istio.io/v1", "Gateway", `spec: {servers: [{tls: {credentialName: a}}]}`, []string{"spec.servers[0].tls.credentialName ns/a"}},
		"Knative":        {"serving.knative.dev/v1", "Service", `spec: {template: {spec: {containers: [{env: [{valueFrom: {secretKeyRef: {name: a, key: k}}}]}], volumes: [{secret: {secretName: b}}]}}}`, []string{"spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name ns/a#k", "spec.template.spec.volumes[0].secret.secretName ns/b"}},
		"Velero":         {"velero.io/v1", "BackupStorageLocation", `spec: {credential: {name: a, key: cloud}}`, []string{"spec.credential.name ns/a#cloud"}},
		"Crossplane":     {"aws.upbound.io/v1beta1", "ProviderConfig", `spec: {credentials: {secretRef: {namespace: o, name: a, key: k}}}`, []string{"spec.credentials.secretRef.name o/a#k"}},
		"ACK":            {"rds.services.k8s.aws/v1alpha1", "DBInstance", `spec: {masterUserPassword: {namespace: o, name: a, key: k}}`, []string{"spec.masterUserPassword.name o/a#k"}},
		"any kind":       {"example.com/v1", "Whatever", `spec: {deep: [{passwordSecretRef: {name: a, key: k}, existingSecret: b, tlsSecretName: c}], secretRef: {kind: ConfigMap, name: no}}` + "\nstatus: {secretName: no}\nmetadata: {secretName: no}", []string{"spec.deep[0].existingSecret ns/b", "spec.deep[0].passwordSecretRef.name ns/a#k", "spec.deep[0].tlsSecretName ns/c"}},
		"what it makes":  {"s3.aws.upbound.io/v1", "Bucket", `spec: {writeConnectionSecretToRef: {name: a, namespace: o}}`, nil},
		"nothing":        {"example.com/v1", "Whatever", `spec: {secretRef: {}, secretName: "", name: x}`, nil},
	} {
		var got []string
		for _, u := range of(object(t, c.apiVersion, c.kind, c.text)).Uses {
			line := u.Field + " " + u.To.Namespace + "/" + u.To.Name
			if u.Key != "" {
				line += "#" + u.Key
			}
			if u.From.Kind != c.kind || u.From.Name != "x" {
				t.Errorf("%s: from %v", name, u.From)
			}
			got = append(got, line)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got  %q\nwant %q", name, got, c.want)
		}
	}
}

func TestSources(t *testing.T) {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	ready := "\nstatus: {refreshTime: '2026-01-02T00:00:00Z', lastDone: '2026-01-02T00:00:00Z', notBefore: '2026-01-02T00:00:00Z', notAfter: '2026-04-02T00:00:00Z', conditions: [{type: Ready, status: 'False', reason: Broken, lastTransitionTime: '2026-01-02T00:00:00Z'}, {type: Proven, status: 'True'}], provisionedNamespaces: [a]}"
	secret := func(name string) []snapshot.Ref {
		return []snapshot.Ref{{Kind: "Secret", Namespace: "ns", Name: name}}
	}
	for name, c := range map[string]struct {
		apiVersion, kind, text string
		check                  func(s *snapshot.Source) bool
	}{
		"ExternalSecret": {"external-secrets.io/v1", "ExternalSecret", `spec: {secretStoreRef: {name: st}, target: {name: made}, data: [{secretKey: k, remoteRef: {key: p, property: q}}], dataFrom: [{extract: {key: r}}, {find: {path: f}}]}`,
			func(s *snapshot.Source) bool {
				return slices.Equal(s.Makes, secret("made")) && s.Interval == time.Hour && s.Store.Namespace == "ns" && s.Store.Name == "st" && !s.Generator &&
					slices.Equal(s.Remote, []snapshot.Remote{{Path: "p", Property: "q", Key: "k"}, {Path: "r"}, {Path: "find:f"}}) && s.Synced.Equal(at)
			}},
		"ExternalSecret of a generator": {"external-secrets.io/v1", "ExternalSecret", `spec: {refreshInterval: "0", dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: g}}}], target: {manifest: {apiVersion: v1, kind: ConfigMap}}}`,
			func(s *snapshot.Source) bool {
				return s.Generator && s.Interval == 0 && s.Makes[0] == snapshot.Ref{Kind: "ConfigMap", Namespace: "ns", Name: "x"}
			}},
		"ExternalSecret of a cluster's store": {"external-secrets.io/v1", "ExternalSecret", `spec: {secretStoreRef: {kind: ClusterSecretStore, name: st}, refreshInterval: 5m}`,
			func(s *snapshot.Source) bool {
				return s.Store == snapshot.Ref{Group: "external-secrets.io", Kind: "ClusterSecretStore", Name: "st"} && s.Interval == 5*time.Minute && slices.Equal(s.Makes, secret("x"))
			}},
		"ClusterExternalSecret": {"external-secrets.io/v1", "ClusterExternalSecret", `spec: {externalSecretName: e, externalSecretSpec: {data: [{remoteRef: {key: p}}]}}`,
			func(s *snapshot.Source) bool {
				return len(s.Makes) == 1 && s.Makes[0].String() == "ExternalSecret a/e" && s.Remote[0].Path == "p"
			}},
		"PushSecret": {"external-secrets.io/v1alpha1", "PushSecret", `spec: {refreshInterval: 10m, secretStoreRefs: [{name: st}], selector: {secret: {name: a}}, data: [{match: {secretKey: k, remoteRef: {remoteKey: p}}}]}`,
			func(s *snapshot.Source) bool {
				return len(s.Makes) == 0 && slices.Equal(s.Reads, secret("a")) && s.Interval == 10*time.Minute && s.Store.Name == "st" && s.Remote[0] == snapshot.Remote{Path: "p", Key: "k"}
			}},
		"Rotation": {"strongkeep.io/v1alpha1", "Rotation", `spec: {target: {storeRef: {kind: ClusterSecretStore, name: v}}, schedule: {interval: 720h}, consumers: {secrets: [{name: a}]}}`,
			func(s *snapshot.Source) bool {
				return s.Rotates == 720*time.Hour && s.Proven != nil && *s.Proven && s.Synced.Equal(at) && s.Store.Name == "v" && slices.Equal(s.Reads, secret("a"))
			}},
		"Rotation by cron, with an age that comes later": {"strongkeep.io/v1alpha1", "Rotation", `spec: {target: {manual: {path: p}}, schedule: {cron: "0 3 * * 0", maxAge: 2160h}}`,
			func(s *snapshot.Source) bool { return s.Rotates == 7*24*time.Hour && s.Manual }},
		"Rotation by age": {"strongkeep.io/v1alpha1", "Rotation", `spec: {target: {kv: {path: p}}, schedule: {cron: "no cron", maxAge: 2160h}}`,
			func(s *snapshot.Source) bool { return s.Rotates == 2160*time.Hour && !s.Manual }},
		"SecretProviderClass": {"secrets-store.csi.x-k8s.io/v1", "SecretProviderClass", "spec: {provider: vault, secretObjects: [{secretName: a}], parameters: {objects: \"- objectName: o\\n  secretPath: p\\n  secretKey: k\\n\"}}",
			func(s *snapshot.Source) bool {
				return s.Store.Name == "vault" && slices.Equal(s.Makes, secret("a")) && slices.Equal(s.Remote, []snapshot.Remote{{Path: "p", Property: "k"}})
			}},
		"SealedSecret": {"bitnami.com/v1alpha1", "SealedSecret", `spec: {encryptedData: {a: AgBx}}`, func(s *snapshot.Source) bool { return slices.Equal(s.Makes, secret("x")) }},
		"Certificate": {"cert-manager.io/v1", "Certificate", `spec: {secretName: a, issuerRef: {name: i}, duration: 2160h, renewBefore: 360h}`,
			func(s *snapshot.Source) bool {
				return slices.Equal(s.Makes, secret("a")) && s.Expires.Month() == 4 && s.Store == snapshot.Ref{Group: "cert-manager.io", Kind: "Issuer", Namespace: "ns", Name: "i"} && s.Rotates == 1800*time.Hour
			}},
		"VaultStaticSecret": {"secrets.hashicorp.com/v1beta1", "VaultStaticSecret", `spec: {mount: kv, path: db, refreshAfter: 30s, vaultAuthRef: other/auth, destination: {name: a}}`,
			func(s *snapshot.Source) bool {
				return slices.Equal(s.Makes, secret("a")) && s.Remote[0].Path == "kv/db" && s.Interval == 30*time.Second && s.Store.Namespace == "other" && !s.Generator
			}},
		"what Crossplane makes": {"rds.aws.upbound.io/v1beta1", "Instance", `spec: {writeConnectionSecretToRef: {name: a}}`, func(s *snapshot.Source) bool { return slices.Equal(s.Makes, secret("a")) && s.Generator }},
		"a claim of Crossplane": {"example.org/v1", "Database", `spec: {writeConnectionSecretToRef: {name: a}}`, func(s *snapshot.Source) bool { return slices.Equal(s.Makes, secret("a")) }},
		"VaultDynamicSecret":    {"secrets.hashicorp.com/v1beta1", "VaultDynamicSecret", `spec: {mount: db, path: creds/app, destination: {name: a}}`, func(s *snapshot.Source) bool { return s.Generator }},
	} {
		f := of(object(t, c.apiVersion, c.kind, c.text+ready))
		if len(f.Sources) != 1 || !c.check(&f.Sources[0]) || f.Sources[0].Ready != "False" || f.Sources[0].Reason != "Broken" || !f.Sources[0].Since.Equal(at) {
			t.Errorf("%s: %+v", name, f.Sources)
		}
		for _, u := range f.Uses {
			if len(f.Sources) == 1 && slices.Contains(f.Sources[0].Makes, u.To) {
				t.Errorf("%s uses what it makes: %+v", name, u)
			}
		}
	}
}

// Of a cluster the kinds are asked for that Crossplane's packages add, by their categories.
func TestProvisions(t *testing.T) {
	for _, c := range []struct {
		categories []string
		want       bool
	}{
		{[]string{"crossplane", "managed", "aws"}, true}, {[]string{"claim"}, true}, {[]string{"composite"}, true}, {[]string{"managed"}, false}, {[]string{"crossplane", "provider"}, false}, {nil, false},
	} {
		if got := custom.Provisions(c.categories); got != c.want {
			t.Errorf("%q: %v", c.categories, got)
		}
	}
}

func TestStores(t *testing.T) {
	f := of(object(t, "external-secrets.io/v1", "ClusterSecretStore", `
spec:
  provider: {vault: {server: "https://v", path: kv, auth: {kubernetes: {serviceAccountRef: {name: sa, namespace: o}}, tokenSecretRef: {name: a, namespace: o, key: t}}}}
  conditions: [{namespaces: [a, b]}]
status: {conditions: [{type: Ready, status: "True", reason: Valid}]}`))
	if len(f.Stores) != 1 {
		t.Fatal(f)
	}
	s := f.Stores[0]
	var uses []string
	for _, u := range s.Uses {
		uses = append(uses, u.Field+" "+u.To.String())
	}
	if want := []string{"spec.provider.vault.auth.tokenSecretRef.name Secret o/a", "spec.provider.vault.auth.kubernetes.serviceAccountRef.name ServiceAccount o/sa"}; !slices.Equal(uses, want) {
		t.Errorf("uses %q", uses)
	}
	if s.Provider != "vault" || s.Server != "https://v" || s.Mount != "kv" || s.Ready != "True" || !slices.Equal(s.Namespaces, []string{"a", "b"}) || s.Kind != "ClusterSecretStore" {
		t.Errorf("%+v", s)
	}
	by := of(object(t, "external-secrets.io/v1", "ClusterSecretStore", `spec: {conditions: [{namespaces: [a]}, {namespaceSelector: {}}]}`))
	if got := by.Stores[0]; !slices.Equal(got.Namespaces, []string{"a"}) || len(got.Conditions) != 2 || got.Conditions[0].Labels != nil || got.Conditions[1].Labels == nil {
		t.Errorf("a selector: %+v", by.Stores)
	}
	if none := of(object(t, "external-secrets.io/v1", "ClusterSecretStore", `spec: {conditions: [{}]}`)).Stores[0]; len(none.Conditions) != 1 {
		t.Errorf("a condition that lets nobody: %+v", none)
	}
}

// What an AppProject lets Applications write to shop, in this cluster.
func TestProject(t *testing.T) {
	const here = `{server: https://kubernetes.default.svc, namespace: `
	for name, c := range map[string]struct {
		spec string
		want bool
	}{
		"everywhere":                 {`destinations: [{server: "*", namespace: "*"}]`, true},
		"nowhere":                    {``, false},
		"there":                      {`destinations: [` + here + `shop}]`, true},
		"by a pattern":               {`destinations: [` + here + `"s?o*"}]`, true},
		"by an expression":           {`destinations: [` + here + `"/^sh.p$/"}]`, true},
		"elsewhere":                  {`destinations: [` + here + `web}]`, false},
		"another cluster":            {`destinations: [{server: https://west:6443, namespace: shop}]`, false},
		"this cluster by its name":   {`destinations: [{name: in-cluster, namespace: shop}]`, true},
		"another by its name":        {`destinations: [{name: west, namespace: shop}]`, false},
		"all but this one":           {`destinations: [` + here + `"*"}, ` + here + `"!shop"}]`, false},
		"all but another":            {`destinations: [` + here + `"!web"}]`, true},
		"kinds that give nothing":    {`destinations: [` + here + `shop}], namespaceResourceWhitelist: [{group: "", kind: ConfigMap}]`, false},
		"kinds that give something":  {`destinations: [` + here + `shop}], namespaceResourceWhitelist: [{group: apps, kind: "Deploy*"}]`, true},
		"no kinds":                   {`destinations: [` + here + `shop}], namespaceResourceWhitelist: []`, false},
		"all kinds forbidden":        {`destinations: [` + here + `shop}], namespaceResourceBlacklist: [{group: "*", kind: "*"}]`, false},
		"bindings of the cluster":    {`destinations: [` + here + `web}], clusterResourceWhitelist: [{group: "*", kind: "*"}]`, true},
		"other kinds of the cluster": {`destinations: [` + here + `web}], clusterResourceWhitelist: [{group: "", kind: Namespace}]`, false},
		"all but bindings":           {`destinations: [` + here + `web}], clusterResourceWhitelist: [{group: "*", kind: "*"}], clusterResourceBlacklist: [{group: rbac.authorization.k8s.io, kind: "*"}]`, false},
	} {
		found := of(object(t, "argoproj.io/v1alpha1", "AppProject", "spec: {"+c.spec+"}"))
		if len(found.Projects) != 1 {
			t.Fatalf("%s: %+v", name, found)
		}
		s := snapshot.Snapshot{Projects: found.Projects}
		if got := s.Paths().Projects[0].To("shop"); got != c.want {
			t.Errorf("%s: %v, want %v: %+v", name, got, c.want, found.Projects[0])
		}
	}
	p := of(object(t, "argoproj.io/v1alpha1", "AppProject", `spec: {sourceNamespaces: ["team-*"]}`))
	if from := (&snapshot.Snapshot{Projects: p.Projects}).Paths().Projects[0].From; !from("team-a") || from("ops") {
		t.Errorf("%+v", p.Projects)
	}
}

// A policy is known to refuse what people write by its text, unless something narrows
// what it is asked about.
func TestByControllers(t *testing.T) {
	const rules = "resourceRules: [{operations: [CREATE], apiGroups: [''], resources: [secrets]}]"
	spec := func(match, more string) string {
		expression, err := json.Marshal(snapshot.ByControllers + "  ")
		if err != nil {
			t.Fatal(err)
		}
		return "spec: {matchConstraints: {" + match + "}, validations: [{expression: " + string(expression) + "}]" + more + "}"
	}
	for text, want := range map[string]bool{
		spec(rules, ""): true,
		spec(rules+", namespaceSelector: {}, excludeResourceRules: []", ""):                                            true,
		spec(rules+", namespaceSelector: {matchLabels: {env: test}}", ""):                                              false,
		spec(rules+", excludeResourceRules: [{resourceNames: [a]}]", ""):                                               false,
		spec(rules, ", failurePolicy: Ignore"):                                                                         false,
		spec(rules, ", matchConditions: [{name: a, expression: 'false'}]"):                                             false,
		spec("resourceRules: [{operations: [UPDATE], apiGroups: [''], resources: [secrets]}]", ""):                     false,
		spec("resourceRules: [{operations: [CREATE], apiGroups: [''], resources: [secrets], resourceNames: [a]}]", ""): false,
		"spec: {matchConstraints: {" + rules + "}, validations: [{expression: \"has(object.metadata.labels)\"}]}":      false,
	} {
		f := of(object(t, "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", text))
		if len(f.Admissions) != 1 || f.Admissions[0].Hands != want {
			t.Errorf("%s: %+v", text, f.Admissions)
		}
	}
	for text, want := range map[string]bool{
		"spec: {policyName: p, validationActions: [Deny]}":                                                                  true,
		"spec: {policyName: p, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {env: test}}}}": false,
	} {
		if f := of(object(t, "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", text)); f.Everywhere != want || f.Enforces != "p" {
			t.Errorf("%s: %+v", text, f)
		}
	}
}

func TestAdmissions(t *testing.T) {
	for name, c := range map[string]struct {
		apiVersion, kind, text string
		secrets, enforced      bool
	}{
		"VAP":           {"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", `spec: {matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [""], resources: [secrets]}]}}`, true, false},
		"VAP of pods":   {"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", `spec: {matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [""], resources: [pods]}]}}`, false, false},
		"webhook":       {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", `webhooks: [{rules: [{operations: ["*"], apiGroups: ["*"], resources: ["*"]}]}]`, true, true},
		"that fails":    {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", `webhooks: [{failurePolicy: Ignore, rules: [{operations: [CREATE], apiGroups: [""], resources: [secrets]}]}]`, true, false},
		"of updates":    {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", `webhooks: [{rules: [{operations: [UPDATE], apiGroups: [""], resources: [secrets]}]}]`, false, false},
		"Kyverno":       {"kyverno.io/v1", "ClusterPolicy", `spec: {validationFailureAction: Enforce, rules: [{match: {any: [{resources: {kinds: [Secret]}}]}, validate: {}}]}`, true, true},
		"Kyverno audit": {"kyverno.io/v1", "ClusterPolicy", `spec: {rules: [{match: {any: [{resources: {kinds: [Secret]}}]}, validate: {failureAction: Audit}}]}`, true, false},
		"Kyverno makes": {"kyverno.io/v1", "ClusterPolicy", `spec: {rules: [{match: {any: [{resources: {kinds: [Secret]}}]}, generate: {}}]}`, false, false},
		"Gatekeeper":    {"constraints.gatekeeper.sh/v1beta1", "Whatever", `spec: {match: {kinds: [{kinds: [Secret]}]}}`, true, true},
		"dry run":       {"constraints.gatekeeper.sh/v1beta1", "Whatever", `spec: {enforcementAction: dryrun, match: {kinds: [{kinds: [Secret]}]}}`, true, false},
	} {
		f := of(object(t, c.apiVersion, c.kind, c.text))
		if len(f.Admissions) != 1 || f.Admissions[0].Secrets != c.secrets || f.Admissions[0].Enforced != c.enforced {
			t.Errorf("%s: %+v", name, f.Admissions)
		}
	}
	if f := of(object(t, "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", `spec: {policyName: p, validationActions: [Deny]}`)); f.Enforces != "p" {
		t.Errorf("%+v", f)
	}
	if f := of(object(t, "storagemigration.k8s.io/v1beta1", "StorageVersionMigration", `spec: {resource: {group: "", resource: secrets}}`+"\nstatus: {conditions: [{type: Succeeded, status: 'True', lastUpdateTime: '2026-01-02T00:00:00Z'}]}")); len(f.Migrations) != 1 || f.Migrations[0].Resource != "secrets" || !f.Migrations[0].Succeeded || f.Migrations[0].Ended.IsZero() {
		t.Errorf("%+v", f)
	}
}

func TestCopies(t *testing.T) {
	for text, want := range map[string]string{
		"replicator.v1.mittwald.de/replicate-from: o/db":        "Secret o/db -> Secret ns/x",
		"replicator.v1.mittwald.de/replicate-to: a, b-*,ns,c":   "Secret ns/x -> Secret a/x Secret c/x",
		"reflector.v1.k8s.emberstack.com/reflects: o/db":        "Secret o/db -> Secret ns/x",
		"kubed.appscode.com/sync: ''":                           "Secret ns/x ->",
		"other: x":                                              "",
		"reflector.v1.k8s.emberstack.com/reflection-allowed: x": "",
	} {
		m := snapshot.Meta{Namespace: "ns", Name: "x"}
		if err := yaml.Unmarshal([]byte(text), &m.Annotations); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range custom.Copies("Secret", &m) {
			got = s.Reads[0].String() + " ->"
			for _, to := range s.Makes {
				got += " " + to.String()
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if uses := custom.Read(&snapshot.Meta{Namespace: "argocd", Name: "repo", Labels: map[string]string{"argocd.argoproj.io/secret-type": "repository"}}); len(uses) != 1 || uses[0].To.Name != "repo" {
		t.Errorf("%+v", uses)
	}
}

func TestGrants(t *testing.T) {
	uses := of(object(t, "gateway.networking.k8s.io/v1", "Gateway", `spec: {listeners: [{tls: {certificateRefs: [{name: a}, {name: b, namespace: o}, {name: c, namespace: o}, {name: b, namespace: p}]}}]}`)).Uses
	grant := object(t, "gateway.networking.k8s.io/v1beta1", "ReferenceGrant", `spec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: ns}], to: [{group: "", kind: Secret, name: b}]}`)
	grant.SetNamespace("o")
	var left []string
	for _, u := range custom.Grants(uses, []*unstructured.Unstructured{grant}) {
		left = append(left, u.To.Namespace+"/"+u.To.Name)
	}
	if want := []string{"ns/a", "o/b"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}

// Each line of the table is one that Of can use: once, with a group, and a path.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for i := range custom.Kinds {
		k := &custom.Kinds[i]
		id := k.Kind + "." + k.Group
		if seen[id] || k.Resource == "" || k.Kind == "" || strings.ToLower(k.Resource) != k.Resource || k.Fills() == "" {
			t.Errorf("%s: twice, or without a name", id)
		}
		seen[id] = true
		for _, path := range append(slices.Clone(k.Names), k.Makes...) {
			if path == "=" {
				continue
			}
			// An object with a Secret in each place that the path goes through.
			path, only, _ := strings.Cut(path, "?")
			var tree any = map[string]any{"name": "there", "kind": only}
			names := strings.Split(path, ".")
			if last := names[len(names)-1]; last == "name" || strings.HasSuffix(last, "Name") || strings.HasSuffix(last, "Names[]") {
				tree = "there"
			}
			for _, name := range slices.Backward(names) {
				if field, list := strings.CutSuffix(name, "[]"); list {
					tree = map[string]any{field: []any{tree}}
				} else {
					tree = map[string]any{field: tree}
				}
			}
			o := &unstructured.Unstructured{Object: tree.(map[string]any)}
			o.SetAPIVersion(strings.TrimPrefix(k.Group+"/v1", "/"))
			o.SetKind(k.Kind)
			f := of(o)
			found := slices.ContainsFunc(f.Uses, func(u snapshot.Use) bool { return u.To.Name == "there" })
			for _, s := range f.Sources {
				found = found || slices.ContainsFunc(s.Makes, func(r snapshot.Ref) bool { return r.Name == "there" })
			}
			if !found {
				t.Errorf("%s: nothing is found by %s", id, path)
			}
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"bitnami.com/v1","kind":"SealedSecret","spec":{"template":[]}}`))
	f.Add([]byte(`{"apiVersion":"external-secrets.io/v1","kind":"ClusterSecretStore","spec":{"provider":{"a":[]},"conditions":[null,{"namespaces":[1]}]}}`))
	f.Add([]byte(`{"apiVersion":"kyverno.io/v1","kind":"Policy","spec":{"rules":[{"validate":1}]},"status":{"conditions":[1]}}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		o := &unstructured.Unstructured{}
		if json.Unmarshal(raw, &o.Object) == nil && o.Object != nil {
			_ = of(o)
		}
	})
}

// Of a store's address nothing is kept that logs in.
func TestStoreAddress(t *testing.T) {
	const secret = "canary-8d21"
	token := "gh" + "p_" + strings.Repeat("aB3dE5gH7jK9", 3)
	for raw, want := range map[string]string{
		"https://v:8200": "https://v:8200",
		"eu-west-1":      "eu-west-1",
		"https://u:" + secret + "@h/get?token=" + secret: "https://h/get",
		"https://h/a#" + secret:                          "https://h/a",
		"https://h/{{ .remoteRef.key }}":                 "https://h/%7B%7B%20.remoteRef.key%20%7D%7D",
		"https://h/hook/" + token:                        "https://h/hook/*",
		"https://u:12/" + secret + "@h/":                 "",
		"https://u:p/" + secret + "@h/":                  "",
		"u:" + secret + "@h":                             "",
		"h/get?token=" + secret:                          "",
		"https://u:" + secret + "@{{ .h }}/":             "",
	} {
		f := of(&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": map[string]any{"name": "s", "namespace": "n"},
			"spec": map[string]any{"provider": map[string]any{"webhook": map[string]any{"url": raw}}},
		}})
		if len(f.Stores) != 1 || f.Stores[0].Server != want {
			t.Errorf("%s: %+v, want %q", raw, f.Stores, want)
		}
	}
}

const canary = "canary-5b0e-Qx7"

// What objects hold themselves: where, and what it looks like. Names of Secrets, what is
// sealed, and settings are none.
func TestValues(t *testing.T) {
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{7}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Join([]string{"gh", "p_aB3dE5gH7jK9aB3dE5gH7jK9aB3dE5gH7jK9"}, "")
	for name, c := range map[string]struct {
		apiVersion, kind, text string
		want                   []string
	}{
		"Flux": {"helm.toolkit.fluxcd.io/v2", "HelmRelease", `spec: {chart: {spec: {chart: postgresql}}, values: {auth: {password: ` + canary + `, existingSecret: ""}, url: "postgres://app:` + canary + `@db/app"}}`,
			[]string{"spec.values.auth.password NamedSecret", "spec.values.url PasswordURL"}},
		"a Kustomization": {"kustomize.toolkit.fluxcd.io/v1", "Kustomization", `spec: {postBuild: {substitute: {DB_PASSWORD: ` + canary + `}}}`, []string{"spec.postBuild.substitute.DB_PASSWORD NamedSecret"}},
		"Argo CD": {"argoproj.io/v1alpha1", "Application", `spec: {source: {repoURL: "https://git.example/shop", helm: {parameters: [{name: db.password, value: ` + canary + `}, {name: replicas, value: "3"}], valuesObject: {token: ` + canary + `2}, values: "a:\n  password: ` + canary + `\n"}}}`,
			[]string{"spec.source.helm.parameters[0].value NamedSecret", "spec.source.helm.values NamedSecret", "spec.source.helm.valuesObject.token NamedSecret"}},
		"Argo CD, several sources": {"argoproj.io/v1alpha1", "Application", `spec: {sources: [{helm: {valuesObject: {password: ` + canary + `}}}]}`, []string{"spec.sources[0].helm.valuesObject.password NamedSecret"}},
		"an ApplicationSet":        {"argoproj.io/v1alpha1", "ApplicationSet", `spec: {template: {spec: {source: {helm: {valuesObject: {password: ` + canary + `}}}}}}`, []string{"spec.template.spec.source.helm.valuesObject.password NamedSecret"}},
		"a Workflow": {"argoproj.io/v1alpha1", "Workflow", `spec: {arguments: {parameters: [{name: password, value: ` + canary + `}]}, templates: [{container: {env: [{name: API_TOKEN, value: ` + canary + `}, {name: LEVEL, value: debug}], args: [` + token + `]}}]}`,
			[]string{"spec.arguments.parameters[0].value NamedSecret", "spec.templates[0].container.args[0] Token", "spec.templates[0].container.env[0].value NamedSecret"}},
		"Knative": {"serving.knative.dev/v1", "Service", `spec: {template: {spec: {containers: [{env: [{name: DB_PASSWORD, value: ` + canary + `}]}]}}}`, []string{"spec.template.spec.containers[0].env[0].value NamedSecret"}},
		"what kubectl apply keeps": {"networking.k8s.io/v1", "Ingress", `metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec": {"x": "https://u:` + canary + `@h/"}}'}}`,
			[]string{"metadata.annotations[kubectl.kubernetes.io/last-applied-configuration] PasswordURL"}},
		"an annotation":                      {"networking.k8s.io/v1", "Ingress", `metadata: {annotations: {example.com/password: ` + canary + `}}`, []string{"metadata.annotations[example.com/password] NamedSecret"}},
		"another's kind, what it looks like": {"example.com/v1", "Thing", `spec: {a: [{b: ` + token + `}]}`, []string{"spec.a[0].b Token"}},
		"names of Secrets":                   {"external-secrets.io/v1", "ExternalSecret", `spec: {secretStoreRef: {name: vault}, target: {name: db-password}, data: [{secretKey: password, remoteRef: {key: shop/db-password, property: password}}]}`, nil},
		"a field's name":                     {"postgresql.cnpg.io/v1", "Cluster", `spec: {superuserSecret: {name: superuser}, passwordSecret: db-credentials-2, secretName: tls-shop-7}`, nil},
		"what is sealed":                     {"bitnami.com/v1alpha1", "SealedSecret", `spec: {encryptedData: {password: AgBy3i4OJSWK+PiTySYZZA9rO43cGDEqaB3dE5gH7jK9aB3dE5gH7jK9}}`, nil},
		"settings":                           {"argoproj.io/v1alpha1", "Application", `spec: {source: {helm: {parameters: [{name: image.tag, value: v1.2.3}, {name: secretName, value: ""}]}}}`, nil},
		"no spec":                            {"argoproj.io/v1alpha1", "Application", `spec: 7`, nil},
	} {
		o := object(t, c.apiVersion, c.kind, c.text)
		found := custom.Of(o, &record.Maker{Key: k}).Objects
		var got []string
		for _, one := range found {
			if one.Kind != c.kind || one.Namespace != "ns" || one.Name != "x" {
				t.Errorf("%s: %+v", name, one.Meta)
			}
			for _, v := range one.Values {
				if v.Looks.Sensitive() {
					got = append(got, v.Field+" "+string(v.Looks))
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if raw, err := json.Marshal(found); err != nil || strings.Contains(string(raw), canary) || strings.Contains(string(raw), token) {
			t.Errorf("%s: %v, a value is told: %s", name, err, raw)
		}
		if len(of(o).Objects) > 0 {
			t.Errorf("%s: values without a key", name)
		}
	}
}
