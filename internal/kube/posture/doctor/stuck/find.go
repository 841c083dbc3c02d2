package stuck

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/operator/window"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

const group = external.Group

// Symptom is what is wrong with ExternalSecrets.
func Symptom() doctor.Symptom { return doctor.Symptom{Name: "stuck", Find: Find} }

// Find looks at every ExternalSecret.
func Find(c *doctor.Case) []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for i := range c.Externals {
		out = append(out, Explain(c, &c.Externals[i])...)
	}
	return out
}

// Ref names es.
func Ref(es *external.ExternalSecret) snapshot.Ref {
	return snapshot.Ref{Group: group, Kind: external.KindExternalSecret, Namespace: es.Namespace, Name: es.Name}
}

// Explain returns why es does not sync, nothing if it does.
func Explain(c *doctor.Case, es *external.ExternalSecret) []doctor.Diagnosis {
	x := &look{Case: c, es: es, ready: external.FindCondition(es.Status.Conditions, external.ConditionReady)}
	if external.IsReady(es.Status.Conditions) {
		return x.waits()
	}
	for _, step := range []func() []doctor.Diagnosis{x.leaving, x.stores, x.unseen, x.taken, x.said} {
		if found := step(); len(found) > 0 {
			return found
		}
	}
	return nil
}

// look is one ExternalSecret.
type look struct {
	*doctor.Case
	es    *external.ExternalSecret
	ready *external.Condition
}

func (x *look) diagnosis(symptom string, sure doctor.Confidence, format string, args ...any) doctor.Diagnosis {
	d := doctor.Diagnosis{Symptom: symptom, Object: Ref(x.es), Confidence: sure, About: []snapshot.Ref{{Kind: "Secret", Namespace: x.es.Namespace, Name: target.Name(x.es)}}}
	d.Cause = "ExternalSecret " + x.es.Name + " does not sync: " + fmt.Sprintf(format, args...)
	if x.ready != nil {
		d.Add(Ref(x.es), "status.conditions[Ready]", "%s since %s, %s: %s", x.ready.Status, when(x.ready.LastTransitionTime), x.ready.Reason, x.ready.Message)
	}
	return d
}

func when(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }

func (x *look) leaving() []doctor.Diagnosis {
	ns := x.Namespace(x.es.Namespace)
	if ns == nil || ns.DeletionTimestamp == nil {
		return nil
	}
	d := x.diagnosis("NamespaceLeaves", doctor.Sure, "namespace %s is being deleted, and nothing is made in it any more", ns.Name)
	d.Add(snapshot.Ref{Kind: "Namespace", Name: ns.Name}, "metadata.deletionTimestamp", "since %s", when(*ns.DeletionTimestamp))
	d.Fix = check.Fix{Text: "wait until the namespace is gone, and create it anew"}
	return []doctor.Diagnosis{d}
}

// unseen is an ExternalSecret without a condition: nobody looks at it.
func (x *look) unseen() []doctor.Diagnosis {
	if x.ready != nil {
		return nil
	}
	if x.Now.Sub(x.es.CreationTimestamp.Time) < fresh {
		return nil
	}
	for _, s := range x.used() {
		if class := s.spec.Controller; class != "" && class != "default" && !external.IsReady(s.conditions) {
			d := x.diagnosis("ForeignClass", doctor.Likely, "its store %s is for operators of class %q, and none has looked at either", s.ref.Name, class)
			d.Add(s.ref, "spec.controller", "it is %q", class)
			d.Fix = check.Fix{Command: "kubectl " + inNamespace(s.ref.Namespace) + check.Command(`patch %s %s --type=json -p '[{"op":"remove","path":"/spec/controller"}]'`, strings.ToLower(s.ref.Kind), s.ref.Name),
				Text: "or start an operator with --class=" + class}
			return []doctor.Diagnosis{d}
		}
	}
	d := x.diagnosis("NoOperator", doctor.Likely, "no operator has looked at it since it was created")
	d.Add(Ref(x.es), "status", "no condition; created %s", when(x.es.CreationTimestamp))
	if len(x.Operators) == 0 && x.Knows("deployments", "") {
		d.Add(snapshot.Ref{Group: "apps", Kind: "Deployment", Name: "*"}, "", "no Deployment of the cluster runs an operator of ExternalSecrets")
		d.Confidence = doctor.Sure
		d.Fix = check.Fix{Command: "kubectl apply --server-side -f deploy/crds && kubectl apply -f deploy/operator"}
		return []doctor.Diagnosis{d}
	}
	d.Fix = check.Fix{Text: "look at the operator's log, and whether its --namespaces leave " + x.es.Namespace + " out"}
	for i := range x.Operators {
		o := &x.Operators[i]
		ref := snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: o.Namespace, Name: o.Name}
		d.Add(ref, "status.readyReplicas", "%d are ready", o.Status.ReadyReplicas)
		if o.Status.ReadyReplicas == 0 {
			d.Confidence = doctor.Sure
			d.Fix = check.Fix{Command: check.Command("kubectl -n %s describe deployment %s", o.Namespace, o.Name)}
		}
	}
	return []doctor.Diagnosis{d}
}

