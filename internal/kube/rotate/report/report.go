// Package report lists every credential that a cluster knows of, with its age,
// its owner and what is overdue. It is pure, over lists of objects; of Secrets it
// sees metadata and type only.
//
// Start reading at Make.
package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/policy"
)

// LabelOwner is a label or an annotation: it says who is responsible.
const LabelOwner = v1alpha1.Group + "/owner"

// Secret is a Secret without its data.
type Secret struct {
	Meta *metav1.ObjectMeta
	Type string // as lists with the field selector type= tell; empty: not known
}

// Input is what a report is made of.
type Input struct {
	Now             time.Time
	Policies        policy.Set
	Namespaces      map[string]labels.Set // labels, by name
	Rotations       []v1alpha1.Rotation
	ExternalSecrets []external.ExternalSecret
	Secrets         []Secret
}

// Row is one credential. Times are RFC 3339, ages seconds, in JSON.
type Row struct {
	Kind      string       `json:"kind"` // Rotation or Secret
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Class     string       `json:"class,omitempty"`
	Policy    string       `json:"policy,omitempty"`
	Owner     string       `json:"owner,omitempty"`
	State     policy.State `json:"state"`
	// Age counts from Changed, when the value was last seen to change. AtMost: that
	// is not known, and it counts from when the object was made.
	Changed    *time.Time `json:"changed,omitempty"`
	AgeSeconds int64      `json:"ageSeconds"`
	AtMost     bool       `json:"atMost,omitempty"`
	MaxSeconds int64      `json:"maxAgeSeconds,omitempty"`
	Phase      string     `json:"phase,omitempty"`
	LastProof  *time.Time `json:"lastProof,omitempty"` // of a turn with evidence for every consumer
	// LastTurn that has ended, how it did, and where its signed statement is: empty
	// while the vault has not taken it.
	LastTurn   int64         `json:"lastTurn,omitempty"`
	LastResult rotate.Result `json:"lastResult,omitempty"`
	Statement  string        `json:"statement,omitempty"`
	Next       string        `json:"next,omitempty"`
	FedBy      string        `json:"fedBy,omitempty"` // ExternalSecret, without a Rotation
	// Command is what to do about it; empty when there is nothing to do.
	Command string `json:"command,omitempty"`
}

// Report is all rows, the worst first, then the oldest; and how many there are
// of each state.
type Report struct {
	Rows   []Row                `json:"credentials"`
	States map[policy.State]int `json:"states"`
}

// Make makes a report: a row for each Rotation, and for each Secret that an
// ExternalSecret feeds, or that a policy has a class for, unless a Rotation turns
// its credential.
func Make(in Input) Report {
	r := Report{Rows: make([]Row, 0, len(in.Rotations)+len(in.Secrets)), States: map[policy.State]int{}}
	turned := make(map[string]bool, len(in.Rotations)) // by location
	for i := range in.Rotations {
		rot := &in.Rotations[i]
		if rot.Status.Location != "" {
			turned[rot.Status.Location] = true
		}
		r.Rows = append(r.Rows, in.rotation(rot))
	}
	feeders := make(map[types.NamespacedName]string, len(in.ExternalSecrets))
	for i := range in.ExternalSecrets {
		es := &in.ExternalSecrets[i]
		if es.Spec.Target.Manifest != nil { // it feeds no Secret
			continue
		}
		feeders[types.NamespacedName{Namespace: es.Namespace, Name: cmp.Or(es.Spec.Target.Name, es.Name)}] = es.Name
	}
	for _, s := range in.Secrets {
		if row, ok := in.secret(s, feeders, turned); ok {
			r.Rows = append(r.Rows, row)
		}
	}
	slices.SortFunc(r.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), cmp.Compare(b.AgeSeconds, a.AgeSeconds),
			strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	for i := range r.Rows {
		r.States[r.Rows[i].State]++
	}
	return r
}

func rank(s policy.State) int {
	return slices.Index([]policy.State{policy.Forbidden, policy.Overdue, policy.Unknown, policy.Due, policy.Fresh, policy.Unlimited}, s)
}

