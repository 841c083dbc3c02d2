package clients

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Input is all that Judge goes by.
type Input struct {
	Answer
	// Version that readers are to see, and the one before the turn.
	Version, Previous string
	// Published is when the turn published.
	Published time.Time
	// Back: the turn goes back, and what it published is to go; Turned is since when.
	Back   bool
	Turned time.Time
	// Changed is when what readers see now was published, by the vault; zero: not known.
	Changed time.Time
}

// settled returns in with the later of what the operator and what the vault knows:
// between deciding to show a credential and showing it readers are given the other one.
func (in Input) settled() Input {
	switch {
	case in.Back && in.Changed.After(in.Turned):
		in.Turned = in.Changed
	case !in.Back && !in.Published.IsZero() && in.Changed.After(in.Published):
		in.Published = in.Changed
	}
	return in
}

// MaxEvidence is how many clients a status and a statement name.
const MaxEvidence = 50

// maxName bounds what a vault can say of a client, in bytes.
const maxName = 200

// Judgement is what there is to say of all clients.
type Judgement struct {
	v1alpha1.ClientsStatus
	// Awaited are those that live and read last what is to go: who, why, and what to do.
	Awaited []string
	// Live are those that have not ended.
	Live []string
}

// Judge says which clients have the version wanted. The operator's own tokens are
// none. It is pure.
func Judge(in Input) Judgement {
	in = in.settled()
	parties, order := map[string]*party{}, []*party(nil)
	for i := range in.Tokens {
		t := &in.Tokens[i]
		if t.Own {
			continue
		}
		p := parties[t.who()]
		if p == nil {
			p = &party{}
			parties[t.who()] = p
			order = append(order, p)
		}
		p.add(t, in)
	}
	out := Judgement{ClientsStatus: v1alpha1.ClientsStatus{Complete: len(in.Unknown) == 0, Unknown: in.Unknown}}
	for _, p := range order {
		e := p.evidence(in)
		out.Total++
		if !e.Ended {
			out.Live = append(out.Live, e.Name)
		}
		switch {
		case e.Missing != "":
			out.Awaited = append(out.Awaited, e.Name+": "+e.Missing)
		case e.Ended:
			out.Ended++
		default:
			out.Proven++
		}
		out.Evidence = append(out.Evidence, e)
	}
	slices.SortStableFunc(out.Evidence, func(a, b v1alpha1.ClientEvidence) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	slices.Sort(out.Awaited)
	slices.Sort(out.Live)
	out.Evidence = out.Evidence[:min(len(out.Evidence), MaxEvidence)]
	return out
}

func rank(e v1alpha1.ClientEvidence) int {
	switch {
	case e.Missing != "":
		return 0
	case !e.Ended:
		return 1
	}
	return 2
}

// party is whoever tokens stand for.
type party struct {
	last        *Token // that read last
	live, stale int
	leases      int
	reads       int64
}

// who tells parties apart: by entity, and where there is none each token is one.
func (t *Token) who() string {
	switch {
	case t.EntityID != "":
		return "entity " + t.EntityID
	case t.Accessor != "":
		return "token " + t.Accessor
	}
	return "name " + t.DisplayName + "\x00" + t.Remote
}

func (p *party) add(t *Token, in Input) {
	if p.last == nil || t.Last != nil && (p.last.Last == nil || t.Last.After(*p.last.Last)) {
		p.last = t
	}
	p.reads += t.Count
	p.leases += t.Leases
	if t.Live {
		p.live++
	}
	if t.stale(in) {
		p.stale++
	}
}

// stale reports whether a token can be used and read last what is to go.
func (t *Token) stale(in Input) bool {
	switch {
	case !t.Live:
		return false
	case t.Leases > 0 && t.OldestLease != nil: // each lease is a credential of its own
		return in.goes(*t.OldestLease) || in.Back && t.between(in)
	case t.Leased || t.Last == nil: // its leases have ended
		return false
	case t.Version == 0:
		return in.goes(*t.Last)
	}
	version := strconv.FormatInt(t.Version, 10)
	return version != in.Version && !(in.Back && version == in.Previous)
}

// between reports whether one of several leases, of which the oldest is known, may be
// of what the turn had published before it went back.
func (t *Token) between(in Input) bool {
	return t.Leases > 1 && t.OldestLease.Before(in.Published) && (t.Last == nil || !t.Last.Before(in.Published))
}

// goes reports whether what was read at that time is what is to go.
func (in Input) goes(at time.Time) bool {
	if in.Back {
		return !at.Before(in.Published) && at.Before(in.Turned)
	}
	return in.Published.IsZero() || at.Before(in.Published)
}

func (p *party) evidence(in Input) v1alpha1.ClientEvidence {
	t := p.last
	e := v1alpha1.ClientEvidence{
		Name: t.name(), EntityID: short(t.EntityID), Auth: short(t.AuthPath), Role: short(t.Role), Address: short(t.Remote),
		Reads: p.reads, Tokens: int32(min(p.live, 1<<30)), Leases: int32(min(p.leases, 1<<30)),
	}
	if t.Version > 0 {
		e.Version = strconv.FormatInt(t.Version, 10)
	}
	if t.Last != nil {
		e.LastRead = &metav1.Time{Time: t.Last.UTC().Truncate(time.Second)}
	}
	e.Proven, e.Ended = p.stale == 0, p.live == 0
	if p.stale > 0 {
		e.Missing = p.missing(e, in)
	}
	return e
}

func (p *party) missing(e v1alpha1.ClientEvidence, in Input) string {
	text := "it has not read version " + in.Version
	if e.Version != "" && e.Version != in.Version {
		text = "it read version " + e.Version + " last, not " + in.Version
	}
	if p.live > 1 {
		text = fmt.Sprintf("%d of its %d tokens have not read version %s last", p.stale, p.live, in.Version)
	}
	return text + ": let it read again, or end its login"
}

// name says who it is, for people.
func (t *Token) name() string {
	name := short(t.DisplayName)
	if t.EntityName != "" {
		name = "entity " + short(t.EntityName) + " (" + name + ")"
	}
	if name == "" {
		name = "a token without a name"
	}
	if t.EntityID == "" && t.Remote != "" {
		name += " at " + short(t.Remote)
	}
	return name
}

// short cuts what a vault says, and takes out what could not be printed.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxName {
		return strings.ToValidUTF8(s[:maxName], "") + "…"
	}
	return s
}
