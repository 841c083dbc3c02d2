package evidence

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

// Schema names the statement's shape. A change that a reader of the old shape
// would misread gets a new name.
const Schema = "strongkeep.io/rotation-statement/v1"

// MaxStatement is the size in bytes of the largest statement that the vault
// takes.
const MaxStatement = 512 << 10

// Statement is what is signed and kept of a turn that ended, well or not. It
// names and counts; it holds no value, and no digest of one.
type Statement struct {
	Schema   string `json:"schema"`
	Rotation string `json:"rotation"` // namespace/name
	UID      string `json:"uid,omitempty"`
	// Credential is its location, Kind the kind of target.
	Credential string `json:"credential"`
	Kind       string `json:"kind,omitempty"`
	Turn       int64  `json:"turn"`
	Cause      string `json:"cause"`
	// Result is one of rotate's. Reason and Message say why the turn went back, or was
	// given up.
	Result  rotate.Result `json:"result"`
	Reason  string        `json:"reason,omitempty"`
	Message string        `json:"message,omitempty"`
	// Version is what readers see when the turn ends, and what Secrets and pods are
	// proven by: on the way back, the old one again.
	Version  string `json:"version"`
	Previous string `json:"previousVersion,omitempty"`

	// Phases in their order, each with when it was entered.
	Phases    []PhaseTime `json:"phases"`
	Begun     *time.Time  `json:"begun,omitempty"`
	Staged    *time.Time  `json:"staged,omitempty"`
	Published *time.Time  `json:"published,omitempty"`
	Closed    *time.Time  `json:"closed,omitempty"`
	Ended     time.Time   `json:"ended"`

	Required []v1alpha1.EvidenceKind `json:"required,omitempty"`
	Secrets  []ConfirmedSecret       `json:"secrets"`
	Pods     PodsProven              `json:"pods"`
	Backend  *BackendSeen            `json:"backend,omitempty"`
	// Clients are those of the vault itself; nil: nobody was asked.
	Clients *v1alpha1.ClientsStatus `json:"clients,omitempty"`
	// Unknown are sources of consumers that could not be asked.
	Unknown []string `json:"unknown"`
	// Approved and Accepted: who went on from Staged, and who closed without full
	// proof, as far as the cluster knows; Unproven is what was accepted so.
	Approved *Decision `json:"approved,omitempty"`
	Accepted *Decision `json:"acceptedUnproven,omitempty"`
	Unproven []string  `json:"unproven,omitempty"`
	Retired  *Retired  `json:"retired,omitempty"`
	// Omitted are the lists of which the end is left out, because the statement
	// would be too large: by their names in it. Pods have a count of their own.
	Omitted map[string]Omitted `json:"omitted,omitempty"`
}

// Omitted is what a list was before its end was left out.
type Omitted struct {
	Total int `json:"total"`
	Kept  int `json:"kept"`
	// SHA256 is the digest, in hex, of the whole list as JSON, as this statement would
	// have it: what somebody else kept of it can be compared. It is of names and
	// texts, never of a value.
	SHA256 string `json:"sha256"`
}

// PhaseTime is when a phase was entered. Message is there of what somebody has to
// explain: a hold, and the way back.
type PhaseTime struct {
	Phase   v1alpha1.Phase `json:"phase"`
	Time    time.Time      `json:"time"`
	Reason  string         `json:"reason,omitempty"`
	Message string         `json:"message,omitempty"`
}

