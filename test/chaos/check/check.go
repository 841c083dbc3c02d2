package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/history"
)

// Promise is what was broken.
type Promise string

// What is promised.
const (
	Linearizable Promise = "reads with an index and writes of a key have one order"
	Acknowledged Promise = "an acknowledged write is there"
	Indexed      Promise = "a read that brings an index sees what the index stands for"
	SameNode     Promise = "a node does not go back in time"
	Fresh        Promise = "no node shows what is older than a second"
	Invented     Promise = "what is read was written, and under that version"
	Revoked      Promise = "a revoked token is refused everywhere after a second"
	Alive        Promise = "a token that was not revoked is not refused behind its index"
	SealedShut   Promise = "a sealed node shows no secret"
	LeaseHeld    Promise = "what an acknowledged lease stands for is there until the lease ends"
	LeaseOver    Promise = "what a lease stands for is gone when the lease has ended"
	OneLeader    Promise = "background work is done by one node at a time"
	Recovered    Promise = "all nodes answer again after the faults, without a human"
)

// Violation is a promise that was broken, and by what.
type Violation struct {
	Promise Promise
	Ops     []history.Op // that show it
	Detail  string
}

func (v Violation) String() string {
	s := string(v.Promise) + ": broken: " + v.Detail
	for _, o := range v.Ops {
		s += "\n    " + o.String()
	}
	return s
}

// Grace is how long a node may show the past: what is promised is a second.
const Grace = time.Second

// Config of what is looked at.
type Config struct {
	// Stall is by how much the machine was late between two times.
	Stall func(from, to time.Duration) time.Duration
	// Cut says that leases had no time to end.
	Cut bool
	// Limit of the search for an order. Default one minute.
	Limit time.Duration
}

// Report is what History found.
type Report struct {
	Violations []Violation
	Undecided  []string // keys for which the search for an order took too long
}

// History looks for all that must not be.
func History(ops []history.Op, cfg Config) Report {
	if cfg.Stall == nil {
		cfg.Stall = func(_, _ time.Duration) time.Duration { return 0 }
	}
	cfg.Limit = cmp.Or(cfg.Limit, time.Minute)
	var r Report
	for key, of := range byKey(ops, history.Read, history.Write) {
		switch ordered(of, cfg.Limit) {
		case no:
			r.Violations = append(r.Violations, Violation{Linearizable, of, "no order of these explains what was read of " + key})
		case undecided:
			r.Undecided = append(r.Undecided, key)
		}
		for _, look := range []func([]history.Op, Config) []Violation{lost, behindIndex, backwards, stale, invented} {
			r.Violations = append(r.Violations, look(of, cfg)...)
		}
	}
	for _, of := range byKey(ops, history.Create, history.Use, history.Revoke) {
		r.Violations = append(r.Violations, tokens(of, cfg)...)
	}
	for _, of := range byKey(ops, history.Lease, history.End, history.Made, history.Ended) {
		r.Violations = append(r.Violations, leases(of, cfg)...)
	}
	r.Violations = append(r.Violations, sealed(ops)...)
	return r
}

// byKey groups operations of some kinds, each group in order of the calls.
func byKey(ops []history.Op, kinds ...history.Kind) map[string][]history.Op {
	all := map[string][]history.Op{}
	for _, o := range ops {
		if slices.Contains(kinds, o.Kind) {
			all[o.Key] = append(all[o.Key], o)
		}
	}
	return all
}

func done(o history.Op, kind history.Kind) bool { return o.Kind == kind && o.Outcome == history.OK }

// newest are the reads of the newest version.
func newest(o history.Op) bool {
	return done(o, history.Read) && !(o.Final && o.Version > 0 && !o.Indexed)
}

// lost finds acknowledged writes that are not there at the end: reads that are Final name the
// version they want.
func lost(ops []history.Op, _ Config) []Violation {
	var found []Violation
	for _, w := range ops {
		if !done(w, history.Write) {
			continue
		}
		for _, r := range ops {
			if r.Kind == history.Read && r.Final && !r.Indexed && r.Version == w.Version && r.Outcome == history.OK && r.Value != w.Value {
				found = append(found, Violation{Acknowledged, []history.Op{w, r}, fmt.Sprintf("version %d has %q", r.Version, r.Value)})
			}
		}
	}
	return found
}

// behindIndex finds reads with an index that do not see what was acknowledged, or shown, before.
func behindIndex(ops []history.Op, _ Config) []Violation {
	return older(ops, Indexed, func(before, read history.Op) bool {
		return read.Indexed && before.Return < read.Call
	})
}

// backwards finds reads that are older than what the same node wrote or showed before.
func backwards(ops []history.Op, _ Config) []Violation {
	return older(ops, SameNode, func(before, read history.Op) bool {
		return before.Node == read.Node && before.Return < read.Call
	})
}

// stale finds reads that are older than what was acknowledged anywhere a second before.
func stale(ops []history.Op, cfg Config) []Violation {
	return older(ops, Fresh, func(before, read history.Op) bool {
		return before.Return+Grace < read.Call && before.Return+Grace+cfg.Stall(before.Return, read.Call) < read.Call
	})
}

// older finds the first read that must see another operation, and is older.
func older(ops []history.Op, p Promise, must func(before, read history.Op) bool) []Violation {
	for _, r := range ops {
		if !newest(r) {
			continue
		}
		for _, b := range ops {
			if (done(b, history.Write) || newest(b)) && b.Version > r.Version && must(b, r) {
				return []Violation{{p, []history.Op{b, r}, fmt.Sprintf("version %d was there, version %d is shown", b.Version, r.Version)}}
			}
		}
	}
	return nil
}

// invented finds versions that have two values, and values that nobody wrote, or that were
// said not to be written.
func invented(ops []history.Op, _ Config) []Violation {
	var found []Violation
	written, of := map[string]history.Op{}, map[int]history.Op{}
	for _, o := range ops {
		if o.Kind == history.Write {
			written[o.Value] = o
		}
	}
	for _, o := range ops {
		if o.Outcome != history.OK || o.Version == 0 || o.Value == "" {
			continue
		}
		if w, ok := written[o.Value]; !ok || w.Outcome == history.Failed || w.Call > o.Return {
			found = append(found, Violation{Invented, []history.Op{w, o}, "the value was not written before, or was refused"})
		}
		if other, ok := of[o.Version]; ok && other.Value != o.Value {
			found = append(found, Violation{Invented, []history.Op{other, o}, fmt.Sprintf("version %d has two values", o.Version)})
		}
		of[o.Version] = o
	}
	return found
}

// Turn is one piece of background work that a node says it committed.
type Turn struct {
	N    int
	By   string // the process
	Node string
}

// Turns finds turns that were taken twice.
func Turns(all []Turn) []Violation {
	var found []Violation
	by := map[int]Turn{}
	for _, t := range all {
		if other, ok := by[t.N]; ok {
			found = append(found, Violation{Promise: OneLeader, Detail: fmt.Sprintf("turn %d was committed by %s and %s", t.N, other.Node, t.Node)})
		}
		by[t.N] = t
	}
	return found
}
