package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

const classGroup = "secrets-store.csi.x-k8s.io"

// mounted looks at the volumes of the Secrets Store CSI driver of a pod that
// waits.
func (x *look) mounted() []doctor.Diagnosis {
	if x.pod.Status.Phase != corev1.PodPending {
		return nil
	}
	var out []doctor.Diagnosis
	for i := range x.pod.Spec.Volumes {
		v := &x.pod.Spec.Volumes[i]
		if v.CSI == nil || v.CSI.Driver != consumer.CSIDriver {
			continue
		}
		for _, why := range []func(*corev1.Volume) *doctor.Diagnosis{x.driver, x.class, x.refusedMount} {
			if d := why(v); d != nil {
				d.Add(doctor.PodRef(x.pod), "spec.volumes["+v.Name+"].csi", "secretProviderClass %s", v.CSI.VolumeAttributes["secretProviderClass"])
				out = append(out, *d)
				break
			}
		}
	}
	return out
}

// driver is a driver that the cluster or the node does not have.
func (x *look) driver(v *corev1.Volume) *doctor.Diagnosis {
	if x.Knows("csidrivers", "") && !slices.Contains(x.Drivers, v.CSI.Driver) {
		d := x.OfPod(x.pod, "DriverMissing", "the Secrets Store CSI driver is not installed in the cluster", doctor.Sure)
		d.Add(snapshot.Ref{Group: storagev1.GroupName, Kind: "CSIDriver", Name: v.CSI.Driver}, "", "there is none")
		d.Fix = check.Fix{Text: "install the driver and the provider of the store; or have an ExternalSecret make a Secret, and mount that"}
		return &d
	}
	if x.pod.Spec.NodeName == "" || !x.Knows("csinodes", "") {
		return nil
	}
	for i := range x.Nodes {
		n := &x.Nodes[i]
		if n.Name != x.pod.Spec.NodeName || slices.ContainsFunc(n.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == v.CSI.Driver }) {
			continue
		}
		d := x.OfPod(x.pod, "DriverNotOnNode", fmt.Sprintf("the Secrets Store CSI driver does not run on node %s", n.Name), doctor.Sure)
		d.Add(snapshot.Ref{Group: storagev1.GroupName, Kind: "CSINode", Name: n.Name}, "spec.drivers", "%s is not among its %d", v.CSI.Driver, len(n.Spec.Drivers))
		d.Fix = check.Fix{Command: "kubectl get daemonsets -A -l app.kubernetes.io/name=secrets-store-csi-driver", Text: "its DaemonSet must tolerate the node's taints"}
		return &d
	}
	return nil
}

// class is a SecretProviderClass that is not there.
func (x *look) class(v *corev1.Volume) *doctor.Diagnosis {
	name := v.CSI.VolumeAttributes["secretProviderClass"]
	if !x.Knows("secretproviderclasses", x.pod.Namespace) {
		return nil
	}
	var names, elsewhere []string
	for i := range x.Classes {
		c := &x.Classes[i]
		switch {
		case c.Namespace == x.pod.Namespace && c.Name == name:
			return nil
		case c.Namespace == x.pod.Namespace:
			names = append(names, c.Name)
		case c.Name == name:
			elsewhere = append(elsewhere, c.Namespace)
		}
	}
	d := x.OfPod(x.pod, "ClassMissing", fmt.Sprintf("SecretProviderClass %s does not exist in namespace %s", name, x.pod.Namespace), doctor.Sure)
	d.About = append(d.About, snapshot.Ref{Group: classGroup, Kind: "SecretProviderClass", Namespace: x.pod.Namespace, Name: name})
	d.Fix = check.Fix{Text: "make it, or correct the name"}
	if near := doctor.Near(name, names); len(near) > 0 {
		d.Cause += "; there is " + near[0]
		d.Fix = x.Replace(x.pod, doctor.Spot{Field: "spec.volumes[" + v.Name + "].csi.volumeAttributes.secretProviderClass", Is: name, At: func(spec *corev1.PodSpec) string {
			i := slices.IndexFunc(spec.Volumes, func(o corev1.Volume) bool { return o.Name == v.Name && o.CSI != nil })
			if i < 0 {
				return ""
			}
			return fmt.Sprintf("/volumes/%d/csi/volumeAttributes/secretProviderClass", i)
		}}, near[0])
	} else if len(elsewhere) > 0 {
		d.Cause += "; it is in namespace " + elsewhere[0] + ", where no pod of this one can use it"
		d.Fix = check.Fix{Command: check.Command("kubectl -n %s get secretproviderclass %s -o yaml", elsewhere[0], name), Text: "make the same one in " + x.pod.Namespace}
	}
	return &d
}

// refusedMount is what the driver says itself.
func (x *look) refusedMount(v *corev1.Volume) *doctor.Diagnosis {
	for _, e := range x.Warnings("Pod", x.pod.Namespace, x.pod.Name) {
		if e.Reason != "FailedMount" || !strings.Contains(e.Message, `"`+v.Name+`"`) {
			continue
		}
		d := x.OfPod(x.pod, "MountRefused", fmt.Sprintf("the Secrets Store CSI driver cannot mount volume %s: its provider, or the store, refuses", v.Name), doctor.Likely)
		d.Add(doctor.PodRef(x.pod), "events", "FailedMount: %s", doctor.Short(e.Message))
		d.Fix = check.Fix{Text: "the evidence has the provider's own words: usually the pod's ServiceAccount lacks the right in the store, or objects of the class name what is not there"}
		return &d
	}
	return nil
}
