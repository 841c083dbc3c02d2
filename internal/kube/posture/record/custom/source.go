package custom

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// sources are the kinds that make Secrets of what lives elsewhere, by "Kind.group",
// and what each says beside the Secrets that it makes.
var sources = map[string]func(o *unstructured.Unstructured, s *snapshot.Source){
	"ExternalSecret.external-secrets.io":             externalSecret,
	"ClusterExternalSecret.external-secrets.io":      clusterExternalSecret,
	"PushSecret.external-secrets.io":                 pushSecret,
	"Rotation.strongkeep.io":                         rotation,
	"SecretProviderClass.secrets-store.csi.x-k8s.io": providerClass,
	"SealedSecret.bitnami.com":                       func(_ *unstructured.Unstructured, s *snapshot.Source) { s.Makes = s.Makes[:1] },
	"Certificate.cert-manager.io":                    certificate,
	"VaultStaticSecret.secrets.hashicorp.com":        vaultSecret,
	"VaultDynamicSecret.secrets.hashicorp.com":       vaultSecret,
	"VaultPKISecret.secrets.hashicorp.com":           vaultSecret,
	"SopsSecret.isindir.github.com":                  nil,
	"OnePasswordItem.onepassword.com":                onePassword,
	"DopplerSecret.secrets.doppler.com":              nil,
	"InfisicalSecret.secrets.infisical.com":          nil,
	"KafkaUser.kafka.strimzi.io":                     func(_ *unstructured.Unstructured, s *snapshot.Source) { s.Generator = true },
}

// source is what o makes, if it is of a kind that does.
func source(o *unstructured.Unstructured, made []snapshot.Ref) (snapshot.Source, bool) {
	kind := o.GroupVersionKind().GroupKind()
	more, ok := sources[kind.String()]
	if !ok && len(made) > 0 && connects(o) {
		more, ok = connection, true
	}
	if !ok {
		return snapshot.Source{}, false
	}
	s := snapshot.Source{Meta: meta(o), Group: kind.Group, Kind: kind.Kind, Makes: made}
	s.Ready, s.Reason, s.Since = condition(o, "Ready")
	if s.Ready == "" {
		s.Ready, s.Reason, s.Since = condition(o, "Synced") // of SealedSecrets and Crossplane
	}
	if more != nil {
		more(o, &s)
	}
	return s, true
}

// Provisions reports whether kinds of these categories are those by which Crossplane
// makes things outside.
func Provisions(categories []string) bool {
	has := func(c string) bool { return slices.Contains(categories, c) }
	return has("managed") && has("crossplane") || has("claim") || has("composite")
}

// connects reports whether o is made outside by Crossplane, which writes how to log in
// to it into a Secret.
func connects(o *unstructured.Unstructured) bool {
	spec, _ := o.Object["spec"].(map[string]any)
	return spec["writeConnectionSecretToRef"] != nil || spec["publishConnectionDetailsTo"] != nil
}

// connection says that a provider made up the Secret's content.
func connection(_ *unstructured.Unstructured, s *snapshot.Source) { s.Generator = true }

// condition is one of status.conditions.
func condition(o *unstructured.Unstructured, name string) (status, reason string, since time.Time) {
	at(o.Object, "status.conditions[]", func(_ string, v any) {
		if m, _ := v.(map[string]any); text(m["type"]) == name {
			status, reason, since = text(m["status"]), text(m["reason"]), instant(text(m["lastTransitionTime"]))
		}
	})
	return status, reason, since
}

// instant is a time as Kubernetes writes it; zero if it is none.
func instant(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// span is a duration as Kubernetes writes it; 0 if it is none.
func span(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0
	}
	return d
}

const eso = "external-secrets.io"

func storeRef(o *unstructured.Unstructured, v any) snapshot.Ref {
	m, _ := v.(map[string]any)
	out := snapshot.Ref{Group: eso, Kind: first(text(m["kind"]), "SecretStore"), Name: text(m["name"])}
	if out.Name == "" {
		return snapshot.Ref{}
	}
	if out.Kind == "SecretStore" {
		out.Namespace = o.GetNamespace()
	}
	return out
}

func externalSecret(o *unstructured.Unstructured, s *snapshot.Source) {
	s.Synced = instant(textAt(o.Object, "status.refreshTime"))
	spec, _ := o.Object["spec"].(map[string]any)
	external(o, spec, s)
	if textAt(spec, "target.creationPolicy") == "None" {
		return
	}
	made := snapshot.Ref{Kind: "Secret", Namespace: o.GetNamespace(), Name: first(textAt(spec, "target.name"), o.GetName())}
	if kind := textAt(spec, "target.manifest.kind"); kind != "" {
		made.Kind = kind
		if group, _, ok := strings.Cut(textAt(spec, "target.manifest.apiVersion"), "/"); ok {
			made.Group = group
		}
	}
	s.Makes = []snapshot.Ref{made}
}

