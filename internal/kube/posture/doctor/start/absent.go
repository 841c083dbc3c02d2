package start

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/stuck"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// absent says why what r names is not there: the object that makes it does not
// sync, it is in another namespace, the name is not quite right, nobody makes it.
func (x *look) absent(r doctor.Reference) doctor.Diagnosis {
	d := x.OfPod(x.pod, r.Kind+"Missing", fmt.Sprintf("%s needs %s %s, which does not exist in namespace %s", who(r), r.Kind, r.Name, x.pod.Namespace), doctor.Sure)
	d.Add(doctor.PodRef(x.pod), r.Field, "it names %s %s", r.Kind, r.Name)
	d.About = append(d.About, object(x.pod, r))
	for _, why := range []func(*doctor.Diagnosis, doctor.Reference) bool{x.notSynced, x.notMounted, x.near, x.elsewhere} {
		if why(&d, r) {
			return d
		}
	}
	d.Fix = check.Fix{Text: fmt.Sprintf("make %s %s in namespace %s (an ExternalSecret, if a store has the value), or correct the name", r.Kind, r.Name, x.pod.Namespace)}
	if r.Kind == "Secret" && !x.Knows("secrets", x.pod.Namespace) {
		d.Fix.Text += "; names of Secrets may not be listed here: with that right this would say what it is called or where it is"
	}
	return d
}

// maker is the ExternalSecret that makes the Secret of a reference.
func (x *look) maker(r doctor.Reference) *external.ExternalSecret {
	for i := range x.Externals {
		if es := &x.Externals[i]; r.Kind == "Secret" && es.Namespace == x.pod.Namespace && target.Name(es) == r.Name && target.Policy(es) != external.CreateNone {
			return es
		}
	}
	return nil
}

func (x *look) notSynced(d *doctor.Diagnosis, r doctor.Reference) bool {
	es := x.maker(r)
	if es == nil {
		return false
	}
	d.Symptom = "SecretNotSynced"
	if why := stuck.Explain(x.Case, es); len(why) > 0 {
		d.Cause += ", for " + why[0].Cause
		d.Fix, d.Confidence = why[0].Fix, why[0].Confidence
		d.Evidence, d.About = append(d.Evidence, why[0].Evidence...), append(d.About, why[0].About...)
		d.About = append(d.About, stuck.Ref(es))
		return true
	}
	d.Add(stuck.Ref(es), "spec.target.name", "it is to make it, and has not yet")
	d.Cause += " yet: ExternalSecret " + es.Name + " is to make it"
	d.Fix = check.Fix{Command: check.Command("strongkeep sync %s/%s", es.Namespace, es.Name)}
	return true
}

// notMounted is a Secret that a CSI driver makes as long as pods mount its class.
func (x *look) notMounted(d *doctor.Diagnosis, r doctor.Reference) bool {
	for i := range x.Classes {
		class := &x.Classes[i]
		if r.Kind != "Secret" || class.Namespace != x.pod.Namespace || !slices.Contains(class.Secrets, r.Name) {
			continue
		}
		ref := snapshot.Ref{Group: "secrets-store.csi.x-k8s.io", Kind: "SecretProviderClass", Namespace: class.Namespace, Name: class.Name}
		d.Symptom = "SecretNotMounted"
		d.Add(ref, "spec.secretObjects", "it makes the Secret, while a pod mounts the class")
		if mounts(x.pod, class.Name) {
			d.Cause += ": SecretProviderClass " + class.Name + " makes it when the pod has mounted its volume, which it has not"
			d.Confidence = doctor.Likely
			d.Fix = check.Fix{Command: check.Command("kubectl -n %s describe pod %s", x.pod.Namespace, x.pod.Name)}
			return true
		}
		d.Cause += ": SecretProviderClass " + class.Name + " makes it only while a pod mounts it, and this one does not"
		d.Fix = check.Fix{Text: "give the pod a volume of driver secrets-store.csi.k8s.io with secretProviderClass " + class.Name + ", and mount it"}
		return true
	}
	return false
}

func mounts(p *corev1.Pod, class string) bool {
	return slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
		return v.CSI != nil && v.CSI.VolumeAttributes["secretProviderClass"] == class
	})
}

func (x *look) held(r doctor.Reference) []doctor.Held {
	if r.Kind == "ConfigMap" {
		return x.ConfigMaps
	}
	return x.Secrets
}

func (x *look) near(d *doctor.Diagnosis, r doctor.Reference) bool {
	near := doctor.Near(r.Name, doctor.Names(x.held(r), x.pod.Namespace))
	if len(near) == 0 {
		return false
	}
	d.Cause += "; there is " + strings.Join(near, ", ")
	d.Add(snapshot.Ref{Kind: r.Kind, Namespace: x.pod.Namespace, Name: near[0]}, "metadata.name", "the nearest name that there is")
	if r.Pull {
		d.Fix = check.Fix{Text: "correct the name in imagePullSecrets, of the pod or of its ServiceAccount"}
		return true
	}
	d.Fix = x.Replace(x.pod, r.NameSpot(), near[0])
	return true
}

