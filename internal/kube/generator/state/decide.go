package state

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
)

// Action is what to do with a state.
type Action string

// The actions.
const (
	Wait          Action = "wait"
	SetDeadline   Action = "set the deadline"   // no Secret holds it any more
	ClearDeadline Action = "clear the deadline" // a Secret holds it
	Renew         Action = "renew"
	Collect       Action = "collect" // ask the live Secret, and take it back
)

// Seen is what a decision is made from.
type Seen struct {
	Now      time.Time
	Deadline time.Time // zero: none
	Term     record.Term
	Claimed  bool // it is being taken back
	Held     bool // the Secret names it
	Orphan   bool // nobody is left who could use it: its owner, or the state itself, is deleted
	Grace    time.Duration
}

// Plan is a decision. Next is when to look again although nothing happens; 0 for
// not at all.
type Plan struct {
	Action   Action
	Deadline time.Time // for SetDeadline
	Next     time.Duration
}

// orphanLook is how often a Secret is looked at whose ExternalSecret is gone and
// that holds a credential still.
const orphanLook = 30 * time.Second

// Decide is pure.
func Decide(s Seen) Plan {
	switch {
	case s.Claimed:
		return Plan{Action: Collect}
	case s.Held && s.Orphan: // it stays good for as long as the Secret is there
		return Plan{Action: Wait, Next: orphanLook}
	case s.Held && !s.Deadline.IsZero():
		return Plan{Action: ClearDeadline}
	case s.Held:
		return renewal(s)
	case s.Orphan:
		return Plan{Action: Collect}
	case s.Deadline.IsZero():
		return Plan{Action: SetDeadline, Deadline: s.Now.Add(s.Grace)}
	case s.Now.Before(s.Deadline):
		return Plan{Action: Wait, Next: s.Deadline.Sub(s.Now)}
	}
	return Plan{Action: Collect}
}

func renewal(s Seen) Plan {
	at := s.Term.Renew()
	switch {
	case at.IsZero(), !s.Now.Before(s.Term.Expires):
		return Plan{Action: Wait}
	case s.Term.Ahead(s.Now): // by a clock that was wrong; the renewal tells when it ends
		return Plan{Action: Renew}
	case s.Now.Before(at):
		return Plan{Action: Wait, Next: at.Sub(s.Now)}
	}
	return Plan{Action: Renew}
}