// external is what the spec of an ExternalSecret says, wherever it stands.
func external(o *unstructured.Unstructured, spec map[string]any, s *snapshot.Source) {
	s.Store = storeRef(o, spec["secretStoreRef"])
	s.Interval = time.Hour // the default
	if text(spec["refreshInterval"]) != "" {
		s.Interval = span(text(spec["refreshInterval"]))
	}
	if p := text(spec["refreshPolicy"]); p == "CreatedOnce" || p == "OnChange" {
		s.Interval = 0
	}
	at(spec, "data[]", func(_ string, v any) {
		s.Remote = append(s.Remote, snapshot.Remote{Path: textAt(v, "remoteRef.key"), Property: textAt(v, "remoteRef.property"), Key: textAt(v, "secretKey")})
	})
	at(spec, "dataFrom[]", func(_ string, v any) {
		m, _ := v.(map[string]any)
		switch {
		case m["extract"] != nil:
			s.Remote = append(s.Remote, snapshot.Remote{Path: textAt(v, "extract.key"), Property: textAt(v, "extract.property")})
		case m["find"] != nil:
			s.Remote = append(s.Remote, snapshot.Remote{Path: "find:" + first(textAt(v, "find.path"), textAt(v, "find.name.regexp"))})
		}
		s.Generator = s.Generator || textAt(v, "sourceRef.generatorRef.name") != ""
		s.Store = firstRef(s.Store, storeRef(o, under(v, "sourceRef", "storeRef")))
	})
	at(spec, "data[].sourceRef.storeRef", func(_ string, v any) { s.Store = firstRef(s.Store, storeRef(o, v)) })
	at(spec, "data[].sourceRef.generatorRef.name", func(string, any) { s.Generator = true })
}

func firstRef(a, b snapshot.Ref) snapshot.Ref {
	if a.Name != "" {
		return a
	}
	return b
}

// under is what lies below two fields; nil if nothing does.
func under(v any, a, b string) any {
	m, _ := v.(map[string]any)
	m, _ = m[a].(map[string]any)
	return m[b]
}

func clusterExternalSecret(o *unstructured.Unstructured, s *snapshot.Source) {
	spec, _ := under(o.Object, "spec", "externalSecretSpec").(map[string]any)
	external(o, spec, s)
	s.Makes = nil
	name := first(textAt(o.Object, "spec.externalSecretName"), o.GetName())
	for _, ns := range texts(o.Object, "status.provisionedNamespaces") {
		s.Makes = append(s.Makes, snapshot.Ref{Group: eso, Kind: "ExternalSecret", Namespace: ns, Name: name})
	}
}

func pushSecret(o *unstructured.Unstructured, s *snapshot.Source) {
	s.Makes = nil
	s.Interval, s.Synced = span(textAt(o.Object, "spec.refreshInterval")), instant(textAt(o.Object, "status.refreshTime"))
	at(o.Object, "spec.secretStoreRefs[]", func(_ string, v any) { s.Store = firstRef(s.Store, storeRef(o, v)) })
	if name := textAt(o.Object, "spec.selector.secret.name"); name != "" {
		s.Reads = []snapshot.Ref{{Kind: "Secret", Namespace: o.GetNamespace(), Name: name}}
	}
	s.Generator = textAt(o.Object, "spec.selector.generatorRef.name") != ""
	at(o.Object, "spec.data[].match", func(_ string, v any) {
		s.Remote = append(s.Remote, snapshot.Remote{Path: textAt(v, "remoteRef.remoteKey"), Property: textAt(v, "remoteRef.property"), Key: textAt(v, "secretKey")})
	})
	at(o.Object, "spec.dataTo[]", func(_ string, v any) {
		s.Remote = append(s.Remote, snapshot.Remote{Path: first(textAt(v, "remoteKey"), "*")})
	})
}

func rotation(o *unstructured.Unstructured, s *snapshot.Source) {
	s.Makes = nil
	s.Store = storeRef(o, under(o.Object["spec"], "target", "storeRef"))
	s.Rotates = scheduled(o)
	s.Manual = under(o.Object["spec"], "target", "manual") != nil
	s.Synced = instant(textAt(o.Object, "status.lastDone"))
	at(o.Object, "spec.consumers.secrets[]", func(_ string, v any) {
		name, ns, _ := named(v)
		s.Reads = append(s.Reads, snapshot.Ref{Kind: "Secret", Namespace: first(ns, o.GetNamespace()), Name: name})
	})
	if location := textAt(o.Object, "status.location"); location != "" {
		s.Remote = []snapshot.Remote{{Path: location}}
	}
	if status, _, _ := condition(o, "Proven"); status != "" {
		proven := status == "True"
		s.Proven = &proven
	}
}

