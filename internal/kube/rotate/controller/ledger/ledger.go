// Package ledger makes the statement of a turn that ends, and has the vault
// sign and keep it.
//
// Start reading at Ledger.
package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// maxPending is how large a statement may be that a status keeps, in bytes;
// keepPending is how many are kept.
const (
	maxPending  = 64 << 10
	keepPending = 4
)

// Ledger is the vault's evidence engine at Mount.
type Ledger struct{ Mount string }

// Remedy is what a person does so that statements can be stored.
func (l Ledger) Remedy(rot *v1alpha1.Rotation) string {
	return fmt.Sprintf("strongkeep secrets enable -path=%s evidence, and let the login of %s create and read %s/statements/%s",
		l.Mount, rot.Spec.Target.StoreRef.Name, l.Mount, client.ObjectKeyFromObject(rot))
}

// Store appends a statement. Storing the same one again changes nothing.
func (l Ledger) Store(ctx context.Context, vault target.Vault, rot *v1alpha1.Rotation, p v1alpha1.PendingStatement) (string, error) {
	path := l.Mount + "/statements/" + client.ObjectKeyFromObject(rot).String()
	body := map[string]any{"turn": p.Turn, "statement": json.RawMessage(p.Statement)}
	where := path + "/" + strconv.FormatInt(p.Turn, 10)
	_, err := vault.Call(ctx, http.MethodPost, path, body)
	if errs.KindOf(err) == errs.Invalid { // it may have one of this turn already
		ours, readErr := stored(ctx, vault, rot, where)
		switch {
		case readErr != nil: // whose it is decides what is wrong: that it cannot be read comes first
			return "", errs.Newf(errs.KindOf(readErr), "reading the statement of turn %d at %s, which the vault may have already: %w", p.Turn, where, readErr)
		case ours:
			return where, nil
		}
	}
	if err != nil {
		return "", errs.Newf(errs.KindOf(err), "storing the statement of turn %d at %s: %w", p.Turn, path, err)
	}
	return where, nil
}

// stored reports whether the vault has a statement of this very turn, put in
// other words: by an operator that was killed before it could say so. That there
// is none is no error.
func stored(ctx context.Context, vault target.Vault, rot *v1alpha1.Rotation, where string) (bool, error) {
	raw, err := vault.Call(ctx, http.MethodGet, where, nil)
	if errs.Is(err, errs.NotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var answer struct {
		Statement struct {
			UID string `json:"uid"`
		} `json:"statement"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return false, errs.New(errs.Unavailable, "the answer is no statement")
	}
	return answer.Statement.UID == string(rot.UID), nil
}

// Turn is what is known of a turn that ends. Seen: Pods and Secrets are all of
// them, as they were when the old credential was closed; otherwise the status has
// to do.
type Turn struct {
	*v1alpha1.Rotation
	Kind    string
	Now     time.Time
	Seen    bool
	Pods    []v1alpha1.PodEvidence
	Secrets []consumer.Fed
}

// Statement says what came of the turn that ends.
func (t Turn) Statement() evidence.Statement {
	s := &t.Status
	out := evidence.Statement{
		Rotation: client.ObjectKeyFromObject(t.Rotation).String(), UID: string(t.UID), Credential: s.Location, Kind: t.Kind,
		Turn: s.Turn, Cause: s.Cause, Result: evidence.ResultRotated, Version: s.Version, Previous: s.PreviousVersion,
		Begun: moment(s.Begun), Published: moment(s.PublishedAt), Closed: moment(s.ClosedAt), Ended: t.ended(),
		Required: t.Spec.Proof.Pod, Unknown: s.Proof.Unknown,
	}
	if s.BackReason != "" {
		out.Result = evidence.ResultRolledBack
	}
	out.SetTimeline(s.Timeline)
	out.Pods = evidence.PodsProven{Total: int(s.Proof.Pods), Proven: int(s.Proof.PodsProven), Evidence: s.Proof.Evidence}
	if t.Seen { // all of them, if this process saw them
		out.Pods.Evidence = t.Pods
		out.SetSecrets(t.Secrets)
	}
	out.Pods.Omitted = out.Pods.Total - len(out.Pods.Evidence)
	if s.Proof.OldSessions != nil && s.Proof.NewSessions != nil {
		out.Backend = &evidence.BackendSeen{Old: int(*s.Proof.OldSessions), New: int(*s.Proof.NewSessions)}
	}
	number := strconv.FormatInt(s.Turn, 10)
	if s.Honoured[v1alpha1.AnnotationApprove] == number {
		out.Approved = &evidence.Decision{Time: t.entered(v1alpha1.PhasePublishing), By: t.annotator(v1alpha1.AnnotationApprove)}
	}
	if s.Honoured[v1alpha1.AnnotationAccept] == number {
		out.Accepted = &evidence.Decision{Time: t.entered(v1alpha1.PhaseQuiescing), By: t.annotator(v1alpha1.AnnotationAccept)}
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
func (t Turn) ended() time.Time {
	now := t.Now
	if s := &t.Status; s.LastDone != nil {
		now = s.LastDone.Time
	}
	return now.UTC().Truncate(time.Second)
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

// Cut makes a statement small enough for a status, see Statement.EncodeWithin.
func Cut(raw json.RawMessage) (string, error) {
	if len(raw) <= maxPending {
		return string(raw), nil
	}
	s, err := evidence.ParseStatement(raw)
	if err != nil {
		return "", err
	}
	raw, err = s.EncodeWithin(maxPending)
	return string(raw), err
}

// Append adds p to what waits, and drops the oldest when there are too many.
func Append(list []v1alpha1.PendingStatement, p v1alpha1.PendingStatement) []v1alpha1.PendingStatement {
	list = slices.DeleteFunc(slices.Clone(list), func(o v1alpha1.PendingStatement) bool { return o.Turn == p.Turn })
	list = append(list, p)
	return list[max(0, len(list)-keepPending):]
}
