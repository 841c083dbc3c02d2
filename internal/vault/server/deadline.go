package server

import (
	"context"
	"sync"
	"time"
)

// limited is a context that ends with its parent or at a time, like that of
// context.WithDeadline, but makes its timer when somebody waits for its end: most
// requests are answered from memory and nobody does.
type limited struct {
	parent context.Context
	until  time.Time

	mu     sync.Mutex
	inner  context.Context // nil until Done is called
	cancel context.CancelFunc
	ended  bool
}

// limit returns a context that ends d from now. finish must be called in the end.
func limit(parent context.Context, d time.Duration) *limited {
	return &limited{parent: parent, until: time.Now().Add(d)}
}

// finish ends the context. An inner context exists from here on only if it did
// before: whoever asks later gets one that has ended.
func (l *limited) finish() {
	l.mu.Lock()
	l.ended = true
	cancel := l.cancel
	l.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// full returns the context with the timer, making it if need be.
func (l *limited) full() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		l.inner, l.cancel = context.WithDeadline(l.parent, l.until)
		if l.ended {
			l.cancel()
		}
	}
	return l.inner
}

// made returns the context with the timer, nil if there is none yet.
func (l *limited) made() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inner
}

// Deadline implements context.Context.
func (l *limited) Deadline() (time.Time, bool) {
	if until, ok := l.parent.Deadline(); ok && until.Before(l.until) {
		return until, true
	}
	return l.until, true
}

// Done implements context.Context.
func (l *limited) Done() <-chan struct{} { return l.full().Done() }

// Err implements context.Context. Once it has said that the context ended it
// says so for ever, and Done does too.
func (l *limited) Err() error {
	if inner := l.made(); inner != nil {
		return inner.Err()
	}
	l.mu.Lock()
	ended := l.ended
	l.mu.Unlock()
	if !ended && l.parent.Err() == nil && time.Now().Before(l.until) {
		return nil
	}
	return l.full().Err()
}

// Value implements context.Context. Package context finds its own contexts by a
// value: once there is an inner one it must be found, not the parent.
func (l *limited) Value(key any) any {
	if inner := l.made(); inner != nil {
		return inner.Value(key)
	}
	return l.parent.Value(key)
}
