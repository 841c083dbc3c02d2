package inject

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/identity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// injector is a webhook that puts secrets into pods that ask for it.
type injector struct {
	name string
	// prefix of its annotations, and the one that asks; whatever value it has but
	// "false" asks if any is set.
	prefix, asks string
	any          bool
	// containers that it adds: a name begins so. Empty: it changes commands, and
	// cannot be told from outside.
	containers []string
	// hook is a part of the names of its webhook or configuration.
	hook string
	// known are the annotations that it has, without prefix; "x-" stands for all
	// that begin so.
	known []string
}

var table = []injector{
	{"Vault's agent injector", identity.Vault + "/", "agent-inject", false, []string{"vault-agent"}, "vault-agent-injector", []string{
		"agent-inject", "agent-inject-status", "agent-inject-secret-", "agent-inject-template-", "agent-inject-template-file-", "agent-inject-file-", "agent-inject-command-", "agent-inject-perms-",
		"agent-inject-containers", "agent-inject-token", "agent-inject-default-template", "agent-image", "agent-init-first", "agent-pre-populate", "agent-pre-populate-only",
		"agent-requests-", "agent-limits-", "agent-configmap", "agent-extra-secret", "agent-run-as-", "agent-set-security-context", "agent-share-process-namespace", "agent-service-account-token-volume-name",
		"agent-copy-volume-mounts", "agent-enable-quit", "agent-telemetry-", "agent-cache-", "agent-auto-auth-exit-on-err", "agent-json-patch", "agent-init-json-patch", "agent-revoke-", "agent-disable-",
		"auth-", "role", "service", "namespace", "secret-volume-path", "preserve-secret-case", "log-level", "log-format", "tls-", "ca-cert", "ca-key", "client-", "proxy-address", "go-max-procs",
		"template-", "error-on-missing-key", "max-connections-per-host",
	}},
	{"OpenBao's agent injector", identity.OpenBao + "/", "agent-inject", false, []string{"openbao-agent"}, "openbao-agent-injector", nil},
	{"Bank-Vaults' webhook", identity.BankVault + "/", "vault-addr", true, nil, "vault-secrets-webhook", nil},
	{"1Password's injector", "operator.1password.io/", "inject", true, []string{"copy-op-bin"}, "op-inject", nil},
	{"Conjur's Secrets Provider", identity.Conjur + "/", "inject", false, []string{"cyberark-secrets-provider", "conjur"}, "conjur", nil},
	{"Akeyless' injector", identity.Akeyless + "/", "enabled", false, []string{"akeyless"}, "akeyless", nil},
}

// Symptom is what was to be injected or mounted, and was not.
func Symptom() doctor.Symptom { return doctor.Symptom{Name: "inject", Find: Find} }

// Find looks at every pod, and at workloads that have annotations where nobody
// reads them.
func Find(c *doctor.Case) []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for i := range c.Pods {
		p := &c.Pods[i]
		if consumer.Ended(p) || p.DeletionTimestamp != nil {
			continue
		}
		x := &look{Case: c, pod: p}
		for j := range table {
			out = append(out, x.injected(&table[j])...)
		}
		out = append(out, x.mounted()...)
	}
	for i := range c.Workloads {
		out = append(out, misplaced(&c.Workloads[i])...)
	}
	return out
}

// look is one pod.
type look struct {
	*doctor.Case
	pod *corev1.Pod
}

// on are the values that turn injection on, as injectors parse them; identity.Off has the
// others.
var on = []string{"true", "True", "TRUE", "t", "T", "1", "enabled"}

// injected looks whether an injector did what the pod's annotations ask for.
func (x *look) injected(in *injector) []doctor.Diagnosis {
	out := x.misspelt(in)
	value, asked := x.pod.Annotations[in.prefix+in.asks]
	if !asked || identity.Off(value) || x.has(in) || len(in.containers) == 0 && !x.Asked {
		return out
	}
	if !in.any && !slices.Contains(on, value) {
		d := x.OfPod(x.pod, "NotInjected", fmt.Sprintf("%s is asked by %s%s: true, and the value is another", in.name, in.prefix, in.asks), doctor.Sure)
		d.Add(doctor.PodRef(x.pod), "metadata.annotations["+in.prefix+in.asks+"]", "it is neither true nor false")
		d.Fix = x.annotate(in.prefix+in.asks, "true")
		return append(out, d)
	}
	d, known := x.why(in)
	if !known && len(in.containers) == 0 {
		return out
	}
	d.Add(doctor.PodRef(x.pod), "metadata.annotations["+in.prefix+in.asks+"]", "it asks for an injection, and the pod has no container of %s", in.name)
	return append(out, d)
}

