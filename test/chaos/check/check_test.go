package check_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/check"
	"github.com/strongkeep/strongkeep/test/chaos/history"
)

const ms = time.Millisecond

// at gives an operation its times, in milliseconds.
func at(call, back int, o history.Op) history.Op {
	o.Call, o.Return = time.Duration(call)*ms, time.Duration(back)*ms
	if o.Outcome == "" {
		o.Outcome = history.OK
	}
	return o
}

func wrote(node, version int, value string) history.Op {
	return history.Op{Kind: history.Write, Key: "k", Node: node, Version: version, Value: value, CAS: -1}
}

func read(node, version int, value string) history.Op {
	return history.Op{Kind: history.Read, Key: "k", Node: node, Version: version, Value: value}
}

func indexed(o history.Op) history.Op { o.Indexed = true; return o }

func final(o history.Op) history.Op { o.Final = true; return o }

func unknown(o history.Op) history.Op { o.Outcome = history.Unknown; return o }

func failed(o history.Op) history.Op { o.Outcome = history.Failed; return o }

func denied(o history.Op) history.Op { o.Outcome = history.Denied; return o }

func token(kind history.Kind, node int) history.Op {
	return history.Op{Kind: kind, Key: "t", Node: node}
}

func lease(kind history.Kind) history.Op { return history.Op{Kind: kind, Key: "l"} }

func status(sealed bool, start int) history.Op {
	return history.Op{Kind: history.Status, Sealed: sealed, Version: start}
}

// Histories that keep what is promised, in ways that a strict checker may take for faults.
var right = map[string][]history.Op{
	"another node is behind for a moment": {
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(40, 50, read(1, 1, "a")), at(60, 70, indexed(read(1, 2, "b"))),
	},
	"a write of unknown outcome comes late": {
		at(0, 10, wrote(0, 1, "a")), at(20, 30, unknown(wrote(0, 0, "b"))), at(40, 50, indexed(read(0, 1, "a"))), at(60, 70, indexed(read(1, 2, "b"))),
	},
	"a write of unknown outcome never comes": {
		at(0, 10, wrote(0, 1, "a")), at(20, 30, unknown(wrote(0, 0, "b"))), at(40, 50, wrote(0, 2, "c")),
	},
	"many of unknown outcome, of which half came": storm(),
	"a check-and-set of unknown outcome is refused": {
		at(0, 10, wrote(0, 1, "a")), at(20, 30, history.Op{Kind: history.Write, Key: "k", Value: "b", CAS: 0, Outcome: history.Unknown}), at(40, 50, indexed(read(0, 1, "a"))),
	},
	"two at once": {
		at(0, 100, wrote(0, 2, "a")), at(0, 100, wrote(1, 1, "b")), at(50, 150, indexed(read(2, 1, "b"))),
	},
	"every version at the end": {
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(40, 50, final(read(1, 1, "a"))), at(60, 70, final(indexed(read(1, 2, "b")))),
	},
	"a token within its second": {
		at(0, 10, token(history.Create, 0)), at(20, 30, token(history.Revoke, 1)), at(1029, 1100, token(history.Use, 2)), at(1200, 1300, denied(token(history.Use, 2))),
	},
	"a token that another node does not know yet": {
		at(0, 10, token(history.Create, 0)), at(20, 30, denied(token(history.Use, 1))),
	},
	"a node that opens, shows and is sealed by an operator": {
		at(0, 10, status(true, 1)), at(20, 30, wrote(0, 1, "a")), at(40, 50, read(0, 1, "a")),
		at(60, 70, history.Op{Kind: history.Seal, Version: 1}), at(80, 90, status(true, 1)),
	},
	"a node that opens, shows and starts sealed": {
		at(0, 10, status(true, 1)), at(20, 30, wrote(0, 1, "a")), at(40, 50, read(0, 1, "a")), at(80, 90, status(true, 2)),
	},
	"a lease that ends by itself": {
		at(0, 50, lease(history.Lease)), at(40, 40, lease(history.Made)), at(1996, 1996, lease(history.Ended)),
	},
	"a lease that is ended by a client who was told nothing": {
		at(0, 50, lease(history.Lease)), at(40, 40, lease(history.Made)), at(60, 90, unknown(lease(history.End))), at(80, 80, lease(history.Ended)),
	},
	"a lease that nobody was told of, made late": {
		at(0, 50, unknown(lease(history.Lease))), at(2000, 2000, lease(history.Ended)), at(5000, 5000, lease(history.Made)), at(5010, 5010, lease(history.Ended)),
	},
	"a lease that could not be given": {
		at(0, 50, unknown(lease(history.Lease))), at(40, 40, lease(history.Made)), at(45, 45, lease(history.Ended)),
	},
	"a lease whose account was never made": {at(0, 50, unknown(lease(history.Lease)))},
}

