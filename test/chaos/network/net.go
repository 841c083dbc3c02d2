package network

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Link is what happens to packets from one host to another. The zero Link delivers all at once.
type Link struct {
	Cut    bool
	Delay  time.Duration
	Jitter time.Duration // up to this much more, in order
	Loss   float64       // 0 to 1
}

// Net is the hosts and the wires between them. All methods are for any goroutine.
type Net struct {
	pumps sync.WaitGroup

	mu    sync.RWMutex
	hosts map[netip.Addr]*Host
	wires map[pair]*wire
	ended bool
}

type pair struct{ from, to netip.Addr }

// New makes a network without hosts.
func New() *Net { return &Net{hosts: map[netip.Addr]*Host{}, wires: map[pair]*wire{}} }

// Host adds a host at 10.77.0.number.
func (n *Net) Host(name string, number byte) (*Host, error) {
	h, err := newHost(name, netip.AddrFrom4([4]byte{10, 77, 0, number}))
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[h.Addr] = h
	n.pumps.Go(func() { n.pump(h) })
	return h, nil
}

// pump takes what a host sends, until the host is closed.
func (n *Net) pump(h *Host) {
	buf := make([]byte, mtu+64)
	for {
		size, err := h.tun.Read(buf)
		if err != nil {
			return
		}
		if from, to, ok := route(buf[:size]); ok {
			n.deliver(pair{from, to}, buf[:size])
		}
	}
}

func (n *Net) deliver(p pair, packet []byte) {
	n.mu.RLock()
	to, w := n.hosts[p.to], n.wires[p]
	n.mu.RUnlock()
	switch {
	case to == nil:
	case w == nil:
		_, _ = to.tun.Write(packet) // a full or closed device drops, as a wire does
	default:
		w.take(packet)
	}
}

// Set has packets from one host to another follow l, from now on. What was delayed on the
// wire before is lost.
func (n *Net) Set(from, to *Host, l Link) {
	p := pair{from.Addr, to.Addr}
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.wires[p]; old != nil {
		delete(n.wires, p)
		old.close()
	}
	if l != (Link{}) && !n.ended {
		n.wires[p] = newWire(l, to)
	}
}

// Heal has every packet delivered again.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p, w := range n.wires {
		delete(n.wires, p)
		w.close()
	}
}

// Close ends all hosts, and the processes on them that were started with Pdeathsig.
func (n *Net) Close() {
	n.Heal()
	n.mu.Lock()
	n.ended = true
	hosts := n.hosts
	n.hosts = map[netip.Addr]*Host{}
	n.mu.Unlock()
	for _, h := range hosts {
		h.close()
	}
	n.pumps.Wait()
}

// wire is a direction that does something to packets.
type wire struct {
	link  Link
	to    *Host
	queue chan parcel // bounded: a full wire drops
	stop  chan struct{}
	ended sync.WaitGroup
}

type parcel struct {
	due    time.Time
	packet []byte
}

const wireRoom = 2048 // packets under way

func newWire(l Link, to *Host) *wire {
	w := &wire{link: l, to: to, queue: make(chan parcel, wireRoom), stop: make(chan struct{})}
	w.ended.Go(w.run)
	return w
}

func (w *wire) take(packet []byte) {
	if w.link.Cut || rand.Float64() < w.link.Loss {
		return
	}
	due := time.Now().Add(w.link.Delay)
	if w.link.Jitter > 0 {
		due = due.Add(rand.N(w.link.Jitter))
	}
	select {
	case w.queue <- parcel{due, append([]byte(nil), packet...)}:
	default:
	}
}

func (w *wire) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			return
		case p := <-w.queue:
			timer.Reset(time.Until(p.due))
			select {
			case <-w.stop:
				return
			case <-timer.C:
			}
			_, _ = w.to.tun.Write(p.packet)
		}
	}
}

func (w *wire) close() {
	close(w.stop)
	w.ended.Wait()
}

// String describes a link for a log of faults.
func (l Link) String() string {
	if l.Cut {
		return "cut"
	}
	return fmt.Sprintf("delay %v+%v, loss %.0f %%", l.Delay, l.Jitter, 100*l.Loss)
}
