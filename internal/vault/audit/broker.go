package audit

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config is what a Broker needs.
type Config struct {
	Types map[string]Factory // device types by name; required for Enable
	// QueueBytes is how many bytes may wait in each device's queue; 0 = 16 MiB.
	// A full queue refuses lines at once instead of blocking: it means the
	// device hangs, and requests that pile up behind it would only hide that.
	QueueBytes int
	Log        *slog.Logger     // nil = slog.Default
	Now        func() time.Time // stamps test lines; nil = time.Now
}

// Broker sends every line to every enabled device. Its methods are safe for
// concurrent use.
type Broker struct {
	types map[string]Factory
	limit int
	log   *slog.Logger
	now   func() time.Time
	sinks atomic.Pointer[[]*sink] // never changed, only replaced

	mu     sync.Mutex // serialises Enable, Restore, Disable, Close; Append never takes it
	closed bool
}

// NewBroker returns a Broker without devices.
func NewBroker(cfg Config) *Broker {
	b := &Broker{types: maps.Clone(cfg.Types), limit: cfg.QueueBytes, log: cfg.Log, now: cfg.Now}
	if b.limit == 0 {
		b.limit = 16 << 20
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.sinks.Store(new([]*sink))
	return b
}

// Append puts e's line into the queue of every device and returns without
// waiting; Ticket.Wait waits. The line is made on the caller's goroutine, so
// only writing is serial. Lines are written in the order of their Appends; a
// line nobody waits for is written within 50 ms, or with the next that somebody
// waits for.
//
// after is the ticket of a line this one must not stand without; the zero
// Ticket if there is none. Waiting for the returned ticket then waits for both:
// if the earlier line is lost, this one is refused too, whether it was queued
// before the loss or comes after it, when the device works again. So a request
// that changes nothing need not wait for its request line, only for its
// response line.
//
// With no device enabled, lines go nowhere and Wait succeeds.
func (b *Broker) Append(e *Entry, after Ticket) Ticket {
	if after.err != nil {
		return after
	}
	var t Ticket
	sinks := *b.sinks.Load()
	passed := b.appendTo(&t, sinks, nil, e, &after)
	// A device that was disabled just now may have been replaced just now: the
	// line must not fall between the two.
	for passed {
		before := sinks
		sinks = *b.sinks.Load()
		passed = b.appendTo(&t, sinks, before, e, &after)
	}
	b.inherit(&t, &after, sinks)
	return t
}

// appendTo appends e to those of sinks that are not in already. It reports
// whether one of them had been disabled meanwhile.
func (b *Broker) appendTo(t *Ticket, sinks, already []*sink, e *Entry, after *Ticket) (passed bool) {
	for _, s := range sinks {
		if slices.Contains(already, s) {
			continue
		}
		g, err := s.append(e, after.of(s))
		switch {
		case err != nil:
			t.err = err
		case g != nil:
			t.add(g)
		case s.required:
			passed = true
		}
	}
	return passed
}

// publish gives every best-effort device but the one called from a line of
// that device's own.
func (b *Broker) publish(from string, line []byte) {
	for _, s := range *b.sinks.Load() {
		if s.name == from || s.required {
			continue
		}
		full := append([]byte(s.encoder.format.Prefix), line...)
		_, _ = s.add(full, nil) // a best-effort device refuses nothing
	}
}

// Proof returns the last checkpoint of the device at path. Kinds: NotExist if
// there is no such device, Unsupported if its lines are not chained.
func (b *Broker) Proof(path string) (Proof, error) {
	sinks := *b.sinks.Load()
	i := slices.IndexFunc(sinks, named(path))
	if i < 0 {
		return Proof{}, notExist(path)
	}
	p, ok := sinks[i].dev.(Prover)
	if !ok {
		return Proof{}, errs.Newf(errs.Unsupported, "the lines of audit device %s are not chained; those of file devices are", sinks[i].name)
	}
	return p.Proof(), nil
}

// inherit has t wait for what after waits for on devices that are gone.
func (b *Broker) inherit(t, after *Ticket, sinks []*sink) {
	if after.first == nil {
		return
	}
	if !slices.Contains(sinks, after.first.sink) {
		t.add(after.first)
	}
	for _, g := range after.more {
		if !slices.Contains(sinks, g.sink) {
			t.add(g)
		}
	}
}

// append makes and queues the line of e.
func (s *sink) append(e *Entry, after *group) (*group, error) {
	st := s.encoder.Get()
	defer s.encoder.Put(st)
	return s.add(s.encoder.line(st, e), after)
}

// Enable adds a device after writing a test line to it. Errors: Invalid for
// options, or a file, that cannot be right, Exist if the path or the target is in use,
// Unavailable with the reason if the device cannot be written; nothing is
// enabled then.
func (b *Broker) Enable(spec Spec) error {
	return b.enable(spec, true)
}

// Probe tries whether s could be enabled, by writing the test line that Enable
// writes, and lets go of the device again. Kinds are those of Enable.
func (b *Broker) Probe(spec Spec) error {
	s, err := b.build(spec)
	if err != nil {
		return err
	}
	if err := s.clash(*b.sinks.Load()); err != nil {
		return err
	}
	if err := b.probe(s); err != nil {
		return err
	}
	return s.dev.Close()
}

// Restore is Enable for a device that was enabled before, at unseal: one that
// cannot be written is enabled all the same, and refuses requests until it can.
func (b *Broker) Restore(spec Spec) error {
	return b.enable(spec, false)
}

func (b *Broker) enable(spec Spec, probe bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errs.New(errs.Sealed, "the audit log is closed")
	}
	s, err := b.build(spec)
	if err != nil {
		return err
	}
	sinks := *b.sinks.Load()
	if err := s.clash(sinks); err != nil {
		return err
	}
	if probe {
		if err := b.probe(s); err != nil {
			return err
		}
		s.enabled = b.now() // not before: what was answered meanwhile has no line of it
	}
	s.start()
	next := append(slices.Clone(sinks), s)
	b.sinks.Store(&next)
	return nil
}

