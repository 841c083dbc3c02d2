package record

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Maker makes records. The zero Maker makes them without any Values. It may be
// used by any number of goroutines.
type Maker struct {
	// Key of the fingerprints; nil: no value is looked at.
	Key *fingerprint.Key
}

// value is what is kept of raw, which is known by the name key.
func (m *Maker) value(field, key string, raw []byte) snapshot.Value {
	v := snapshot.Value{Field: field, Size: len(raw)}
	v.Prints = m.Key.Read(key, raw, func(where, key string, part []byte) bool {
		l := looks.Of(key, part)
		if (where == "" || l.Sensitive()) && looks.Rank(l) > looks.Rank(v.Looks) {
			v.Looks, v.Part = l, where
		}
		return l.Sensitive()
	})
	return v
}

// telling appends v, unless nothing that it says is of use.
func telling(to []snapshot.Value, v snapshot.Value) []snapshot.Value {
	if len(v.Prints) == 0 && !v.Looks.Sensitive() {
		return to
	}
	return append(to, v)
}

// shown is a key as it may be shown.
func shown(key string) string {
	if looks.Key(key) {
		return "*"
	}
	return key
}

// Meta is what is kept of the metadata of o, without the values in annotations.
func Meta(o metav1.Object) snapshot.Meta {
	out := snapshot.Meta{
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID()), Labels: labels(o.GetLabels()),
	}
	if t := o.GetCreationTimestamp(); !t.IsZero() {
		out.Created = t.UTC()
	}
	out.Annotations = Annotations(o.GetAnnotations())
	for _, r := range o.GetOwnerReferences() {
		group, _, ok := strings.Cut(r.APIVersion, "/")
		if !ok {
			group = ""
		}
		out.Owners = append(out.Owners, snapshot.Owner{
			Ref: snapshot.Ref{Group: group, Kind: r.Kind, Namespace: o.GetNamespace(), Name: r.Name}, UID: string(r.UID), Controller: r.Controller != nil && *r.Controller,
		})
	}
	out.Writers = writers(o.GetManagedFields())
	return out
}

// Annotations are those of all that are kept: that hold no values, and whose meaning
// is known.
func Annotations(all map[string]string) map[string]string {
	var out map[string]string
	for k, v := range all {
		if kept(k, v) {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = v
		}
	}
	return out
}

// labels are those of an object, but for what no label should be.
func labels(all map[string]string) map[string]string {
	for _, v := range all {
		if looks.Key(v) {
			out := maps.Clone(all)
			maps.DeleteFunc(out, func(_, v string) bool { return looks.Key(v) })
			return out
		}
	}
	return all
}

// known are the domains of annotations that hold no values, and of which some
// check or search knows what they mean.
var known = []string{
	"strongkeep.io", "external-secrets.io", "cert-manager.io", "meta.helm.sh", "reloader.stakater.com", "stakater.com", "reflector.v1.k8s.emberstack.com",
	"replicator.v1.mittwald.de", "kubed.appscode.com", "sealedsecrets.bitnami.com", "secrets.hashicorp.com", "vault.hashicorp.com", "argocd.argoproj.io",
	"fluxcd.io", "eks.amazonaws.com", "iam.gke.io", "azure.workload.identity", "secrets-store.csi.x-k8s.io", "helm.sh", "rbac.authorization.kubernetes.io",
	"config.kubernetes.io", "kustomize.config.k8s.io", "tekton.dev", "clustersecret.clustersecret.com", "service.beta.openshift.io", "kyverno.io",
}

// single are annotations of Kubernetes that are kept.
var single = []string{"kubernetes.io/service-account.name", "kubernetes.io/service-account.uid", "kubernetes.io/enforce-mountable-secrets", "storageclass.kubernetes.io/is-default-class"}

// maxKept bounds an annotation that is kept, in bytes. Those with meaning are short,
// but for the lists of versions and changes that Strongkeep writes.
const maxKept = 16 << 10