// fresh is how long an operator may take to look at something new.
const fresh = 30 * time.Second

func inNamespace(ns string) string {
	if ns == "" {
		return ""
	}
	return check.Command("-n %s ", ns)
}

// taken is a Secret that is another's.
func (x *look) taken() []doctor.Diagnosis {
	name := target.Name(x.es)
	live := x.Secret(x.es.Namespace, name)
	owns := target.Policy(x.es) == external.CreateOwner || target.Policy(x.es) == external.CreateOrphan
	switch {
	case live == nil && target.Policy(x.es) == external.CreateMerge && x.Knows("secrets", x.es.Namespace):
		d := x.diagnosis("MergeWithoutSecret", doctor.Sure, "creationPolicy Merge writes into Secret %s, which does not exist", name)
		d.Fix = check.Fix{Command: check.Command(`kubectl -n %s patch externalsecret %s --type=merge -p '{"spec":{"target":{"creationPolicy":"CreateOrMerge"}}}'`, x.es.Namespace, x.es.Name)}
		return []doctor.Diagnosis{d}
	case live == nil || !owns || target.Ours(x.es, live.Partial()):
		return nil
	}
	d := x.diagnosis("TargetTaken", doctor.Sure, "Secret %s exists and is not its own", name)
	d.Add(snapshot.Ref{Kind: "Secret", Namespace: x.es.Namespace, Name: name}, "metadata", "%s", target.Owner(live.Partial()))
	x.rivals(&d, name)
	d.Fix = check.Fix{Text: "choose another spec.target.name; or with creationPolicy Merge write into what is there; or delete the Secret, if nobody needs what it holds"}
	return []doctor.Diagnosis{d}
}

// rivals are other ExternalSecrets of the same Secret.
func (x *look) rivals(d *doctor.Diagnosis, name string) {
	for i := range x.Externals {
		if o := &x.Externals[i]; o.Namespace == x.es.Namespace && o.Name != x.es.Name && target.Name(o) == name && target.Policy(o) != external.CreateNone {
			d.Add(Ref(o), "spec.target.name", "it makes the same Secret (creationPolicy %s)", target.Policy(o))
		}
	}
}

// said reads what the condition says.
func (x *look) said() []doctor.Diagnosis {
	if x.ready == nil {
		return nil
	}
	m := meaning(x.ready.Message)
	if m == nil {
		d := x.diagnosis("NotSynced", doctor.Possible, "the operator says why in its condition")
		d.Fix = check.Fix{Command: check.Command("strongkeep explain externalsecret %s/%s", x.es.Namespace, x.es.Name)}
		return []doctor.Diagnosis{d}
	}
	d := x.diagnosis(m.symptom, m.confidence, "%s", m.cause)
	d.Fix = check.Fix{Text: m.fix}
	return []doctor.Diagnosis{d}
}

// waits is what is ready, and all the same does not follow its store.
func (x *look) waits() []doctor.Diagnosis {
	w, err := window.Parse(x.es.Spec.SyncWindows)
	if err != nil || !x.Asked {
		return nil
	}
	var out []doctor.Diagnosis
	if open, until := w.At(x.Now); !open {
		d := x.diagnosis("WindowShut", doctor.Sure, "its syncWindows are shut now")
		if !until.IsZero() {
			d.Add(Ref(x.es), "spec.syncWindows", "they open at %s", until.UTC().Format(time.RFC3339))
		}
		d.Fix = check.Fix{Command: check.Command("strongkeep sync %s/%s", x.es.Namespace, x.es.Name)}
		out = append(out, d)
	}
	if p := x.es.Spec.RefreshPolicy; p == external.RefreshCreatedOnce || p == external.RefreshOnChange {
		d := x.diagnosis("NotPeriodic", doctor.Possible, "it does not follow its store: refreshPolicy is %s", p)
		d.Fix = check.Fix{Command: check.Command(`kubectl -n %s patch externalsecret %s --type=merge -p '{"spec":{"refreshPolicy":"Periodic"}}'`, x.es.Namespace, x.es.Name)}
		out = append(out, d)
	}
	return out
}
