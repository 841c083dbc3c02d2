package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is what goes wrong.
type Kind string

// The kinds. A and B of a Fault are which node or member, from 0.
const (
	KillNode      Kind = "kill -9 of a node"
	KillNodes     Kind = "kill -9 of all nodes"
	FreezeNode    Kind = "SIGSTOP of a node"
	KillEtcd      Kind = "kill -9 of an etcd member"
	KillEtcds     Kind = "kill -9 of all etcd members"
	FreezeEtcd    Kind = "SIGSTOP of an etcd member"
	PowerEtcd     Kind = "power cut of an etcd member"
	PowerEtcds    Kind = "power cut of all etcd members"
	PowerNode     Kind = "power cut of a node"
	CutNodeEtcd   Kind = "node A cut off from etcd member B"
	CutNode       Kind = "node cut off from etcd"
	CutNodeOneWay Kind = "what etcd sends to a node is lost"
	CutEtcdOneWay Kind = "what a node sends to etcd is lost"
	CutClients    Kind = "node cut off from clients"
	CutPair       Kind = "etcd members A and B cut off from each other"
	CutMember     Kind = "etcd member cut off from the others"
	CutSite       Kind = "node and etcd member A cut off from the rest"
	CutLonely     Kind = "an etcd member hears the others, and is not heard"
	SlowNet       Kind = "slow network to etcd"
	LossyNet      Kind = "lossy network to etcd"
	SlowClients   Kind = "slow and lossy network to clients"
	SlowDisk      Kind = "slow disk of an etcd member"
	FullDisk      Kind = "full disk of an etcd member"
	FullAudit     Kind = "full disk of a node"
	SlowAudit     Kind = "slow disk of a node"
	Skew          Kind = "node started anew with a wrong clock"
	LostKMS       Kind = "node started anew without its KMS"
	SealNode      Kind = "node sealed by an operator"
	StepDown      Kind = "leader asked to step down"
)

// Kinds are all of them.
var Kinds = []Kind{
	KillNode, KillNodes, FreezeNode, KillEtcd, KillEtcds, FreezeEtcd, PowerEtcd, PowerEtcds, PowerNode, CutNodeEtcd, CutNode, CutNodeOneWay,
	CutEtcdOneWay, CutClients, CutPair, CutMember, CutSite, CutLonely, SlowNet, LossyNet, SlowClients, SlowDisk, FullDisk, FullAudit,
	SlowAudit, Skew, LostKMS, SealNode, StepDown,
}

// Fault is one thing that goes wrong for a while.
type Fault struct {
	Kind   Kind
	At     time.Duration // after the start of the schedule
	For    time.Duration
	A, B   int
	Delay  time.Duration // SlowNet, SlowClients, SlowDisk, SlowAudit
	Loss   float64       // LossyNet, SlowClients
	Offset time.Duration // Skew
}

func (f Fault) String() string {
	s := fmt.Sprintf("%.1fs for %.1fs: %s, A=%d", f.At.Seconds(), f.For.Seconds(), f.Kind, f.A)
	if f.Kind == CutNodeEtcd || f.Kind == CutPair {
		s += fmt.Sprintf(" B=%d", f.B)
	}
	if f.Delay > 0 {
		s += fmt.Sprintf(" delay %v", f.Delay)
	}
	if f.Loss > 0 {
		s += fmt.Sprintf(" loss %.0f %%", 100*f.Loss)
	}
	if f.Offset != 0 {
		s += fmt.Sprintf(" offset %v", f.Offset)
	}
	return s
}

// Schedule is a plan.
type Schedule struct {
	Seed   uint64
	Faults []Fault // by At
	Length time.Duration
}

func (s Schedule) String() string {
	all := make([]string, len(s.Faults))
	for i, f := range s.Faults {
		all[i] = "  " + f.String()
	}
	return fmt.Sprintf("seed %d, %v\n%s", s.Seed, s.Length, strings.Join(all, "\n"))
}

// Size of the worlds that schedules are for.
const (
	Nodes   = 3
	Members = 3
)

// Length of a schedule until all faults are over. It is longer than a leader's lease and what
// nodes believe without a sign of life, together.
const Length = 6 * time.Second

// begin is when the first fault may come.
const begin = 500 * time.Millisecond

// New makes the schedule of a seed: one to three faults that may overlap. Of kinds that end or change one
// node there may be several; each is undone before the end.
func New(seed uint64) Schedule {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	s := Schedule{Seed: seed, Length: Length}
	for range 1 + r.IntN(3) {
		s.Faults = append(s.Faults, one(r))
	}
	slices.SortStableFunc(s.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	return s
}

func one(r *rand.Rand) Fault {
	f := Fault{Kind: Kinds[r.IntN(len(Kinds))], A: r.IntN(Nodes)}
	f.B = (f.A + 1 + r.IntN(Members-1)) % Members
	if f.Kind == CutNodeEtcd {
		f.B = r.IntN(Members)
	}
	f.At = begin + part(r, 1500*time.Millisecond)
	f.For = 300*time.Millisecond + part(r, Length-f.At-300*time.Millisecond)
	if f.Kind == FreezeNode && r.IntN(3) > 0 {
		f.For = Length - f.At // for longer than the leader's lease, mostly
	}
	f.Delay = 10*time.Millisecond + part(r, 300*time.Millisecond)
	f.Loss = 0.02 + 0.2*r.Float64()
	f.Offset = part(r, 2*time.Hour) - time.Hour
	return f.plain()
}

// plain drops what a kind has no use for.
func (f Fault) plain() Fault {
	switch f.Kind {
	case SlowNet, SlowDisk, SlowAudit:
		f.Loss = 0
	case LossyNet:
		f.Delay = 0
	case SlowClients:
	default:
		f.Delay, f.Loss = 0, 0
	}
	if f.Kind != Skew {
		f.Offset = 0
	}
	return f
}

// part is a random part of d, in thousandths.
func part(r *rand.Rand, d time.Duration) time.Duration { return d / 1000 * time.Duration(r.IntN(1000)) }
