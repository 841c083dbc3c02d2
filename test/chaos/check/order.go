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

// ordered says whether there is an order of the writes and the reads that must be
// linearizable that explains what was read. ops are of one key.
func ordered(ops []history.Op, limit time.Duration) answer {
	var all []porcupine.Operation
	for _, o := range ops {
		op := porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: int64(o.Return)}
		switch {
		case o.Kind == history.Read && newest(o) && o.Indexed:
		case o.Kind == history.Write && o.Outcome == history.OK:
		case o.Kind == history.Write && o.Outcome == history.Unknown:
			op.Return = math.MaxInt64
		default:
			continue // not done, or not promised
		}
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