// kept reports whether an annotation is kept as it is.
func kept(key, value string) bool {
	if strings.HasSuffix(key, "/data-hash") || len(value) > maxKept {
		return false
	}
	if !slices.Contains(single, key) && !within(key, known) {
		return false
	}
	switch looks.Of("", []byte(value)) {
	case snapshot.LooksPrivateKey, snapshot.LooksToken, snapshot.LooksURL, snapshot.LooksRegistry:
		return false
	}
	return true
}

// within reports whether an annotation is of one of domains, or of one below it.
func within(key string, domains []string) bool {
	domain, _, ok := strings.Cut(key, "/")
	return ok && slices.ContainsFunc(domains, func(d string) bool {
		return domain == d || len(domain) > len(d) && strings.HasSuffix(domain, d) && domain[len(domain)-len(d)-1] == '.'
	})
}

// machines are annotations of what runs clusters, which change and hold no value:
// addresses, revisions, times, digests.
var machines = []string{
	"projectcalico.org", "cncf.io", "ovn.org", "cilium.io", "deployment.kubernetes.io", "endpoints.kubernetes.io", "control-plane.alpha.kubernetes.io",
	"pv.kubernetes.io", "volume.kubernetes.io", "volume.beta.kubernetes.io", "node.alpha.kubernetes.io", "batch.kubernetes.io", "checksum", "prometheus.io",
	"seccomp.security.alpha.kubernetes.io", "autoscaling.alpha.kubernetes.io", "leaderworkerset.sigs.k8s.io",
}

// lastApplied is where kubectl apply keeps the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// field is where an annotation is.
func field(annotation string) string { return "metadata.annotations[" + shown(annotation) + "]" }

// annotations are the values in those that are not kept. inside, unless it is nil,
// looks into the last applied configuration, which has values encoded.
func (m *Maker) annotations(all map[string]string, inside func(raw []byte) []snapshot.Value) []snapshot.Value {
	if m.Key == nil {
		return nil
	}
	var out []snapshot.Value
	for _, k := range slices.Sorted(maps.Keys(all)) {
		switch v := all[k]; {
		case kept(k, v), within(k, machines), strings.HasSuffix(k, "/data-hash"), k == "kubectl.kubernetes.io/restartedAt":
		case k == lastApplied && inside != nil:
			out = telling(out, join(field(k), len(v), inside([]byte(v))))
		default:
			out = telling(out, m.value(field(k), k, []byte(v)))
		}
	}
	return out
}

// join makes one value of what was found in it. The fields become places in it.
func join(field string, size int, parts []snapshot.Value) snapshot.Value {
	out := snapshot.Value{Field: field, Size: size}
	for i := range parts {
		p := &parts[i]
		for _, print := range p.Prints {
			print.Where = p.Field + print.Where
			out.Prints = append(out.Prints, print)
		}
		if looks.Rank(p.Looks) > looks.Rank(out.Looks) {
			out.Looks, out.Part = p.Looks, p.Field+p.Part
		}
	}
	return out
}

// writers are those that managedFields name, the newest last.
func writers(entries []metav1.ManagedFieldsEntry) []snapshot.Writer {
	var out []snapshot.Writer
	for i := range entries {
		e := &entries[i]
		w := snapshot.Writer{Manager: e.Manager, Operation: string(e.Operation)}
		if e.Time != nil {
			w.Time = e.Time.UTC()
		}
		w.Content = e.Subresource != "status" && e.FieldsV1 != nil && content(e.FieldsV1.GetRawBytes())
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b snapshot.Writer) int { return a.Time.Compare(b.Time) })
	return out
}

// content reports whether fields are of what an object is about. Below metadata
// no field of these names has fields of its own.
func content(fields []byte) bool {
	for _, f := range []string{`"f:data":{"`, `"f:stringData":{"`, `"f:binaryData":{"`, `"f:spec":{"`} {
		if bytes.Contains(fields, []byte(f)) {
			return true
		}
	}
	return false
}