// ConfirmedSecret is a Secret that was seen to hold the version.
type ConfirmedSecret struct {
	Cluster         string `json:"cluster,omitempty"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	ResourceVersion string `json:"resourceVersion"`
	Mirror          bool   `json:"mirror,omitempty"`
}

// PodsProven is the evidence of each pod, as it was when the old credential was
// closed, or the new one was about to be removed.
type PodsProven struct {
	Total    int                    `json:"total"`
	Proven   int                    `json:"proven"`
	Evidence []v1alpha1.PodEvidence `json:"evidence"`
	// Omitted are pods left out because the statement would be too large; those
	// without proof never are, before all others are.
	Omitted int `json:"omitted,omitempty"`
}

// BackendSeen is what the backend saw last, and before the old credential was
// closed.
type BackendSeen struct {
	Old     int    `json:"oldSessions"`
	New     int    `json:"newSessions"`
	Partial string `json:"partial,omitempty"` // what it cannot see
}

// Decision is what a person decided.
type Decision struct {
	By     string    `json:"by,omitempty"` // as the API server has it; empty when not known
	Time   time.Time `json:"time"`
	Reason string    `json:"reason,omitempty"`
}

// Retired is the result of removing the credential that went. It is there only if
// there was one, and the target said that it is removed.
type Retired struct {
	Side string    `json:"side"` // old or new
	Time time.Time `json:"time"`
	// Proven: a use of it was tried and refused.
	Proven bool   `json:"proven"`
	Text   string `json:"text,omitempty"`
}

// SetSecrets fills in those of fed that hold the statement's version.
func (s *Statement) SetSecrets(fed []consumer.Fed) {
	s.Secrets = []ConfirmedSecret{}
	for i := range fed {
		if f := &fed[i]; f.Version == s.Version {
			s.Secrets = append(s.Secrets, ConfirmedSecret{f.Cluster, f.Namespace, f.Name, f.ResourceVersion, f.Mirror})
		}
	}
}

// SetPods fills in all that was judged.
func (s *Statement) SetPods(pods []v1alpha1.PodEvidence) {
	s.Pods = PodsProven{Total: len(pods), Evidence: pods}
	for i := range pods {
		if pods[i].Proven {
			s.Pods.Proven++
		}
	}
	if pods == nil {
		s.Pods.Evidence = []v1alpha1.PodEvidence{}
	}
}

// SetTimeline takes the phases of the statement's turn from a status.
func (s *Statement) SetTimeline(entries []v1alpha1.TimelineEntry) {
	s.Phases = []PhaseTime{}
	for _, e := range entries {
		if e.Turn != s.Turn {
			continue
		}
		p := PhaseTime{Phase: e.Phase, Time: e.Time.UTC(), Reason: e.Reason}
		if e.Phase == v1alpha1.PhaseHeld || e.Phase == v1alpha1.PhaseRollingBack {
			p.Message = short(e.Message, maxText)
		}
		s.Phases = append(s.Phases, p)
	}
}

// Encode returns the statement as it is sent to the vault, equal for equal
// statements. One that is too large is cut, see EncodeWithin. Kind Invalid:
// something is missing.
func (s Statement) Encode() (json.RawMessage, error) { return s.EncodeWithin(MaxStatement) }

func (s *Statement) check() error {
	var missing []string
	for field, ok := range map[string]bool{
		"rotation": strings.Count(s.Rotation, "/") == 1, "credential": s.Credential != "", "turn": s.Turn > 0,
		"result": s.Result != "", "ended": !s.Ended.IsZero(),
	} {
		if !ok {
			missing = append(missing, field)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return errs.Newf(errs.Invalid, "the statement of rotation %q lacks %s", s.Rotation, strings.Join(missing, ", "))
	}
	if s.Unknown == nil {
		s.Unknown = []string{}
	}
	if s.Secrets == nil {
		s.Secrets = []ConfirmedSecret{}
	}
	return nil
}

// ParseStatement reads a statement. Members that it does not know are left out:
// a newer writer may add some. Kind Invalid: it is none of this schema.
func ParseStatement(raw []byte) (Statement, error) {
	var s Statement
	if err := json.Unmarshal(raw, &s); err != nil {
		return Statement{}, errs.New(errs.Invalid, "the statement is no JSON of the shape of "+Schema)
	}
	if s.Schema != Schema {
		return Statement{}, errs.Newf(errs.Invalid, "the statement's schema is %q, not %s", s.Schema, Schema)
	}
	if err := s.check(); err != nil {
		return Statement{}, err
	}
	return s, nil
}