func (x *look) has(in *injector) bool {
	return slices.ContainsFunc(slices.Concat(x.pod.Spec.InitContainers, x.pod.Spec.Containers), func(c corev1.Container) bool {
		return slices.ContainsFunc(in.containers, func(begin string) bool { return strings.HasPrefix(c.Name, begin) })
	})
}

// annotate puts an annotation where pods get theirs from.
func (x *look) annotate(key, value string) check.Fix {
	w := x.WorkloadOf(x.pod)
	if w == nil || w.At == "" {
		return check.Fix{Text: fmt.Sprintf("make the pod anew with the annotation %s: %q", key, value)}
	}
	annotations, _ := json.Marshal(map[string]string{key: value}) // texts alone
	patch := `{"spec":{"template":{"metadata":{"annotations":` + string(annotations) + `}}}}`
	return check.Fix{Command: check.Command("kubectl -n %s patch %s %s --type=merge -p %s", w.Namespace, doctor.Argument(w), w.Name, patch)}
}

// why returns why an injector did not come; false if nothing is known against it.
func (x *look) why(in *injector) (doctor.Diagnosis, bool) {
	hooks := x.hooks(in)
	if len(hooks) == 0 {
		if !x.Knows("mutatingwebhookconfigurations", "") {
			d := x.OfPod(x.pod, "NotInjected", in.name+" did not inject; whether it is installed may not be read here", doctor.Possible)
			d.Fix = check.Fix{Text: "ask for list on mutatingwebhookconfigurations, and call this again"}
			return d, false
		}
		d := x.OfPod(x.pod, "NoInjector", in.name+" is asked for and is not installed: no webhook of the cluster is it", doctor.Sure)
		d.Fix = check.Fix{Text: "install " + in.name + ", then make the pods anew; or have an ExternalSecret make a Secret, which needs no injector"}
		return d, true
	}
	for _, h := range hooks {
		if d, found := x.excluded(in, h); found {
			return d, true
		}
		if d, found := x.down(in, h); found {
			return d, true
		}
	}
	d := x.OfPod(x.pod, "NotInjected", in.name+" is there and did not inject: the pod is older than it, or the injector refused to", doctor.Likely)
	d.Fix = check.Fix{Text: "make the pods anew; if that does not help, look at the injector's log"}
	if w := x.WorkloadOf(x.pod); w != nil {
		d.Fix.Command = check.Command("kubectl -n %s rollout restart %s %s", w.Namespace, doctor.Argument(w), w.Name)
	}
	return d, true
}

func (x *look) hooks(in *injector) []*doctor.Hook {
	var out []*doctor.Hook
	for i := range x.Hooks {
		h := &x.Hooks[i]
		if h.Mutating && (strings.Contains(h.Configuration, in.hook) || strings.Contains(h.Name, in.hook) || h.Client.Service != nil && strings.Contains(h.Client.Service.Name, in.hook)) {
			out = append(out, h)
		}
	}
	return out
}

