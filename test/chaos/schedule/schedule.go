package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that goes wrong for a while.
type Fault struct {
	Kind   Kind
	At     time.Duration // after the start of the schedule
	For    time.Duration
	A, B   int
	Delay  time.Duration // SlowNet, SlowPeers, SlowClients, SlowDisk, SlowDisks, SlowAudit; of KillAgain and PowerAgain how long a node runs
	Loss   float64       // LossyNet, LossyPeers, SlowClients
	Offset time.Duration // Skew
}

func (f Fault) String() string {
	s := fmt.Sprintf("%.1fs for %.1fs: %s, A=%d", f.At.Seconds(), f.For.Seconds(), f.Kind, f.A)
	if f.two() {
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

// two reports whether B means something.
func (f Fault) two() bool {
	return slices.Contains([]Kind{CutNodeEtcd, CutPair, PartPair, PartPairOneWay}, f.Kind)
}

// Schedule is a plan.
type Schedule struct {
	World  World
	Seed   uint64
	Faults []Fault // by At
	Length time.Duration
}

func (s Schedule) String() string {
	all := make([]string, len(s.Faults))
	for i, f := range s.Faults {
		all[i] = "  " + f.String()
	}
	return fmt.Sprintf("seed %d of the %s world, %v\n%s", s.Seed, s.World, s.Length, strings.Join(all, "\n"))
}

// Members is how many members of etcd a world has, as programs of their own or in its nodes.
const Members = 3

// Length of a schedule until all faults are over. It is longer than a leader's lease and what
// nodes believe without a sign of life, together.
const Length = 6 * time.Second

// begin is when the first fault may come.
const begin = 500 * time.Millisecond

// New makes the schedule of a seed in a world: one to three faults that may overlap. Of kinds that end or
// change one node there may be several; each is undone before the end.
func New(w World, seed uint64) Schedule {
	r := rand.New(rand.NewPCG(seed, streams[w]))
	s := Schedule{World: w, Seed: seed, Length: Length}
	for range 1 + r.IntN(3) {
		f := one(r, w)
		for f.Kind == LoseDisk && s.Has(LoseDisk) { // two of three disks are lost for good
			f = one(r, w)
		}
		s.Faults = append(s.Faults, f)
	}
	slices.SortStableFunc(s.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	return s
}

// Has reports whether a fault of that kind is planned.
func (s Schedule) Has(k Kind) bool {
	return slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Kind == k })
}

func one(r *rand.Rand, w World) Fault {
	kinds := Kinds[w]
	f := Fault{Kind: kinds[r.IntN(len(kinds))], A: r.IntN(w.Nodes())}
	f.B = (f.A + 1 + r.IntN(Members-1)) % Members
	if f.Kind == CutNodeEtcd {
		f.B = r.IntN(Members)
	}
	f.At = begin + part(r, 1500*time.Millisecond)
	f.For = 300*time.Millisecond + part(r, Length-f.At-300*time.Millisecond)
	if (f.Kind == FreezeNode || f.Kind == FreezeMost) && r.IntN(3) > 0 {
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
	case SlowNet, SlowPeers, SlowDisk, SlowAudit, SlowDisks, KillAgain, PowerAgain:
		f.Loss = 0
	case LossyNet, LossyPeers:
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