// storm has sixty writes at once whose outcome nobody was told; the versions of each second one
// are read at the end, each by itself.
func storm() []history.Op {
	var ops []history.Op
	for i := range 60 {
		ops = append(ops, at(i, 100, unknown(wrote(0, 0, fmt.Sprint("v", i)))))
	}
	for i := range 30 {
		ops = append(ops, at(200+10*i, 205+10*i, final(read(0, 30-i, fmt.Sprint("v", 2*i)))))
	}
	return append(ops, at(600, 610, final(indexed(read(1, 30, "v0")))))
}

func TestRight(t *testing.T) {
	for name, ops := range right {
		if r := check.History(ops, check.Config{}); len(r.Violations) > 0 || len(r.Undecided) > 0 {
			t.Errorf("%s: %v %v", name, r.Violations, r.Undecided)
		}
	}
}

// Histories that are wrong, and the promise that each breaks.
var wrong = map[string]struct {
	promise check.Promise
	ops     []history.Op
}{
	"a write is gone": {check.Linearizable, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, indexed(read(1, 0, ""))),
	}},
	"a write is overwritten without a trace": {check.Linearizable, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(1, 1, "b")),
	}},
	"a check-and-set that saw something else": {check.Linearizable, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, history.Op{Kind: history.Write, Key: "k", Version: 2, Value: "b", CAS: 0}),
	}},
	"a write that was done twice": {check.Linearizable, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 3, "b")),
	}},
	"a write of unknown outcome is seen, and gone": {check.Linearizable, []history.Op{
		at(0, 100, unknown(wrote(0, 0, "a"))), at(200, 210, indexed(read(0, 1, "a"))), at(220, 230, indexed(read(1, 0, ""))),
	}},
	"a write of unknown outcome is seen before it began": {check.Linearizable, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 3, "c")), at(40, 50, unknown(wrote(0, 0, "b"))), at(200, 210, final(read(0, 2, "b"))),
	}},
	"two readers see two orders": {check.Linearizable, []history.Op{
		at(0, 100, unknown(wrote(0, 0, "a"))), at(0, 100, unknown(wrote(1, 0, "b"))),
		at(200, 210, indexed(read(0, 1, "a"))), at(220, 230, indexed(read(1, 1, "b"))),
	}},
	"an acknowledged version has another value at the end": {check.Acknowledged, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(40, 50, final(read(1, 1, "x"))),
	}},
	"an acknowledged version is not there at the end": {check.Acknowledged, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(40, 50, final(read(1, 1, ""))),
	}},
	"a read behind its index": {check.Indexed, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(40, 50, indexed(read(1, 1, "a"))),
	}},
	"a read behind what another was shown": {check.Indexed, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 400, unknown(wrote(0, 0, "b"))), at(40, 50, read(1, 2, "b")), at(60, 70, indexed(read(2, 1, "a"))),
	}},
	"a node forgets its own write": {check.SameNode, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(40, 50, read(0, 1, "a")),
	}},
	"a node goes back in time": {check.SameNode, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(40, 50, read(1, 2, "b")), at(60, 70, read(1, 1, "a")),
	}},
	"a node shows the past for longer than a second": {check.Fresh, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, wrote(0, 2, "b")), at(1031, 1040, read(1, 1, "a")),
	}},
	"a value that nobody wrote": {check.Invented, []history.Op{
		at(0, 10, unknown(wrote(0, 0, "a"))), at(20, 30, read(0, 1, "x")),
	}},
	"a value that was refused": {check.Invented, []history.Op{
		at(0, 10, failed(wrote(0, 0, "a"))), at(20, 30, read(0, 1, "a")),
	}},
	"a version with two values": {check.Invented, []history.Op{
		at(0, 10, unknown(wrote(0, 0, "a"))), at(0, 10, unknown(wrote(0, 0, "b"))), at(20, 30, read(0, 1, "a")), at(20, 30, read(1, 1, "b")),
	}},
	"a token works on": {check.Revoked, []history.Op{
		at(0, 10, token(history.Create, 0)), at(20, 30, token(history.Revoke, 0)), at(1031, 1040, token(history.Use, 1)),
	}},
	"a token works behind the index of its revocation": {check.Revoked, []history.Op{
		at(0, 10, token(history.Create, 0)), at(20, 30, token(history.Revoke, 0)), at(40, 50, indexed(token(history.Use, 1))),
	}},
	"a living token is refused where it was made": {check.Alive, []history.Op{
		at(0, 10, token(history.Create, 0)), at(20, 30, denied(token(history.Use, 0))),
	}},
	"a living token is refused behind its index": {check.Alive, []history.Op{
		at(0, 10, token(history.Create, 0)), at(20, 30, denied(indexed(token(history.Use, 1)))), at(40, 50, token(history.Revoke, 1)),
	}},
	"a sealed node shows a secret": {check.SealedShut, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, status(true, 1)), at(40, 50, read(0, 1, "a")), at(60, 70, status(true, 1)),
	}},
	"a node that an operator sealed shows a secret": {check.SealedShut, []history.Op{
		at(0, 10, wrote(0, 1, "a")), at(20, 30, history.Op{Kind: history.Seal, Version: 1}), at(40, 50, read(0, 1, "a")), at(60, 70, status(true, 1)),
	}},
	"a lease that never ends": {check.LeaseOver, []history.Op{
		at(0, 50, lease(history.Lease)), at(40, 40, lease(history.Made)),
	}},
	"an account that is made when its lease is over": {check.LeaseOver, []history.Op{
		at(0, 50, unknown(lease(history.Lease))), at(2000, 2000, lease(history.Ended)), at(5000, 5000, lease(history.Made)),
	}},
	"an end that is told and has not come": {check.LeaseOver, []history.Op{
		at(0, 50, lease(history.Lease)), at(40, 40, lease(history.Made)), at(60, 90, lease(history.End)), at(100, 100, lease(history.Ended)),
	}},
	"a lease that ends too early": {check.LeaseHeld, []history.Op{
		at(0, 50, lease(history.Lease)), at(40, 40, lease(history.Made)), at(1900, 1900, lease(history.Ended)),
	}},
	"a lease that is told and stands for nothing": {check.LeaseHeld, []history.Op{at(0, 50, lease(history.Lease))}},
}