func hookRef(h *doctor.Hook) snapshot.Ref {
	return snapshot.Ref{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration", Name: h.Configuration}
}

// excluded is a webhook that is not asked about this pod.
func (x *look) excluded(in *injector, h *doctor.Hook) (doctor.Diagnosis, bool) {
	if !h.Pods {
		d := x.OfPod(x.pod, "InjectorNotAsked", in.name+" is not asked about pods: its webhook has no rule for their creation", doctor.Sure)
		d.Add(hookRef(h), "webhooks["+h.Name+"].rules", "none for CREATE of pods")
		d.Fix = check.Fix{Text: "install it as it comes"}
		return d, true
	}
	if ns := x.Namespace(x.pod.Namespace); ns != nil && !selects(h.Namespaces, ns.Labels) {
		d := x.OfPod(x.pod, "NamespaceExcluded", fmt.Sprintf("%s leaves out namespace %s: its namespaceSelector does not match", in.name, ns.Name), doctor.Sure)
		d.Add(hookRef(h), "webhooks["+h.Name+"].namespaceSelector", "%s", metav1.FormatLabelSelector(h.Namespaces))
		d.Fix = check.Fix{Text: "give the namespace the labels that the selector wants, or take those off that it excludes, then make the pods anew"}
		if len(h.Namespaces.MatchExpressions) == 0 {
			d.Fix.Command = check.Command("kubectl label namespace %s", ns.Name)
			for _, k := range slices.Sorted(maps.Keys(h.Namespaces.MatchLabels)) {
				d.Fix.Command += check.Command(" %s", k+"="+h.Namespaces.MatchLabels[k])
			}
		}
		return d, true
	}
	if !selects(h.Objects, x.pod.Labels) {
		d := x.OfPod(x.pod, "PodExcluded", in.name+" leaves out pods with these labels: its objectSelector does not match", doctor.Sure)
		d.Add(hookRef(h), "webhooks["+h.Name+"].objectSelector", "%s", metav1.FormatLabelSelector(h.Objects))
		d.Fix = check.Fix{Text: "give the pod template the labels that the selector wants"}
		return d, true
	}
	return doctor.Diagnosis{}, false
}

func selects(s *metav1.LabelSelector, have map[string]string) bool {
	if s == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err != nil || selector.Matches(labels.Set(have))
}

// down is a webhook whose server is not there, and that is passed over then.
func (x *look) down(in *injector, h *doctor.Hook) (doctor.Diagnosis, bool) {
	s := h.Client.Service
	if s == nil || !x.Knows("endpointslices", s.Namespace) || x.Endpoints(s.Namespace, s.Name) > 0 {
		return doctor.Diagnosis{}, false
	}
	d := x.OfPod(x.pod, "InjectorDown", in.name+" does not run: its Service has no ready endpoint, and pods are made without it", doctor.Likely)
	d.Add(snapshot.Ref{Kind: "Service", Namespace: s.Namespace, Name: s.Name}, "endpoints", "0 are ready")
	if h.Ignores {
		d.Add(hookRef(h), "webhooks["+h.Name+"].failurePolicy", "Ignore")
	}
	d.Fix = check.Fix{Command: check.Command("kubectl -n %s get pods", s.Namespace), Text: "when it runs again, make the pods anew"}
	return d, true
}

// misspelt are annotations of the injector that it does not have. Their values are
// not shown.
func (x *look) misspelt(in *injector) []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for _, key := range sorted(x.pod.Annotations) {
		name, ours := strings.CutPrefix(key, in.prefix)
		if !ours || len(in.known) == 0 || understood(in, name) {
			continue
		}
		near := prefixed(in, name)
		if len(near) == 0 {
			near = doctor.Near(name, in.known)
		}
		if len(near) == 0 {
			continue
		}
		d := x.OfPod(x.pod, "AnnotationMisspelt", fmt.Sprintf("%s has no annotation %s; it has %s%s", in.name, key, in.prefix, near[0]), doctor.Likely)
		d.Add(doctor.PodRef(x.pod), "metadata.annotations["+key+"]", "nobody reads it")
		d.Fix = check.Fix{Text: fmt.Sprintf("rename it to %s%s in the pod template", in.prefix, near[0])}
		out = append(out, d)
	}
	return out
}

func understood(in *injector, name string) bool {
	return slices.ContainsFunc(in.known, func(k string) bool {
		return k == name || strings.HasSuffix(k, "-") && strings.HasPrefix(name, k)
	})
}

// prefixed are the beginnings that the beginning of name is nearly.
func prefixed(in *injector, name string) []string {
	for _, k := range in.known {
		if begin := strings.TrimSuffix(k, "-"); begin != k && len(name) > len(begin) {
			for _, n := range []int{len(begin) - 1, len(begin), len(begin) + 1} {
				if n < len(name) && name[n] == '-' && len(doctor.Near(name[:n], []string{begin})) > 0 {
					return []string{k + name[n+1:]}
				}
			}
		}
	}
	return nil
}

func sorted(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// misplaced are annotations on a workload: injectors read those of pods.
func misplaced(w *doctor.Workload) []doctor.Diagnosis {
	if w.Kind == "ReplicaSet" || w.Kind == "Job" {
		return nil // it has those of its owner
	}
	var out []doctor.Diagnosis
	for i := range table {
		key := table[i].prefix + table[i].asks
		if _, here := w.Annotations[key]; !here {
			continue
		}
		if _, there := w.Template.Annotations[key]; there {
			continue
		}
		d := doctor.Diagnosis{Symptom: "AnnotationMisplaced", Object: w.Ref(), Confidence: doctor.Sure,
			Cause: fmt.Sprintf("%s reads annotations of pods, and these are on the %s itself", table[i].name, w.Kind)}
		d.Add(w.Ref(), "metadata.annotations["+key+"]", "it is not in spec.template.metadata.annotations")
		d.Fix = check.Fix{Text: "move the annotations " + table[i].prefix + "… to spec.template.metadata.annotations"}
		out = append(out, d)
	}
	return out
}
