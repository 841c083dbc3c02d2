package ledger

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

// Turn is what is known of a turn that ends. Seen: Pods and Secrets are all of
// them, as they were when the old credential was closed, or the new one was about
// to be removed; otherwise the status has to do.
type Turn struct {
	*v1alpha1.Rotation
	Kind    string
	Now     time.Time
	Seen    bool
	Pods    []v1alpha1.PodEvidence
	Secrets []consumer.Fed
	// Removal is by what the target knows that what it removed is of no use any more,
	// and Tried whether a use of it was.
	Removal string
	Tried   bool
	// Abandoned says, of a turn that the Rotation's deletion ends, what is left of it.
	Abandoned string
	// Removed is the side that went with an abandoned turn, old or new; empty: none.
	Removed string
}

// reasonDeleted is the reason of an abandoned turn.
const reasonDeleted = "Deleted"

// unpublished is what is missing of pods when a turn ends before anybody was
// shown the new credential.
const unpublished = "the turn ended before anybody was shown the new credential"

// Statement says what came of the turn that ends. Told again it is the same.
func (t Turn) Statement() evidence.Statement {
	s := &t.Status
	turn := rotate.TurnOf(s)
	out := evidence.Statement{
		Rotation: client.ObjectKeyFromObject(t.Rotation).String(), UID: string(t.UID), Credential: s.Location, Kind: t.Kind,
		Turn: s.Turn, Cause: s.Cause, Result: turn.Result(), Reason: s.BackReason, Message: s.BackMessage,
		Version: s.Version, Previous: s.PreviousVersion,
		Begun: moment(s.Begun), Staged: moment(s.StagedAt), Published: moment(s.PublishedAt), Closed: moment(s.ClosedAt), Ended: t.ended(),
		Required: t.Spec.Proof.Pod, Unknown: s.Proof.Unknown,
	}
	if out.Result == rotate.ResultAbandoned {
		out.Reason, out.Message = reasonDeleted, t.Abandoned
	}
	out.SetTimeline(s.Timeline)
	t.seen(&out)
	t.decided(&out)
	out.Retired = t.retired(turn, out.Ended)
	return out
}

// seen fills in what was seen of consumers.
func (t Turn) seen(out *evidence.Statement) {
	p := &t.Status.Proof
	out.Pods = evidence.PodsProven{Total: int(p.Pods), Proven: int(p.PodsProven), Evidence: p.Evidence}
	if t.Seen { // all of them, if this process saw them
		out.SetPods(t.Pods)
		out.SetSecrets(t.Secrets)
	}
	if t.Status.PublishedAt != nil {
		out.Clients = p.Clients
	}
	out.Pods.Omitted = max(0, out.Pods.Total-len(out.Pods.Evidence))
	if t.Status.PublishedAt == nil { // whoever uses it, nothing is proven of the new one
		out.Pods.Proven, out.Pods.Evidence = 0, slices.Clone(out.Pods.Evidence)
		for i := range out.Pods.Evidence {
			e := &out.Pods.Evidence[i]
			e.Has, e.Proven, e.Missing = nil, false, unpublished
		}
	}
	if p.OldSessions != nil && p.NewSessions != nil {
		out.Backend = &evidence.BackendSeen{Old: int(*p.OldSessions), New: int(*p.NewSessions), Partial: p.SessionsPartial}
		if t.Status.Back != "" { // where those of the new one are to go
			out.Backend.Old, out.Backend.New = out.Backend.New, out.Backend.Old
		}
	}
}

// decided fills in what people decided.
func (t Turn) decided(out *evidence.Statement) {
	s := &t.Status
	number := strconv.FormatInt(s.Turn, 10)
	if s.Honoured[v1alpha1.AnnotationApprove] == number {
		out.Approved = &evidence.Decision{Time: t.entered(v1alpha1.PhasePublishing), By: t.annotator(v1alpha1.AnnotationApprove)}
	}
	if s.Honoured[v1alpha1.AnnotationAccept] != number {
		return
	}
	out.Accepted = &evidence.Decision{Time: t.entered(v1alpha1.PhaseQuiescing), By: t.annotator(v1alpha1.AnnotationAccept)}
	for i := range out.Pods.Evidence {
		if p := &out.Pods.Evidence[i]; !p.Proven {
			out.Unproven = append(out.Unproven, p.Namespace+"/"+p.Pod+": "+p.Missing)
		}
	}
	if s.Proof.Clients == nil {
		return
	}
	for i := range s.Proof.Clients.Evidence {
		if c := &s.Proof.Clients.Evidence[i]; c.Missing != "" {
			out.Unproven = append(out.Unproven, "client of the vault "+c.Name+": "+c.Missing)
		}
	}
}

// retired is nil where there was nothing to remove, and where the target has not
// said that it is removed.
func (t Turn) retired(turn rotate.Turn, ended time.Time) *evidence.Retired {
	side := ""
	switch turn.Result() {
	case rotate.ResultRotated:
		if !turn.NoOld {
			side = "old"
		}
	case rotate.ResultRolledBack:
		if !turn.Retired.IsZero() {
			side = "new"
		}
	case rotate.ResultAbandoned:
		if side = t.Removed; side == "new" && turn.Staged.IsZero() {
			side = ""
		}
	}
	if side == "" {
		return nil
	}
	at := cmp.Or(turn.Retired, ended).UTC()
	return &evidence.Retired{Side: side, Time: at, Proven: t.Tried, Text: cmp.Or(t.Removal, "the target said that it is removed")}
}

// ended is when the turn came to its end.
func (t Turn) ended() time.Time {
	end := t.Now
	for _, at := range []*metav1.Time{t.Status.EndedAt, t.Status.Since} {
		if at != nil {
			end = at.Time
			break
		}
	}
	return end.UTC().Truncate(time.Second)
}

func moment(t *metav1.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}

// entered is when the turn entered a phase.
func (t Turn) entered(phase v1alpha1.Phase) time.Time {
	for _, e := range slices.Backward(t.Status.Timeline) {
		if e.Turn == t.Status.Turn && e.Phase == phase {
			return e.Time.UTC()
		}
	}
	return time.Time{}
}

// annotator is the client that wrote an annotation, as the API server has it.
func (t Turn) annotator(annotation string) string {
	for _, f := range t.ManagedFields {
		var set struct {
			Metadata struct {
				Annotations map[string]json.RawMessage `json:"f:annotations"`
			} `json:"f:metadata"`
		}
		if f.FieldsV1 == nil || json.Unmarshal(f.FieldsV1.GetRawBytes(), &set) != nil {
			continue
		}
		if _, ok := set.Metadata.Annotations["f:"+annotation]; ok {
			return "field manager " + f.Manager
		}
	}
	return ""
}