func TestWrong(t *testing.T) {
	for name, c := range wrong {
		r := check.History(c.ops, check.Config{})
		if !slices.ContainsFunc(r.Violations, func(v check.Violation) bool { return v.Promise == c.promise }) {
			t.Errorf("%s: not found; only %v", name, r.Violations)
		}
	}
}

// Where nodes never came back, leases are not over.
func TestCut(t *testing.T) {
	if r := check.History(wrong["a lease that never ends"].ops, check.Config{Cut: true}); len(r.Violations) > 0 {
		t.Error(r.Violations)
	}
}

// What this machine was late by is no fault of a node's.
func TestStall(t *testing.T) {
	ops := wrong["a token works on"].ops
	late := check.Config{Stall: func(from, to time.Duration) time.Duration {
		if from != 30*ms || to != 1031*ms {
			t.Errorf("asked for %v to %v", from, to)
		}
		return 2 * ms
	}}
	if r := check.History(ops, late); len(r.Violations) > 0 {
		t.Error(r.Violations)
	}
}

func TestTurns(t *testing.T) {
	good := []check.Turn{{N: 1, By: "a"}, {N: 2, By: "a"}, {N: 4, By: "b"}}
	if v := check.Turns(good); len(v) > 0 {
		t.Error(v)
	}
	for _, bad := range []check.Turn{{N: 2, By: "b"}, {N: 2, By: "a"}} {
		if v := check.Turns(append(good, bad)); len(v) != 1 || v[0].Promise != check.OneLeader {
			t.Errorf("turn 2 twice, by %s: %v", bad.By, v)
		}
	}
}