// clash returns Exist if one of the enabled devices has the path or the target of s.
func (s *sink) clash(enabled []*sink) error {
	for _, other := range enabled {
		switch {
		case other.name == s.name:
			return errs.Newf(errs.Exist, "path already in use: the audit device %s exists", s.name)
		case other.dev.Target() == s.dev.Target():
			return errs.Newf(errs.Exist, "%s is written by the audit device %s already", s.dev.Target(), other.name)
		}
	}
	return nil
}

// probe writes a test line to a sink that is not yet started.
func (b *Broker) probe(s *sink) error {
	st := s.encoder.Get()
	defer s.encoder.Put(st)
	line := s.encoder.line(st, &Entry{
		Type: TypeRequest, Time: b.now(),
		Request: &Request{Operation: "update", Path: "sys/audit/test", Namespace: Namespace{ID: "root"}},
	})
	err := s.dev.Write(line)
	if err == nil {
		return nil
	}
	_ = s.dev.Close() // nothing of it is needed any more
	if errs.Is(err, errs.Invalid) {
		return err
	}
	return errs.Newf(errs.Unavailable, "%s cannot be enabled, a test line was refused: %w", s.describe(), err)
}

// Disable writes what is queued for the device, removes and closes it. NotExist
// if there is none at path.
func (b *Broker) Disable(path string) error {
	s := b.remove(path)
	if s == nil {
		return notExist(path)
	}
	return s.close(true) // not under b.mu: a device that hangs must not keep others from being enabled
}

// remove takes the device at path out of the list; nil if there is none.
func (b *Broker) remove(path string) *sink {
	b.mu.Lock()
	defer b.mu.Unlock()
	sinks := *b.sinks.Load()
	i := slices.IndexFunc(sinks, named(path))
	if i < 0 {
		return nil
	}
	next := slices.Delete(slices.Clone(sinks), i, i+1)
	b.sinks.Store(&next)
	return sinks[i]
}

// Hash returns what stands in the log of the device at path in place of value,
// for sys/audit-hash: "hmac-sha256:" and 64 hexadecimal digits. NotExist if
// there is no such device.
func (b *Broker) Hash(path, value string) (string, error) {
	sinks := *b.sinks.Load()
	i := slices.IndexFunc(sinks, named(path))
	if i < 0 {
		return "", notExist(path)
	}
	return sinks[i].encoder.Hash(value), nil
}

// Reload has every device reopen what it writes to and waits for those that
// are required. Devices
// notice a file that was moved or deleted by themselves; this is for prompt
// release of the old one (SIGHUP).
func (b *Broker) Reload(ctx context.Context) error {
	var all []error
	for _, s := range *b.sinks.Load() {
		if !s.required {
			s.reloadFree()
			continue
		}
		g, err := s.reload()
		if err == nil {
			err = g.wait(ctx)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Stats returns every device's counters, in the order they were enabled.
func (b *Broker) Stats() []Stats {
	var out []Stats
	for _, s := range *b.sinks.Load() {
		out = append(out, s.snapshot())
	}
	return out
}

// Close writes what is queued, and ends and closes every device. Lines that
// come later are refused on the devices there were.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	var all []error
	for _, s := range *b.sinks.Load() {
		all = append(all, s.close(false))
	}
	return errors.Join(all...)
}

func named(path string) func(*sink) bool {
	name := strings.TrimSuffix(path, "/") + "/"
	return func(s *sink) bool { return s.name == name }
}

func notExist(path string) error {
	return errs.Newf(errs.NotExist, "there is no audit device at %q; sys/audit lists them", path)
}

func (b *Broker) typeNames() []string { return slices.Sorted(maps.Keys(b.types)) }
