package world

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/network"
	"github.com/strongkeep/strongkeep/test/chaos/schedule"
)

// Begin has a fault happen, and returns what ends it; what comes again ends with ctx, too. Both are for one
// goroutine, and wait for no more than the end or start of programs.
func (w *World) Begin(ctx context.Context, f schedule.Fault) (end func() error, err error) {
	effect, ok := effects[f.Kind]
	if !ok {
		return nil, fmt.Errorf("a fault that this world does not know: %q", f.Kind)
	}
	w.acting.Lock()
	defer w.acting.Unlock()
	undo, err := effect(ctx, w, f)
	return func() error {
		w.acting.Lock()
		defer w.acting.Unlock()
		return undo()
	}, err
}

// Heal has everything run, and be connected, as if it never were otherwise. It is for the end of a
// schedule: what faults that overlap left behind.
func (w *World) Heal() error {
	w.net.Heal()
	var all []error
	for _, m := range w.all() {
		m.Disk.Full(false)
		m.Disk.Slow(0)
		all = append(all, m.Process.Thaw(), m.Process.Run())
	}
	return errors.Join(all...)
}

type effect func(ctx context.Context, w *World, f schedule.Fault) (func() error, error)

var effects = map[schedule.Kind]effect{
	schedule.KillNode:      killing(node),
	schedule.KillNodes:     killing(nodes),
	schedule.KillEtcd:      killing(member),
	schedule.KillEtcds:     killing(members),
	schedule.PowerEtcd:     cuttingPower(member),
	schedule.PowerEtcds:    cuttingPower(members),
	schedule.PowerNode:     cuttingPower(node),
	schedule.FreezeNode:    freezing(node),
	schedule.FreezeEtcd:    freezing(member),
	schedule.CutNodeEtcd:   linking(node, memberB, cut, both),
	schedule.CutNode:       linking(node, members, cut, both),
	schedule.CutNodeOneWay: linking(members, node, cut, there),
	schedule.CutEtcdOneWay: linking(node, members, cut, there),
	schedule.CutClients:    linking(node, clients, cut, both),
	schedule.CutPair:       linking(member, memberB, cut, both),
	schedule.CutMember:     linking(member, otherMembers, cut, both),
	schedule.CutSite:       cutSite,
	schedule.CutLonely:     linking(member, otherMembers, cut, there),
	schedule.SlowNet:       linking(node, members, slow, both),
	schedule.LossyNet:      linking(node, members, slow, both),
	schedule.SlowClients:   linking(node, clients, slow, both),
	schedule.SlowDisk:      slowing(member),
	schedule.SlowAudit:     slowing(node),
	schedule.FullDisk:      filling(member),
	schedule.FullAudit:     filling(node),
	schedule.Skew:          skew,
	schedule.LostKMS:       loseKMS,
	schedule.SealNode:      seal,
	schedule.StepDown:      stepDown,

	schedule.KillMost:       killing(others),
	schedule.FreezeMost:     freezing(others),
	schedule.PowerNodes:     cuttingPower(nodes),
	schedule.StopNode:       stopping,
	schedule.LoseDisk:       loseDisk,
	schedule.PartPair:       linking(node, nodeB, cut, both),
	schedule.PartPairOneWay: linking(node, nodeB, cut, there),
	schedule.PartNode:       linking(node, others, cut, both),
	schedule.PartDeaf:       linking(others, node, cut, there),
	schedule.PartMute:       linking(node, others, cut, there),
	schedule.PartAll:        linking(nodes, nodes, cut, there),
	schedule.PartSite:       linking(node, allElse, cut, both),
	schedule.MuteClients:    linking(node, clients, cut, there),
	schedule.SlowPeers:      linking(node, others, slow, both),
	schedule.LossyPeers:     linking(node, others, slow, both),
	schedule.FullDisks:      filling(nodes),
	schedule.SlowDisks:      slowing(nodes),

	schedule.KillAgain:  again(func(m *Machine, _ *rand.Rand) error { return kill(m) }),
	schedule.PowerAgain: again(cutPower),
}

// Which machines a fault is about.
type which func(w *World, f schedule.Fault) []*Machine

func node(w *World, f schedule.Fault) []*Machine    { return w.Nodes[f.A : f.A+1] }
func nodeB(w *World, f schedule.Fault) []*Machine   { return w.Nodes[f.B : f.B+1] }
func nodes(w *World, _ schedule.Fault) []*Machine   { return w.Nodes }
func others(w *World, f schedule.Fault) []*Machine  { return but(w.Nodes, f.A) }
func member(w *World, f schedule.Fault) []*Machine  { return w.Members[f.A : f.A+1] }
func memberB(w *World, f schedule.Fault) []*Machine { return w.Members[f.B : f.B+1] }
func members(w *World, _ schedule.Fault) []*Machine { return w.Members[:] }
func clients(w *World, _ schedule.Fault) []*Machine { return []*Machine{{Host: w.Clients}} }

func otherMembers(w *World, f schedule.Fault) []*Machine { return but(w.Members[:], f.A) }

func allElse(w *World, f schedule.Fault) []*Machine {
	return append(append(others(w, f), w.KMS), clients(w, f)...)
}

func but(all []*Machine, i int) []*Machine { return slices.Delete(slices.Clone(all), i, i+1) }

// each does something to all machines.
func each(all []*Machine, do func(*Machine) error) error {
	var failed []error
	for _, m := range all {
		failed = append(failed, do(m))
	}
	return errors.Join(failed...)
}

