package check

import (
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/strongkeep/strongkeep/test/chaos/history"
)

type answer int

const (
	yes answer = iota
	no
	undecided
)

// register is a key: its newest version and what that has.
type register struct {
	version int
	value   string
}

// model of a key of KV version 2. A write whose outcome is not known may come at any time after
// its call, or, which is the same, after everything else.
var model = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		s, o := state.(register), input.(history.Op)
		switch {
		case o.Kind == history.Read:
			return s.version == o.Version && s.value == o.Value, s
		case o.CAS >= 0 && o.CAS != s.version:
			return o.Outcome == history.Unknown, s // refused, if it came to that
		case o.Outcome == history.OK && o.Version != s.version+1:
			return false, s
		}
		return true, register{s.version + 1, o.Value}
	},
}

// settled tells what became of a write whose outcome is not known, by the versions that anybody
// saw: the search for an order would try each such write at each place otherwise, which takes
// for ever with some thirty of them. Values are of one write each.
type settled struct {
	version map[string]int // of a value that was seen
	all     bool           // every version up to the highest was seen: what was not seen is not there
}

func settle(ops []history.Op) settled {
	s := settled{version: map[string]int{}}
	seen, highest := map[int]bool{}, 0
	for _, o := range ops {
		if o.Outcome == history.OK && o.Version > 0 && o.Value != "" {
			s.version[o.Value], seen[o.Version], highest = o.Version, true, max(highest, o.Version)
		}
	}
	s.all = len(seen) == highest
	return s
}

// become is a write of unknown outcome with what is known of it: OK with its version; Failed, if it
// never came, or behind all else; or as it was.
func (s settled) become(o history.Op) history.Op {
	if version, found := s.version[o.Value]; found {
		o.Outcome, o.Version = history.OK, version
	} else if s.all {
		o.Outcome = history.Failed
	}
	return o
}

// ordered says whether there is an order of the writes and the reads that must be
// linearizable that explains what was read. ops are of one key.
func ordered(ops []history.Op, limit time.Duration) answer {
	var all []porcupine.Operation
	known := settle(ops)
	for _, o := range ops {
		op := porcupine.Operation{ClientId: o.Client, Call: int64(o.Call), Return: int64(o.Return)}
		switch {
		case newest(o) && o.Indexed:
		case done(o, history.Write):
		case o.Kind == history.Write && o.Outcome == history.Unknown:
			if o = known.become(o); o.Outcome == history.Failed {
				continue
			}
			op.Return = math.MaxInt64
		default:
			continue // not done, or not promised
		}
		op.Input = o
		all = append(all, op)
	}
	switch porcupine.CheckOperationsTimeout(model, all, limit) {
	case porcupine.Ok:
		return yes
	case porcupine.Illegal:
		return no
	}
	return undecided
}
