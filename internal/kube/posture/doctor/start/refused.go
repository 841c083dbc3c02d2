package start

import (
	"fmt"
	"regexp"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// What the API server says to those who make pods.
var (
	noAccount = regexp.MustCompile(`error looking up service account ([^/\s]+)/(\S+?): `)
	denied    = regexp.MustCompile(`admission webhook "([^"]+)" denied the request`)
	unasked   = regexp.MustCompile(`failed calling webhook "([^"]+)"`)
)

// refused is a workload whose pods the API server does not take. The event is of
// what makes them, the ReplicaSet of a Deployment; told is of the Deployment.
func refused(c *doctor.Case, w *doctor.Workload) []doctor.Diagnosis {
	if w.Replicas == 0 || w.Ready >= w.Replicas {
		return nil
	}
	for _, e := range c.Warnings(w.Kind, w.Namespace, w.Name) {
		if e.Reason != "FailedCreate" {
			continue
		}
		d := doctor.Diagnosis{Object: top(c, w), Confidence: doctor.Sure, About: []snapshot.Ref{w.Ref()}}
		switch {
		case accountMissing(c, &d, e.Message):
		case hookRefuses(c, &d, e.Message):
		default:
			continue
		}
		d.Add(w.Ref(), "events", "FailedCreate: %s", doctor.Short(e.Message))
		return []doctor.Diagnosis{d}
	}
	return nil
}

func top(c *doctor.Case, w *doctor.Workload) snapshot.Ref {
	for i := range w.OwnerReferences {
		for j := range c.Workloads {
			if o := &c.Workloads[j]; o.Kind == w.OwnerReferences[i].Kind && o.Name == w.OwnerReferences[i].Name && o.Namespace == w.Namespace {
				return o.Ref()
			}
		}
	}
	return w.Ref()
}

func accountMissing(c *doctor.Case, d *doctor.Diagnosis, message string) bool {
	m := noAccount.FindStringSubmatch(message)
	if m == nil {
		return false
	}
	if c.Account(m[1], m[2]) != nil {
		return false // it was made meanwhile
	}
	d.Symptom, d.Cause = "AccountMissing", fmt.Sprintf("its pods run as ServiceAccount %s, which does not exist in namespace %s", m[2], m[1])
	d.Fix = check.Fix{Command: check.Command("kubectl -n %s create serviceaccount %s", m[1], m[2])}
	var names []string
	for i := range c.Accounts {
		if c.Accounts[i].Namespace == m[1] {
			names = append(names, c.Accounts[i].Name)
		}
	}
	if near := doctor.Near(m[2], names); len(near) > 0 {
		d.Cause += "; there is " + near[0]
		d.Fix.Text = "or correct serviceAccountName to " + near[0]
	}
	return true
}

func hookRefuses(c *doctor.Case, d *doctor.Diagnosis, message string) bool {
	if m := denied.FindStringSubmatch(message); m != nil {
		d.Symptom, d.Cause = "WebhookDenied", fmt.Sprintf("webhook %s refuses its pods", m[1])
		d.Fix = check.Fix{Text: "the webhook's own words, in the evidence, say what it wants changed"}
		return true
	}
	m := unasked.FindStringSubmatch(message)
	if m == nil {
		return false
	}
	d.Symptom, d.Cause = "WebhookDown", fmt.Sprintf("webhook %s, which must be asked about pods, does not answer", m[1])
	d.Fix = check.Fix{Text: "bring the webhook's server back"}
	for i := range c.Hooks {
		h := &c.Hooks[i]
		if h.Name != m[1] || h.Client.Service == nil {
			continue
		}
		s := h.Client.Service
		if c.Knows("endpointslices", s.Namespace) {
			d.Add(snapshot.Ref{Kind: "Service", Namespace: s.Namespace, Name: s.Name}, "endpoints", "%d are ready", c.Endpoints(s.Namespace, s.Name))
		}
		d.Fix = check.Fix{Command: check.Command("kubectl -n %s get service,endpointslices,pods", s.Namespace)}
	}
	return true
}

// accounts is a pod that waits for a token of a ServiceAccount that is gone.
func (x *look) accounts() []doctor.Diagnosis {
	name := x.pod.Spec.ServiceAccountName
	if name == "" || !x.Knows("serviceaccounts", x.pod.Namespace) || x.Account(x.pod.Namespace, name) != nil {
		return nil
	}
	d := x.OfPod(x.pod, "AccountMissing", fmt.Sprintf("the pod wants a token of ServiceAccount %s, which does not exist any more", name), doctor.Sure)
	d.Add(doctor.PodRef(x.pod), "spec.serviceAccountName", "it is %s", name)
	d.Fix = check.Fix{Command: check.Command("kubectl -n %s create serviceaccount %s", x.pod.Namespace, name)}
	return []doctor.Diagnosis{d}
}
