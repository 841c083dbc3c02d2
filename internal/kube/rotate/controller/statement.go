package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

// A statement that the vault does not take is kept in the status, cut to
// maxPending bytes by leaving out pods with proof, and offered again: at most
// keepPending of them, of which a further one pushes out the oldest. The turn is
// over all the same; the condition Proven says what is missing.
const (
	maxPending  = 64 << 10
	keepPending = 4
	offerEvery  = 10 * time.Minute
)

// record stores the signed statement of a turn that ends. A vault that is away
// is an error; one that has no evidence engine there, or does not let us in, leaves
// the statement pending.
func (r *Reconciler) record(ctx context.Context, l *look, out *result) error {
	raw, err := r.statement(l).Encode()
	if err != nil {
		return err
	}
	if len(l.rot.Status.Pending) > 0 { // they are taken in the order of turns
		out.pending, out.why, l.mem.tried = cut(raw), "earlier statements wait too", time.Time{}
		return nil
	}
	out.statement, err = r.store(ctx, l, out.Number, raw)
	if err == nil || again(err) {
		return err
	}
	out.pending, out.why = cut(raw), err.Error()+"; next: "+r.remedy(l)
	return nil
}

// remedy is what a person does so that statements can be stored.
func (r *Reconciler) remedy(l *look) string {
	return fmt.Sprintf("strongkeep secrets enable -path=%s evidence, and let the login of %s create and read %s/statements/%s",
		r.EvidenceMount, l.rot.Spec.Target.StoreRef.Name, r.EvidenceMount, l.name())
}

// store appends a statement. Storing the same one again changes nothing.
func (r *Reconciler) store(ctx context.Context, l *look, turn int64, raw json.RawMessage) (string, error) {
	path := r.EvidenceMount + "/statements/" + l.name()
	body := map[string]any{"turn": turn, "statement": raw}
	where := path + "/" + strconv.FormatInt(turn, 10)
	_, err := l.vault.Call(ctx, http.MethodPost, path, body)
	if err == nil || errs.KindOf(err) == errs.Invalid && r.stored(ctx, l, where) {
		return where, nil
	}
	return "", errs.Newf(errs.KindOf(err), "storing the statement of turn %d at %s: %w", turn, path, err)
}

// stored reports whether the vault has a statement of this very turn, put in
// other words: by an operator that was killed before it could say so.
func (r *Reconciler) stored(ctx context.Context, l *look, where string) bool {
	raw, err := l.vault.Call(ctx, http.MethodGet, where, nil)
	if err != nil {
		return false
	}
	var answer struct {
		Statement struct {
			UID string `json:"uid"`
		} `json:"statement"`
	}
	return json.Unmarshal(raw, &answer) == nil && answer.Statement.UID == string(l.rot.UID)
}

