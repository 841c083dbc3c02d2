package ledger

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/tell"
)

// maxMessage bounds a condition's message, in bytes.
const maxMessage = 4 << 10

// reasonNotStored is the reason of a turn that ended well and has no statement yet.
const reasonNotStored = "StatementNotStored"

// SetProven says in the condition Proven how the turn that has ended was proven,
// and where its statement is. why is why it is not stored, where it waits.
func SetProven(s *v1alpha1.RotationStatus, why string, generation int64, now metav1.Time) {
	c := metav1.Condition{Type: v1alpha1.ConditionProven, Status: metav1.ConditionFalse, ObservedGeneration: generation, LastTransitionTime: now}
	where := "; statement: " + s.Statement
	if s.Statement == "" {
		where = "; the signed statement is not stored yet: " + why
	}
	proof := fmt.Sprintf("turn %d: %s on version %s", s.Turn, s.Proof.Summary, s.Version)
	if p := s.Proof.Clients; p != nil {
		proof += fmt.Sprintf(", %d clients of the vault, %d more have ended", p.Proven, p.Ended)
		if !p.Complete {
			proof += "; clients of the vault itself cannot all be known: " + strings.Join(p.Unknown, ", ")
		}
	}
	switch {
	case s.BackReason != "":
		c.Reason, c.Message = "WentBack", fmt.Sprintf("turn %d went back: %s", s.Turn, s.BackMessage)
	case s.Honoured[v1alpha1.AnnotationAccept] == fmt.Sprint(s.Turn):
		c.Reason, c.Message = "AcceptedUnproven", proof+", the rest was accepted without proof"
	case s.Statement == "":
		c.Reason, c.Message = reasonNotStored, proof
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, "Proven", proof
	}
	c.Message = tell.Short(c.Message+where, maxMessage)
	meta.SetStatusCondition(&s.Conditions, c)
}

// Stored says that the last statement that waited is stored.
func Stored(s *v1alpha1.RotationStatus, generation int64, now metav1.Time) {
	if strings.HasSuffix(s.Statement, fmt.Sprintf("/%d", s.Turn)) {
		SetProven(s, "", generation, now)
	}
}
