package turn

import (
	"fmt"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/backup"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
)

// State is where a turn stands.
type State struct {
	Versions  []Version          `json:"versions"`
	Servers   []configure.Server `json:"servers"`
	Steps     []Step             `json:"steps"`
	Evidence  *Evidence          `json:"evidence,omitempty"` // nil: etcd was not read
	Rewritten *rewrite.Report    `json:"rewritten,omitempty"`
	// Proven is that nothing in etcd needs a version before the newest, and no API server
	// could write under one while it was read. It holds until one may again: a plugin that
	// starts while the newest version does not encrypt, or with an old key file, goes back.
	Proven  bool         `json:"proven"`
	Backups *backup.List `json:"backups,omitempty"` // nil: not looked at
	// Next is how the next version is made, for people.
	Next []string `json:"next_version,omitempty"`

	standing *Standing
	why      error // of the judge's refusal; nil: it did not
}

// Version is one of the key.
type Version struct {
	ID     string    `json:"version"`
	KeyID  string    `json:"key_id"`
	Made   time.Time `json:"made,omitzero"`
	Active time.Time `json:"active_from,omitzero"`
	Role   Role      `json:"role"`
	Values *int      `json:"values,omitempty"` // in etcd, under it; nil: not counted
	// Backups have values under it.
	Backups []string `json:"backups,omitempty"`
	// Known is that it is the known_key_id of this node's configuration.
	Known bool `json:"known_key_id,omitempty"`
	// Retire is how it is disabled, as far as etcd goes; nil as long as that is not proven.
	Retire []string `json:"retire,omitempty"`
}

// Role is what a version is for.
type Role string

// The roles.
const (
	New    Role = "new"    // all are to have it
	Old    Role = "old"    // nothing is to need it
	Closed Role = "closed" // newer, and the key store lets nothing be encrypted under it
)

// Step is one of a turn.
type Step struct {
	What   string `json:"step"`
	State  string `json:"state"` // done, next, waits, later, refused, not checked
	Detail string `json:"detail,omitempty"`
}

// tell fills in what people see of what was observed; why is the judge's refusal.
func (s *State) tell(versions []kms.Known, known string, why error) {
	s.Versions = s.Versions[:0]
	role := New
	for i := len(versions) - 1; i >= 0; i-- {
		v := &versions[i]
		one := Version{ID: v.ID, KeyID: v.KeyID, Made: v.Made, Active: v.Active, Role: role, Known: known == v.KeyID}
		switch {
		case role == New && !v.Wraps:
			one.Role = Closed
		default:
			role = Old
		}
		s.Versions = append(s.Versions, one)
	}
	s.why = why
	s.Steps = s.steps()
}

// finish fills in what etcd and the backups say of each version.
func (s *State) finish(guide keystore.Guide) {
	for i := range s.Versions {
		v := &s.Versions[i]
		if s.Evidence != nil {
			n := s.Evidence.versions[v.ID]
			v.Values = &n
		}
		if s.Backups != nil {
			v.Backups = s.Backups.Needing(v.KeyID)
		}
	}
	if s.Proven && guide != nil {
		s.retire(guide)
	}
	s.Steps = s.steps()
}

// retire says how older versions are disabled.
func (s *State) retire(guide keystore.Guide) {
	old, _ := s.Old()
	var ids []string
	for _, v := range old {
		ids = append(ids, v.ID)
	}
	for i, how := range guide.Retire(ids, s.standing.Target.ID) {
		old[i].Retire = how
	}
}

func (s *State) steps() []Step {
	out := []Step{
		{What: "the key store has the version", State: "done"},
		{What: "every API server is told of it", State: "done"},
		{What: "nothing is written under another version any more", State: "done"},
		s.rewriting(), s.proof(),
	}
	for i := range s.Versions {
		if v := &s.Versions[i]; v.Role == New {
			out[0].Detail = fmt.Sprintf("%s, key id %s", v.ID, v.KeyID)
		}
	}
	at := -1
	switch {
	case s.why != nil:
		at, out[1].State, out[1].Detail = 1, "refused", s.why.Error()
	case s.standing == nil:
		at, out[1].State = 1, "not checked"
	case s.standing.Phase == Turning:
		at, out[1].State, out[1].Detail = 1, "waits", s.standing.Waits
	case s.standing.Phase == Ending:
		at, out[2].State, out[2].Detail = 2, "waits", s.standing.Waits
	}
	for i := at + 1; at > 0 && i < len(out); i++ {
		out[i].State = "later"
		if s.Evidence == nil {
			out[i].Detail = ""
		}
	}
	return out
}

func (s *State) rewriting() Step {
	step := Step{What: "what was there before is written again", State: "not checked", Detail: "etcd was not read"}
	if e := s.Evidence; e != nil {
		step.State, step.Detail = "next", fmt.Sprintf("of %d values %d are not under it", e.Left+e.current, e.Left)
		if e.Left == 0 {
			step.State, step.Detail = "done", fmt.Sprintf("%d values", e.current)
		}
	}
	return step
}

func (s *State) proof() Step {
	step := Step{What: "etcd shows that nothing needs another version", State: "later"}
	switch {
	case s.Evidence == nil:
		step.State = "not checked"
	case s.Proven:
		step.State, step.Detail = "done", fmt.Sprintf("%d values of everything, read at revision %d of %s", s.Evidence.Read, s.Evidence.Revision, s.Evidence.Source)
	case !s.Evidence.firm && s.standing.Phase == Settled:
		step.Detail = "an API server could write under another version when etcd began to be read: run this again"
	}
	return step
}

// Old are the versions that nothing is to need, by age, and how they are told.
func (s *State) Old() (all []*Version, names string) {
	var ids []string
	for i := len(s.Versions) - 1; i >= 0; i-- {
		if v := &s.Versions[i]; v.Role == Old {
			all, ids = append(all, v), append(ids, v.ID)
		}
	}
	return all, strings.Join(ids, ", ")
}