func kill(m *Machine) error   { m.Process.Kill(); return nil }
func run(m *Machine) error    { return m.Process.Run() }
func freeze(m *Machine) error { return m.Process.Freeze() }
func thaw(m *Machine) error   { return m.Process.Thaw() }

func killing(of which) effect {
	return func(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
		all := of(w, f)
		return func() error { return each(all, run) }, each(all, kill)
	}
}

func freezing(of which) effect {
	return func(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
		all := of(w, f)
		return func() error { return each(all, thaw) }, each(all, freeze)
	}
}

// cuttingPower ends the programs, and what they did not sync is lost.
func cuttingPower(of which) effect {
	return func(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
		all, r := of(w, f), random(f)
		return func() error { return each(all, run) }, each(all, func(m *Machine) error { return cutPower(m, r) })
	}
}

// random decides what a power cut leaves of what was not synced.
func random(f schedule.Fault) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(f.At), uint64(f.For)))
}

func cutPower(m *Machine, r *rand.Rand) error {
	m.Process.Kill()
	_, err := m.Disk.Lose(r)
	return err
}

// again ends a node, and each that is started for it when that had f.Delay to read what it found.
func again(end func(*Machine, *rand.Rand) error) effect {
	return func(ctx context.Context, w *World, f schedule.Fault) (func() error, error) {
		m, r, over := w.Nodes[f.A], random(f), false
		once := func() error { return errors.Join(end(m, r), run(m)) }
		failed := once()
		var next func()
		next = func() {
			w.acting.Lock()
			defer w.acting.Unlock()
			if !over && failed == nil && ctx.Err() == nil {
				failed = once()
				time.AfterFunc(f.Delay, next)
			}
		}
		time.AfterFunc(f.Delay, next)
		return func() error { over = true; return failed }, failed
	}
}

func cut(schedule.Fault) network.Link { return network.Link{Cut: true} }

func slow(f schedule.Fault) network.Link {
	return network.Link{Delay: f.Delay / 2, Jitter: f.Delay / 2, Loss: f.Loss}
}

const (
	there = false
	both  = true
)

// linking sets the links from each of some to each of others, and back.
func linking(from, to which, link func(schedule.Fault) network.Link, both bool) effect {
	return func(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
		set := func(l network.Link) {
			for _, a := range from(w, f) {
				for _, b := range to(w, f) {
					w.net.Set(a.Host, b.Host, l)
					if both {
						w.net.Set(b.Host, a.Host, l)
					}
				}
			}
		}
		set(link(f))
		return func() error { set(network.Link{}); return nil }, nil
	}
}

// cutSite parts a node and the member beside it from all others of both kinds.
func cutSite(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
	set := func(l network.Link) {
		for _, pair := range [][2][]*Machine{
			{node(w, f), otherMembers(w, f)},
			{member(w, f), append(otherMembers(w, f), w.Nodes[(f.A+1)%len(w.Nodes)], w.Nodes[(f.A+2)%len(w.Nodes)])},
		} {
			for _, other := range pair[1] {
				w.net.Set(pair[0][0].Host, other.Host, l)
				w.net.Set(other.Host, pair[0][0].Host, l)
			}
		}
	}
	set(network.Link{Cut: true})
	return func() error { set(network.Link{}); return nil }, nil
}

func slowing(of which) effect {
	return func(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
		all := of(w, f)
		set := func(by time.Duration) error {
			return each(all, func(m *Machine) error { m.Disk.Slow(by); return nil })
		}
		return func() error { return set(0) }, set(f.Delay)
	}
}

func filling(of which) effect {
	return func(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
		all := of(w, f)
		set := func(full bool) error {
			return each(all, func(m *Machine) error { m.Disk.Full(full); return nil })
		}
		return func() error { return set(false) }, set(true)
	}
}

// skew starts a node anew with a clock that is wrong, and at the end with one that is right.
func skew(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
	m := w.Nodes[f.A]
	again := func(offset time.Duration) error {
		m.skew.Store(int64(offset))
		m.Process.Kill()
		return m.Process.Run()
	}
	return func() error { return again(0) }, again(f.Offset)
}

// loseKMS starts a node anew while the vault that keeps its key cannot be reached.
func loseKMS(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
	m := w.Nodes[f.A]
	set := func(l network.Link) {
		w.net.Set(m.Host, w.KMS.Host, l)
		w.net.Set(w.KMS.Host, m.Host, l)
	}
	set(network.Link{Cut: true})
	m.Process.Kill()
	return func() error { set(network.Link{}); return nil }, m.Process.Run()
}

// seal has an operator seal a node, and at the end start it anew.
func seal(ctx context.Context, w *World, f schedule.Fault) (func() error, error) {
	m := w.Nodes[f.A]
	go w.Seal(ctx, f.A)
	return func() error { m.Process.Kill(); return m.Process.Run() }, nil
}

func stepDown(ctx context.Context, w *World, f schedule.Fault) (func() error, error) {
	go func() { _, _ = w.ask(ctx, w.Nodes[f.A], "sys/step-down") }()
	return func() error { return nil }, nil
}

// ask sends a node a request; it may be down.
func (w *World) ask(ctx context.Context, m *Machine, path string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	a := w.API(m)
	defer a.HTTP.CloseIdleConnections()
	return a.Do(ctx, http.MethodPut, path, nil)
}