func (in *Input) rotation(rot *v1alpha1.Rotation) Row { //nolint:cyclop // flat: a case after the other
	row := Row{Kind: "Rotation", Namespace: rot.Namespace, Name: rot.Name, Owner: ownerOf(&rot.ObjectMeta),
		Phase: string(cmp.Or(rot.Status.Phase, v1alpha1.PhaseIdle)), Next: rot.Status.Next}
	class := policy.ClassOf(rot)
	limit := in.Policies.Evaluate(in.Namespaces[rot.Namespace], policy.Credential{Class: class})
	if own := rot.Spec.Schedule.MaxAge; own != nil && own.Duration > 0 && (limit.MaxAge <= 0 || own.Duration < limit.MaxAge) {
		limit.MaxAge, limit.Before = own.Duration, 0
	}
	limit.Class = class
	wrong := in.Policies.Wrong(in.Namespaces[rot.Namespace], policy.Credential{Class: class})
	changed := rot.Status.PublishedAt
	if changed == nil || rot.Status.BackReason != "" { // what it published was taken back
		changed = rot.Status.LastDone
	}
	row.fill(in.Now, limit, changed, rot.CreationTimestamp)
	row.doubt(wrong)
	if done := rot.Status.LastDone; done != nil && meta.IsStatusConditionTrue(rot.Status.Conditions, v1alpha1.ConditionProven) {
		row.LastProof = &done.Time
	}
	if s := &rot.Status; s.Turn > 0 && (s.Phase == v1alpha1.PhaseIdle || s.Phase == v1alpha1.PhaseFailed) {
		row.LastTurn, row.LastResult, row.Statement = s.Turn, rotate.TurnOf(s).Result(), s.Statement
	}
	switch {
	case rot.Status.Phase == v1alpha1.PhaseHeld:
		row.Command = "strongkeep rotation status " + rot.Name + " -n " + rot.Namespace
	case row.State == policy.Overdue || row.State == policy.Due:
		row.Command = "strongkeep rotation start " + rot.Name + " -n " + rot.Namespace
	}
	return row
}

func (in *Input) secret(s Secret, feeders map[types.NamespacedName]string, turned map[string]bool) (Row, bool) {
	m := s.Meta
	feeder := feeders[types.NamespacedName{Namespace: m.Namespace, Name: m.Name}]
	credential := policy.Credential{SecretType: s.Type, Labels: m.Labels}
	limit, wrong := in.Policies.Evaluate(in.Namespaces[m.Namespace], credential), in.Policies.Wrong(in.Namespaces[m.Namespace], credential)
	if feeder == "" && limit.Class == "" && wrong == nil {
		return Row{}, false
	}
	for location := range target.Versions(m.Annotations) {
		if turned[location] {
			return Row{}, false
		}
	}
	row := Row{Kind: "Secret", Namespace: m.Namespace, Name: m.Name, Owner: ownerOf(m), FedBy: feeder}
	row.fill(in.Now, limit, writtenAt(m), m.CreationTimestamp)
	row.doubt(wrong)
	if row.State == policy.Forbidden || row.State == policy.Overdue || row.State == policy.Due {
		row.Command = "kubectl describe secret " + m.Name + " -n " + m.Namespace
	}
	return row, true
}

// fill says how old it is, and how that stands.
func (r *Row) fill(now time.Time, limit policy.Limit, changed *metav1.Time, made metav1.Time) {
	r.Class, r.Policy, r.MaxSeconds = limit.Class, limit.Policy, int64(limit.MaxAge/time.Second)
	from := made.Time
	if changed != nil {
		from, r.Changed = changed.Time, &changed.Time
	} else {
		r.AtMost = true
	}
	age := max(now.Sub(from), 0)
	r.AgeSeconds, r.State = int64(age/time.Second), limit.At(age)
}

// doubt says that the limit is not known for sure: what is overdue by what is
// known stays so.
func (r *Row) doubt(wrong error) {
	if wrong == nil || r.State == policy.Overdue || r.State == policy.Forbidden {
		return
	}
	r.State, r.Command = policy.Unknown, "kubectl get rotationpolicies"
}

// writtenAt is when the data was last written, as managed fields tell; nil when
// they do not.
func writtenAt(m *metav1.ObjectMeta) (at *metav1.Time) {
	for i := range m.ManagedFields {
		f := &m.ManagedFields[i]
		if f.Time != nil && f.FieldsV1 != nil && strings.Contains(f.FieldsV1.String(), `"f:data"`) && (at == nil || at.Before(f.Time)) {
			at = f.Time
		}
	}
	return at
}

// ownerOf is who is responsible, by what people write on objects.
func ownerOf(m *metav1.ObjectMeta) string {
	for _, key := range []string{LabelOwner, "app.kubernetes.io/part-of", "app.kubernetes.io/name", "app.kubernetes.io/instance"} {
		if v := cmp.Or(m.Annotations[key], m.Labels[key]); v != "" {
			return v
		}
	}
	return ""
}
