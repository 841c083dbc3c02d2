package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Feed is what a program that goes on prints, item by item. It is read by one
// goroutine.
type Feed[T any] struct {
	name  string
	items chan Seen[T] // closed when the program has ended
	err   error        // why; read once items is closed
	stop  context.CancelFunc
}

// Seen is an item and when it was printed.
type Seen[T any] struct {
	Item T
	At   time.Time
}

// queue is how many items may wait for the reader; the program waits then.
const queue = 64

// Follow starts a program made by command; name is for errors. next reads one item from its
// standard output; it is called until it fails.
func Follow[T any](name string, command func(context.Context) *exec.Cmd, next func(io.Reader) func() (T, error)) (*Feed[T], error) {
	ctx, stop := context.WithCancel(context.Background())
	cmd := command(ctx)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("following %s: %w", name, err)
	}
	f := &Feed[T]{name: name, items: make(chan Seen[T], queue), stop: stop}
	go func() {
		defer close(f.items)
		read := next(stdout)
		for {
			item, err := read()
			if err != nil {
				stop()
				f.err = errors.Join(fmt.Errorf("following %s: %w", name, err), cmd.Wait(), said(&stderr))
				return
			}
			select {
			case f.items <- Seen[T]{item, time.Now()}:
			case <-ctx.Done():
			}
		}
	}()
	return f, nil
}

func said(stderr *bytes.Buffer) error {
	if text := strings.TrimSpace(stderr.String()); text != "" {
		return errors.New(text)
	}
	return nil
}

// Await returns the next item that matches; those before it are dropped. What is
// waited for is for errors.
func (f *Feed[T]) Await(ctx context.Context, what string, match func(T) bool) (Seen[T], error) {
	for {
		select {
		case s, ok := <-f.items:
			if !ok {
				return s, f.err
			}
			if match(s.Item) {
				return s, nil
			}
		case <-ctx.Done():
			return Seen[T]{}, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// Close ends the program and waits until it is gone. A nil Feed is closed.
func (f *Feed[T]) Close() {
	if f == nil {
		return
	}
	f.stop()
	for range f.items { // until its end
	}
}
