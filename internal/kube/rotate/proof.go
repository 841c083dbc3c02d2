package rotate

import (
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// accepted is how long what is still awaited is awaited although a person accepts
// that it is not shown, where the overlap has no limit.
const accepted = 24 * time.Hour

// obstacle is what no waiting mends: without a person's word or hand the proof
// cannot be had.
func obstacle(o Observed) (reason, text string) { //nolint:cyclop // flat: a case after the other
	switch {
	case o.Asks.AcceptUnproven:
		return "", ""
	case o.Turn.Back == Forward && len(o.Secrets.Stuck) > 0:
		return ReasonSecretsStuck, "Secrets cannot hold the new version by themselves: " + list(o.Secrets.Stuck) +
			"; mend them and the turn goes on, or accept that their consumers are cut off"
	case len(o.Proof.Unreached) > 0: // whatever the plan says of sources: a person named them
		return ReasonClusterUnreached, "clusters of spec.consumers.clusters cannot be asked, so that nothing is proven there: " + list(o.Proof.Unreached) +
			"; mend it and the turn goes on, or accept it, or take the cluster out"
	case o.Plan.NeedComplete && len(o.Proof.Unknown) > 0:
		return ReasonConsumersUnknown, "consumers cannot all be known: " + list(o.Proof.Unknown) +
			"; mend it and the turn goes on, or accept it, or set spec.consumers.require to Known"
	case o.Plan.NeedClients == v1alpha1.ClientsRequired && len(o.Proof.ClientsUnknown) > 0 && !o.Turn.NoOld:
		return ReasonConsumersUnknown, "clients of the vault itself cannot all be known: " + list(o.Proof.ClientsUnknown) +
			"; mend it and the turn goes on, or accept it, or set spec.proof.clients to WhereKnown"
	case len(o.Proof.Never) > 0:
		return ReasonProofImpossible, "proof can never be had: " + list(o.Proof.Never)
	case o.Plan.NeedBackend == v1alpha1.BackendRequired && !o.Proof.Backend && !o.Turn.NoOld:
		return ReasonProofImpossible, "spec.proof.backend is Required, but the target cannot see all sessions: " + o.lacks() + "set it to WhereKnown"
	}
	return "", ""
}

// lacks says what hinders the backend, as far as it is known.
func (o Observed) lacks() string {
	if o.Proof.BackendLacks == "" {
		return ""
	}
	return o.Proof.BackendLacks + "; mend that, or "
}

// confirmed reports whether every Secret holds the version that readers are to see.
func confirmed(o Observed) bool {
	missing := o.Secrets.Total - o.Secrets.Confirmed
	if o.Asks.AcceptUnproven || o.Turn.Back != Forward { // what cannot follow never left
		missing -= len(o.Secrets.Stuck)
	}
	return missing <= 0 || o.waived()
}

// rolled reports whether no restart is left.
func rolled(o Observed) bool {
	r := o.Rolling
	if len(r.Under) > 0 {
		return false
	}
	return r.Done >= r.Total && len(r.Waiting) == 0 || o.waived()
}

// shown reports whether each consumer has its evidence, and the backend says so
// where its word is asked for.
func shown(o Observed) bool {
	if o.waived() {
		return true
	}
	p := o.Proof
	missing := p.Pods - p.Proven
	if o.Asks.AcceptUnproven {
		missing -= len(p.Never)
	}
	return missing <= 0 && len(p.Missing) == 0 && len(clients(o)) == 0 && sessions(o) == 0
}

// clients are those of the vault that are awaited.
func clients(o Observed) []string {
	if o.Plan.NeedClients == v1alpha1.ClientsIgnored || o.Turn.NoOld {
		return nil
	}
	return o.Proof.Clients
}

// sessions is how many are open with the credential that is to go, as far as
// that matters.
func sessions(o Observed) int {
	if o.Plan.NeedBackend == v1alpha1.BackendIgnored || !o.Proof.Backend || o.Turn.NoOld {
		return 0
	}
	return o.Proof.OldSessions
}

// unshown says what is not shown.
func unshown(o Observed) string {
	p := o.Proof
	text := fmt.Sprintf("%d of %d pods proven", p.Proven, p.Pods)
	if len(p.Missing) > 0 {
		text += "; not yet: " + list(p.Missing)
	}
	if len(p.Never) > 0 {
		text += "; never: " + list(p.Never)
	}
	if n := sessions(o); n > 0 {
		text += "; " + count(n, "session is", "sessions are") + " still open with the credential that is to go"
	}
	if c := clients(o); len(c) > 0 {
		text += "; clients of the vault that do not have it: " + list(c)
	}
	if len(p.Unknown) > 0 {
		text += "; could not be asked: " + list(p.Unknown)
	}
	if len(p.ClientsUnknown) > 0 {
		text += "; clients of the vault itself cannot all be known: " + list(p.ClientsUnknown)
	}
	return text
}

// limit is when old and new have worked side by side for too long; on the way
// back, when going back has taken as long. Zero: never, or not yet published.
func (o Observed) limit() time.Time {
	if o.Plan.OverlapMax <= 0 || o.overlapping().IsZero() {
		return time.Time{}
	}
	return o.overlapping().Add(o.Plan.OverlapMax)
}

// overlapping is since when limits count.
func (o Observed) overlapping() time.Time {
	t := o.Turn
	if t.Back != Forward || !t.Published.IsZero() && t.Resumed.After(t.Published) {
		return t.Resumed
	}
	return t.Published
}

func (o Observed) overLimit() bool {
	at := o.limit()
	return !at.IsZero() && !o.Now.Before(at)
}

// waived reports whether what is still awaited is awaited no longer: a person
// accepts it, and the limit has passed. Before that, acceptance is only of what
// cannot come, so that nobody is cut off for want of a minute.
func (o Observed) waived() bool {
	if !o.Asks.AcceptUnproven {
		return false
	}
	from := o.overlapping()
	return o.overLimit() || o.Plan.OverlapMax <= 0 && !from.IsZero() && o.Now.Sub(from) >= accepted
}

// await waits where the turn is, up to the limit.
func (o Observed) await(s Step) Step {
	if o.overLimit() && !o.waived() {
		text := "old and new work side by side for longer than spec.overlap.max (" + o.Plan.OverlapMax.String() + "): " + s.Message
		if o.Plan.AtLimit == v1alpha1.AtLimitRollBack && o.Turn.Back == Forward && o.Turn.canGoBack() {
			return o.goBack(ReasonOverlapLimit, text)
		}
		return o.hold(ReasonOverlapLimit, text)
	}
	s = o.here(s)
	if s.After == 0 {
		s.After = poll
	}
	if at := o.limit(); !at.IsZero() && at.After(o.Now) {
		s.After = max(min(s.After, at.Sub(o.Now)), soon)
	}
	return s
}

// gateOpen reports whether consumers and the old credential may be touched. A
// leak waits for no window, only for the end of a freeze.
func gateOpen(o Observed) bool {
	return o.Gate.Open || (o.Turn.Cause == CauseLeak || o.Asks.Leaked) && !o.Gate.Frozen
}

// gateShut waits for the gate.
func gateShut(o Observed) Step {
	s := Step{Reason: ReasonWindowClosed, Message: o.Gate.Reason, After: slow}
	if o.Gate.Frozen {
		s.Reason = ReasonFrozen
	}
	if s.Message == "" {
		s.Message = "no window is open"
	}
	if !o.Gate.Opens.IsZero() {
		s.Message += "; it opens at " + stamp(o.Gate.Opens)
		s.After = min(max(o.Gate.Opens.Sub(o.Now), soon), longest)
	}
	return o.here(s)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