func providerClass(o *unstructured.Unstructured, s *snapshot.Source) {
	s.Store = snapshot.Ref{Kind: "Provider", Name: textAt(o.Object, "spec.provider")}
	var objects []map[string]any
	if err := yaml.Unmarshal([]byte(textAt(o.Object, "spec.parameters.objects")), &objects); err != nil {
		return // written in another way, which the provider knows
	}
	for _, m := range objects {
		path := first(text(m["secretPath"]), text(m["resourceName"]), text(m["objectName"]))
		s.Remote = append(s.Remote, snapshot.Remote{Path: path, Property: text(m["secretKey"]), Key: first(text(m["objectAlias"]), text(m["fileName"]))})
	}
}

func certificate(o *unstructured.Unstructured, s *snapshot.Source) {
	issuer, _ := under(o.Object, "spec", "issuerRef").(map[string]any)
	s.Store = snapshot.Ref{Group: first(text(issuer["group"]), "cert-manager.io"), Kind: first(text(issuer["kind"]), "Issuer"), Name: text(issuer["name"])}
	if s.Store.Kind == "Issuer" {
		s.Store.Namespace = o.GetNamespace()
	}
	s.Generator = true
	s.Expires, s.Synced = instant(textAt(o.Object, "status.notAfter")), instant(textAt(o.Object, "status.notBefore"))
	s.Rotates = span(textAt(o.Object, "spec.duration")) - span(textAt(o.Object, "spec.renewBefore"))
}

func vaultSecret(o *unstructured.Unstructured, s *snapshot.Source) {
	s.Generator = o.GetKind() != "VaultStaticSecret"
	s.Interval = span(textAt(o.Object, "spec.refreshAfter"))
	path := strings.Trim(textAt(o.Object, "spec.mount")+"/"+first(textAt(o.Object, "spec.path"), textAt(o.Object, "spec.role")), "/")
	s.Remote = []snapshot.Remote{{Path: path}}
	if name := textAt(o.Object, "spec.vaultAuthRef"); name != "" {
		ns, rest, ok := strings.Cut(name, "/")
		if !ok {
			ns, rest = o.GetNamespace(), name
		}
		s.Store = snapshot.Ref{Group: "secrets.hashicorp.com", Kind: "VaultAuth", Namespace: ns, Name: rest}
	}
}

func onePassword(o *unstructured.Unstructured, s *snapshot.Source) {
	if path := textAt(o.Object, "spec.itemPath"); path != "" {
		s.Remote = []snapshot.Remote{{Path: path}}
	}
}

// store is a SecretStore or ClusterSecretStore. uses are its references to Secrets.
func store(o *unstructured.Unstructured, uses []snapshot.Use) snapshot.Store {
	s := snapshot.Store{Meta: meta(o), Kind: o.GetKind(), Uses: uses}
	s.Ready, s.Reason, _ = condition(o, "Ready")
	providers, _ := under(o.Object, "spec", "provider").(map[string]any)
	for name, v := range providers {
		s.Provider = name
		s.Server = address(first(textAt(v, "server"), textAt(v, "vaultUrl"), textAt(v, "url"), textAt(v, "region"), textAt(v, "projectID"), textAt(v, "serverURL")))
		s.Mount = textAt(v, "path")
		accounts(o, "spec.provider."+name, v, &s, 0)
	}
	at(o.Object, "spec.conditions[]", func(_ string, v any) {
		m, _ := v.(map[string]any)
		s.Namespaces = append(s.Namespaces, texts(m, "namespaces[]")...)
		s.Conditions = append(s.Conditions, snapshot.Condition{Regexes: texts(m, "namespaceRegexes[]"), Labels: selector(m["namespaceSelector"])})
	})
	return s
}

// selector is one of labels; nil for none.
func selector(v any) *metav1.LabelSelector {
	raw, err := json.Marshal(v)
	var out *metav1.LabelSelector
	if err != nil || json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

// address is what may be kept of the URL of a store, or of the name of a region or
// project: no user, password or query, and no part of a path that is a token. It is ""
// of what cannot be told apart.
func address(raw string) string {
	if !strings.Contains(raw, "://") {
		if strings.ContainsAny(raw, "@?# \t\r\n") || looks.Key(raw) {
			return ""
		}
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil || strings.Contains(u.Path, "@") {
		return ""
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for i := range parts {
		if looks.Key(parts[i]) {
			parts[i] = "*"
		}
	}
	return u.Scheme + "://" + u.Host + strings.Join(parts, "/")
}

// accounts adds the ServiceAccounts that a store logs in as.
func accounts(o *unstructured.Unstructured, field string, tree any, s *snapshot.Store, depth int) {
	m, ok := tree.(map[string]any)
	if !ok || depth > maxDepth {
		return
	}
	for k, v := range m {
		if name, ns, _ := named(v); k == "serviceAccountRef" && name != "" {
			s.Uses = append(s.Uses, snapshot.Use{From: refOf(o), Field: field + "." + k + ".name", To: snapshot.Ref{Kind: "ServiceAccount", Namespace: first(ns, o.GetNamespace()), Name: name}})
			continue
		}
		accounts(o, field+"."+k, v, s, depth+1)
	}
}
