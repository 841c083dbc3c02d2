package helper

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// Config of a Supervisor. All are needed, except where it says so.
type Config struct {
	Program string // path of strongkeep-pkcs11
	// Opening says which token and key; its PIN is read from PINFile at each start.
	Opening wire.Opening
	PINFile string
	// Environment of the child, whole, NAME=VALUE. Nil: empty.
	Environment []string
	// Timeout of a call. A call that has no answer after hungAfter of them has the child killed.
	Timeout time.Duration
	// StartTimeout is how long loading the module and logging in may take.
	StartTimeout time.Duration
	// Now tells the time.
	Now func() time.Time
}

const (
	// hungAfter so many timeouts without an answer a module hangs.
	hungAfter = 5
	// calls under way at once; the child has as many sessions.
	calls = wire.MaxCalls
	// firstRest and longestRest lie between two starts of which the first failed.
	firstRest   = 100 * time.Millisecond
	longestRest = 30 * time.Second
)

// Supervisor keeps one child. Its methods may be called concurrently; its end is Close.
type Supervisor struct {
	cfg   Config
	slots chan struct{} // one for each call that the child has not answered
	owned sync.WaitGroup
	life  context.Context // of starts; ended by Close
	stop  context.CancelFunc

	mu       sync.Mutex
	now      *child        // nil: none that works
	starting chan struct{} // closed when the start under way has ended; nil: none
	failures int           // starts and children that failed since one has answered
	notUntil time.Time     // when the next start may be
	last     error         // why there is no child
	refused  *[sha256.Size]byte
	salt     [16]byte
	closed   bool
}

// New makes a Supervisor, which starts nothing yet.
func New(cfg Config) *Supervisor {
	s := &Supervisor{cfg: cfg, slots: make(chan struct{}, calls)}
	s.life, s.stop = context.WithCancel(context.Background())
	_, _ = rand.Read(s.salt[:]) // never fails
	return s
}

// Call asks the child and returns the fields of its answer. A child that is lost
// meanwhile is started anew and asked once more: all requests may be repeated. Kinds: those
// of the child's answer; Unavailable if there is none in time; those of a start.
func (s *Supervisor) Call(ctx context.Context, kind wire.Kind, fields ...[]byte) ([][]byte, error) {
	answer, lost, err := s.once(ctx, kind, fields)
	if lost {
		answer, _, err = s.once(ctx, kind, fields)
	}
	return answer, err
}

// once reports whether the child that was asked is lost.
func (s *Supervisor) once(ctx context.Context, kind wire.Kind, fields [][]byte) (_ [][]byte, lost bool, _ error) {
	c, err := s.child(ctx)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout) // behind a start, which has its own
	defer cancel()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, false, errs.Newf(errs.Unavailable, "asking the PKCS#11 module: %d calls are under way: %w", calls, ctx.Err())
	}
	answer, err := c.ask(ctx, wire.Message{Kind: kind, Fields: fields}, func() { <-s.slots })
	if err != nil {
		return nil, s.judge(c, err), err
	}
	s.mu.Lock()
	s.failures = 0
	s.mu.Unlock()
	return answer.Fields, false, nil
}

// judge gives a child up that has said that it ends, or has ended.
func (s *Supervisor) judge(c *child, err error) bool {
	f, ok := failure(err)
	if !ok || !f.Lost {
		return false
	}
	c.end(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == c {
		s.now = nil
		s.rest(err)
	}
	return true
}

// rest sets when the next start may be: at once behind a child that has worked, else
// later each time. s.mu is held.
func (s *Supervisor) rest(err error) {
	s.last = err
	wait := time.Duration(0)
	if s.failures > 0 {
		wait = min(firstRest<<min(s.failures-1, 20), longestRest)
	}
	s.failures++
	s.notUntil = s.cfg.Now().Add(wait)
}

// child returns one that works, and starts it if there is none.
func (s *Supervisor) child(ctx context.Context) (*child, error) {
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return nil, errClosed()
	case s.now != nil && !s.now.ended():
		defer s.mu.Unlock()
		return s.now, nil
	case s.starting == nil:
		if s.now != nil {
			s.now = nil
			s.rest(errs.New(errs.Unavailable, "strongkeep-pkcs11 has ended"))
		}
		if rest := s.notUntil.Sub(s.cfg.Now()); rest > 0 {
			defer s.mu.Unlock()
			return nil, errs.Newf(errs.KindOf(s.last), "%w (tried again in %v)", s.last, rest.Round(100*time.Millisecond))
		}
		s.starting = make(chan struct{})
		s.owned.Go(s.start)
	}
	starting := s.starting
	s.mu.Unlock()
	select {
	case <-starting:
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "starting strongkeep-pkcs11: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errClosed()
	case s.now == nil:
		return nil, s.last
	}
	return s.now, nil
}

func errClosed() error { return errs.New(errs.Unavailable, "the PKCS#11 key was closed") }

// start makes a child that has its token open, or says in s.last why there is none. It
// is the only one at work.
func (s *Supervisor) start() {
	c, err := s.launch()
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.starting)
	s.starting = nil
	switch {
	case err != nil:
		s.failures = max(s.failures, 1) // a start that failed is not repeated at once
		s.rest(err)
	case s.closed:
		c.end(errClosed())
	default:
		s.now = c
	}
}

func (s *Supervisor) launch() (*child, error) {
	opening := s.cfg.Opening
	pin, err := credential.Read(s.cfg.PINFile)
	if err != nil {
		return nil, errs.Newf(unlessMissing(err), "pin_file: %w", err)
	}
	defer pin.Wipe()
	mark := s.mark(pin.Reveal())
	s.mu.Lock()
	known := s.refused != nil && *s.refused == mark
	s.mu.Unlock()
	if known {
		return nil, errs.Newf(errs.Denied, "the token has refused the PIN in %s, which is not tried again: a token locks itself after a few; write the right one there", s.cfg.PINFile)
	}
	opening.PIN = pin.Reveal()
	program, err := trusted("program", s.cfg.Program)
	if err != nil {
		return nil, err
	}
	if opening.Module, err = trusted("module", opening.Module); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.life, s.cfg.StartTimeout)
	defer cancel()
	c, err := s.spawn(ctx, program)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx, opening, s.cfg.StartTimeout); err != nil {
		c.end(err)
		if f, ok := failure(err); ok && f.PIN {
			s.mu.Lock()
			s.refused = &mark
			s.mu.Unlock()
		}
		return nil, errs.Newf(errs.KindOf(err), "opening the token: %w", err)
	}
	return c, nil
}

// mark tells a PIN from another without keeping it, or making a copy of it.
func (s *Supervisor) mark(pin []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	_, _ = h.Write(s.salt[:]) // never fails
	_, _ = h.Write(pin)
	h.Sum(sum[:0])
	return sum
}

// unlessMissing is the kind of a start's failure: a file that is not there is not a key
// that is not there.
func unlessMissing(err error) errs.Kind {
	if kind := errs.KindOf(err); kind != errs.NotExist {
		return kind
	}
	return errs.Unavailable
}

// Close ends the child and waits for its end. Calls under way are Unavailable.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	s.closed = true
	s.stop()
	if s.now != nil {
		s.now.end(errClosed())
	}
	s.mu.Unlock()
	s.owned.Wait()
	return nil
}

// PID is that of the child; 0 if there is none.
func (s *Supervisor) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return 0
	}
	return s.now.pid
}
