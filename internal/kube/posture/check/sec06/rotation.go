package sec06

import (
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// state is what a Rotation is worth. The zero state is that of none.
type state string

const (
	turning  state = "turning"  // it has turned, and in time
	stalled  state = "stalled"  // it should have, and has a finding
	reminder state = "reminder" // people do what it asks them to
	unproven state = "unproven" // a manifest does not say
)

// rotation judges a Rotation, and notes what it is about.
func (j *judgement) rotation(s *snapshot.Source) {
	for _, r := range append(append([]snapshot.Ref{}, s.Reads...), s.Makes...) {
		if r.Kind == "Secret" {
			j.rotated[path.Name{Namespace: r.Namespace, Name: r.Name}] = s
		}
	}
	for _, r := range s.Remote {
		j.turned[r.Path] = append(j.turned[r.Path], s)
	}
	f, state := j.weigh(s)
	j.states[s] = state
	switch state {
	case unproven:
		j.n.unproven++
	case stalled:
		f.Object, f.Place, f.Fix = refOf(s), s.Place, check.Fix{Command: check.Command("strongkeep rotation status -n %s %s", s.Namespace, s.Name)}
		j.out.Findings = append(j.out.Findings, f)
	}
}

// weigh tells the state of a Rotation and, of one that stalls, what is wrong.
func (j *judgement) weigh(s *snapshot.Source) (check.Finding, state) {
	f := check.Finding{Severity: check.High}
	limit := s.Rotates
	if limit == 0 { // on demand, or by its class
		limit = j.in.Settings.MaxAge
	}
	limit += limit / 10
	switch {
	case s.Ready == "False":
		f.Rule, f.Message = "RotationFails", "the Rotation does not work: "+s.Reason
	case s.Manual:
		return f, reminder
	case s.Synced.IsZero() && s.Ready == "" && !j.in.Live:
		return f, unproven
	case s.Synced.IsZero():
		f.Rule, f.Message = "NeverTurned", "the Rotation has not turned yet: nothing shows that it can"
		if j.in.Now.Sub(s.Created) <= limit {
			f.Severity = check.Low
		}
	case j.in.Now.Sub(s.Synced) > limit:
		f.Rule, f.Message = "RotationOverdue", fmt.Sprintf("it last turned on %s, and nothing turns it by itself", s.Synced.UTC().Format(time.DateOnly))
		if s.Rotates > 0 {
			f.Message = fmt.Sprintf("it should turn every %s, and last did on %s", span(s.Rotates), s.Synced.UTC().Format(time.DateOnly))
		}
	default:
		return f, turning
	}
	return f, stalled
}

// held is the state of the Rotation that is about s; "" if none is.
func (j *judgement) held(s *snapshot.Secret) state {
	if r := j.rotated[path.Name{Namespace: s.Namespace, Name: s.Name}]; r != nil {
		return j.states[r]
	}
	for _, m := range j.in.Index.Origins.Makers(origin.Ref(s)) {
		for _, at := range m.Remote {
			if r := j.turns(m.Store, at.Path); r != nil {
				return j.states[r]
			}
		}
	}
	return ""
}

// turns returns the Rotation that is about a credential of a store. One of which the
// store is not known is taken to be of that.
func (j *judgement) turns(store snapshot.Ref, at string) *snapshot.Source {
	for _, s := range j.turned[at] {
		if s.Store == store || s.Store == (snapshot.Ref{}) {
			return s
		}
	}
	return nil
}