// elsewhere is an object of that name in other namespaces.
func (x *look) elsewhere(d *doctor.Diagnosis, r doctor.Reference) bool {
	var there []doctor.Held
	for _, h := range x.held(r) {
		if h.Name == r.Name && h.Namespace != x.pod.Namespace {
			there = append(there, h)
		}
	}
	if len(there) == 0 {
		return false
	}
	slices.SortFunc(there, func(a, b doctor.Held) int { return strings.Compare(a.Namespace, b.Namespace) })
	var places []string
	for i := range there {
		places = append(places, there[i].Namespace)
	}
	d.Symptom = r.Kind + "Elsewhere"
	d.Cause += "; it is in namespace " + few(places) + ", where no pod of this one can use it"
	for _, ns := range places[:min(3, len(places))] {
		d.Add(snapshot.Ref{Kind: r.Kind, Namespace: ns, Name: r.Name}, "metadata.namespace", "it is %s", ns)
	}
	d.Fix = check.Fix{Text: x.alike(d, r, &there[0])}
	for i := range x.Externals {
		if es := &x.Externals[i]; r.Kind == "Secret" && es.Namespace == places[0] && target.Name(es) == r.Name && es.Spec.SecretStoreRef.Kind == external.KindClusterSecretStore {
			d.Fix = check.Fix{Patch: copied(es, x.pod.Namespace)}
		}
	}
	return true
}

// alike says how to have what is in another namespace in that of the pod.
func (x *look) alike(d *doctor.Diagnosis, r doctor.Reference, there *doctor.Held) string {
	o := there.Origin(r.Kind)
	from := doctor.Comes(o)
	if from != "" {
		d.Add(snapshot.Ref{Kind: r.Kind, Namespace: there.Namespace, Name: r.Name}, "metadata", "where it comes from: %s", from)
	}
	switch {
	case o.Kind == origin.Mirror:
		return fmt.Sprintf("have %s copy it to %s too, or run the pod in %s", o.Tool, x.pod.Namespace, there.Namespace)
	case o.By.Name != "":
		return fmt.Sprintf("have it made in %s from where it comes (by another %s, as it is by %s), or run the pod in %s", x.pod.Namespace, o.By.Kind, o.By, there.Namespace)
	}
	return fmt.Sprintf("have it made in %s from where it comes (an ExternalSecret of the same store), or run the pod in %s", x.pod.Namespace, there.Namespace)
}

// copied is es as YAML for another namespace.
func copied(es *external.ExternalSecret, namespace string) string {
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": external.GroupVersion().String(), "kind": external.KindExternalSecret,
		"metadata": map[string]any{"name": es.Name, "namespace": namespace}, "spec": es.Spec,
	})
	if err != nil {
		return ""
	}
	return string(text)
}

// What the kubelet says of what it does not find, in a container's status and in the
// events of mounts.
var (
	saysGone = regexp.MustCompile(`(secret|configmap) "([^"]+)" not found`)
	saysKey  = regexp.MustCompile(`couldn't find key (\S+) in (Secret|ConfigMap) [^/\s]+/(\S+)|references non-existent (secret|config) key: (\S+)`)
)

// messages are what the kubelet says about the pod now.
func (x *look) messages() []string {
	var out []string
	for _, s := range slices.Concat(x.pod.Status.InitContainerStatuses, x.pod.Status.ContainerStatuses) {
		if s.State.Waiting != nil && s.State.Waiting.Reason == "CreateContainerConfigError" {
			out = append(out, s.State.Waiting.Message)
		}
	}
	for _, e := range x.Warnings("Pod", x.pod.Namespace, x.pod.Name) {
		if e.Reason == "FailedMount" || e.Reason == "Failed" || e.Reason == "FailedToRetrieveImagePullSecret" {
			out = append(out, e.Message)
		}
	}
	return out
}

// told is what the kubelet says of a reference that could not be looked up.
func (x *look) told(r doctor.Reference) state {
	for _, m := range x.messages() {
		for _, found := range saysGone.FindAllStringSubmatch(m, -1) {
			if strings.EqualFold(found[1], r.Kind) && found[2] == r.Name {
				return gone
			}
		}
		if found := saysKey.FindStringSubmatch(m); found != nil && r.Key != "" && (found[1] == r.Key && found[3] == r.Name || found[5] == r.Key) {
			return keyless
		}
		if r.Pull && strings.Contains(m, "(secrets \""+r.Name+"\" not found)") {
			return gone
		}
	}
	return fine
}

// words adds what the kubelet says of a name.
func (x *look) words(d *doctor.Diagnosis, name string) {
	for _, m := range x.messages() {
		if strings.Contains(m, name) {
			d.Add(doctor.PodRef(x.pod), "status", "the kubelet says: %s", doctor.Short(m))
			return
		}
	}
}
