package look

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// held reads the metadata of Secrets or ConfigMaps.
func (l *live) held(resource, kind string, keep func(doctor.Held)) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
	everywhere(l, resource, &list, func() {
		for i := range list.Items {
			keep(heldOf(&list.Items[i].ObjectMeta))
		}
	})
}

// heldOf reads the names of keys from managedFields. They say all if somebody owns
// some: whoever writes data owns its keys.
func heldOf(m *metav1.ObjectMeta) doctor.Held {
	out := doctor.Held{}
	keys := map[string]bool{}
	for _, f := range m.ManagedFields {
		var set struct {
			Data   map[string]json.RawMessage `json:"f:data"`
			Text   map[string]json.RawMessage `json:"f:stringData"`
			Binary map[string]json.RawMessage `json:"f:binaryData"`
		}
		if f.FieldsV1 == nil || json.Unmarshal(f.FieldsV1.GetRawBytes(), &set) != nil {
			continue
		}
		all := [...]map[string]json.RawMessage{set.Data, set.Text, set.Binary}
		for _, part := range all {
			for key := range part {
				if name, ok := strings.CutPrefix(key, "f:"); ok {
					keys[name] = true
				}
			}
		}
		if len(set.Data)+len(set.Text)+len(set.Binary) > 0 {
			out.Sure = true
			if f.Time != nil && f.Time.After(out.Changed) {
				out.Changed, out.Writer = f.Time.Time, f.Manager
			}
		}
	}
	out.Keys = slices.Sorted(maps.Keys(keys))
	out.ObjectMeta = *m.DeepCopy()
	delete(out.Annotations, corev1.LastAppliedConfigAnnotation)
	for i := range out.ManagedFields {
		out.ManagedFields[i].FieldsV1 = nil
	}
	return out
}

func mutatingHooks(c *admissionv1.MutatingWebhookConfiguration) []doctor.Hook {
	var out []doctor.Hook
	for i := range c.Webhooks {
		h := &c.Webhooks[i]
		out = append(out, doctor.Hook{Configuration: c.Name, Mutating: true, Name: h.Name, Client: withoutBundle(h.ClientConfig),
			Ignores: ignores(h.FailurePolicy), Namespaces: h.NamespaceSelector, Objects: h.ObjectSelector, Pods: aboutPods(h.Rules)})
	}
	return out
}

func validatingHooks(c *admissionv1.ValidatingWebhookConfiguration) []doctor.Hook {
	var out []doctor.Hook
	for i := range c.Webhooks {
		h := &c.Webhooks[i]
		out = append(out, doctor.Hook{Configuration: c.Name, Name: h.Name, Client: withoutBundle(h.ClientConfig),
			Ignores: ignores(h.FailurePolicy), Namespaces: h.NamespaceSelector, Objects: h.ObjectSelector, Pods: aboutPods(h.Rules)})
	}
	return out
}

func withoutBundle(c admissionv1.WebhookClientConfig) admissionv1.WebhookClientConfig {
	c.CABundle = nil
	return c
}

func ignores(p *admissionv1.FailurePolicyType) bool { return p != nil && *p == admissionv1.Ignore }

// aboutPods reports whether rules cover the creation of pods.
func aboutPods(rules []admissionv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rules, func(r admissionv1.RuleWithOperations) bool {
		return (slices.Contains(r.Operations, admissionv1.Create) || slices.Contains(r.Operations, admissionv1.OperationAll)) &&
			(slices.Contains(r.APIGroups, "") || slices.Contains(r.APIGroups, "*")) &&
			slices.ContainsFunc(r.Resources, func(s string) bool { return s == "pods" || s == "*" || s == "*/*" || s == "pods/*" })
	})
}

// slices reads the endpoints of Services that hooks are served by.
func (l *live) slices() {
	spaces := map[string]bool{}
	for i := range l.out.Hooks {
		if s := l.out.Hooks[i].Client.Service; s != nil {
			spaces[s.Namespace] = true
		}
	}
	var missing []string
	for _, ns := range slices.Sorted(maps.Keys(spaces)) {
		var list discoveryv1.EndpointSliceList
		if !read(l, "endpointslices", ns, &list, func() { l.out.Slices = append(l.out.Slices, list.Items...) }) {
			missing = append(missing, ns)
		}
	}
	if len(missing) > 0 {
		l.out.Coverage["endpointslices"] = snapshot.Gap{Reason: "no right to list them", Namespaces: missing}
	} else {
		l.out.Coverage["endpointslices"] = snapshot.Gap{}
	}
}