// statement says what came of the turn that ends.
func (r *Reconciler) statement(l *look) evidence.Statement {
	s := &l.rot.Status
	out := evidence.Statement{
		Rotation: l.name(), UID: string(l.rot.UID), Credential: s.Location, Kind: kindOf(&l.rot.Spec.Target),
		Turn: s.Turn, Cause: s.Cause, Result: evidence.ResultRotated, Version: s.Version, Previous: s.PreviousVersion,
		Begun: moment(at(s.Begun)), Published: moment(at(s.PublishedAt)), Closed: moment(at(s.ClosedAt)), Ended: l.ended(r.Clock.Now()),
		Required: l.rot.Spec.Proof.Pod, Unknown: s.Proof.Unknown,
	}
	if s.BackReason != "" {
		out.Result = evidence.ResultRolledBack
	}
	out.SetTimeline(s.Timeline)
	out.Pods = evidence.PodsProven{Total: int(s.Proof.Pods), Proven: int(s.Proof.PodsProven), Evidence: s.Proof.Evidence}
	if l.mem.closing.turn == s.Turn { // all of them, if this process saw them
		out.Pods.Evidence = l.mem.closing.pods
		out.SetSecrets(l.mem.closing.secrets)
	}
	out.Pods.Omitted = out.Pods.Total - len(out.Pods.Evidence)
	if s.Proof.OldSessions != nil && s.Proof.NewSessions != nil {
		out.Backend = &evidence.BackendSeen{Old: int(*s.Proof.OldSessions), New: int(*s.Proof.NewSessions)}
	}
	number := strconv.FormatInt(s.Turn, 10)
	if s.Honoured[v1alpha1.AnnotationApprove] == number {
		out.Approved = &evidence.Decision{Time: l.entered(v1alpha1.PhasePublishing), By: l.annotator(v1alpha1.AnnotationApprove)}
	}
	if s.Honoured[v1alpha1.AnnotationAccept] == number {
		out.Accepted = &evidence.Decision{Time: l.entered(v1alpha1.PhaseQuiescing), By: l.annotator(v1alpha1.AnnotationAccept)}
		for _, p := range s.Proof.Evidence {
			if !p.Proven {
				out.Unproven = append(out.Unproven, p.Namespace+"/"+p.Pod+": "+p.Missing)
			}
		}
	}
	if !s.First || s.BackReason != "" {
		out.Retired = &evidence.Retired{Side: "old", Time: out.Ended, Proven: true, Text: "the target removed it and saw a use of it refused"}
		if s.BackReason != "" {
			out.Retired.Side = "new"
		}
	}
	return out
}

// ended is when the turn came to its end; told again it is the same.
func (l *look) ended(now time.Time) time.Time {
	if s := &l.rot.Status; s.LastDone != nil {
		now = s.LastDone.Time
	}
	return now.UTC().Truncate(time.Second)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// entered is when the turn entered a phase.
func (l *look) entered(phase v1alpha1.Phase) time.Time {
	for _, e := range slices.Backward(l.rot.Status.Timeline) {
		if e.Turn == l.rot.Status.Turn && e.Phase == phase {
			return e.Time.UTC()
		}
	}
	return time.Time{}
}

// annotator is the client that wrote an annotation, as the API server has it.
func (l *look) annotator(annotation string) string {
	for _, f := range l.rot.ManagedFields {
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

// cut leaves out pods, those with proof first, until raw is small enough.
func cut(raw json.RawMessage) string {
	for len(raw) > maxPending {
		s, err := evidence.ParseStatement(raw)
		n := len(s.Pods.Evidence)
		if err != nil || n == 0 {
			return string(raw) // bounded by its other fields, which are
		}
		keep := n * maxPending / len(raw) * 9 / 10
		s.Pods.Evidence, s.Pods.Omitted = s.Pods.Evidence[:keep], s.Pods.Omitted+n-keep
		if raw, err = s.Encode(); err != nil {
			return ""
		}
	}
	return string(raw)
}

func appendPending(list []v1alpha1.PendingStatement, p v1alpha1.PendingStatement) []v1alpha1.PendingStatement {
	list = slices.DeleteFunc(slices.Clone(list), func(o v1alpha1.PendingStatement) bool { return o.Turn == p.Turn })
	list = append(list, p)
	return list[max(0, len(list)-keepPending):]
}

// offerPending offers the oldest pending statement again if it is time for it,
// and returns when to do so next.
func (r *Reconciler) offerPending(ctx context.Context, l *look) (time.Duration, error) {
	if since := r.Clock.Since(l.mem.tried); since < offerEvery {
		return offerEvery - since, nil
	}
	first := l.rot.Status.Pending[0]
	where, err := r.store(ctx, l, first.Turn, json.RawMessage(first.Statement))
	if err != nil {
		l.mem.tried = r.Clock.Now()
		return offerEvery, nil
	}
	next := l.rot.Status.DeepCopy()
	next.Pending = slices.Delete(next.Pending, 0, 1)
	if first.Turn == next.Turn {
		next.Statement = where
	}
	if len(next.Pending) == 0 {
		storedLate(next, l)
	}
	return now, r.write(ctx, l.rot, next)
}
