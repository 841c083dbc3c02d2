package main

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

// feed is what a program that goes on prints, item by item. It is read by one
// goroutine.
type feed[T any] struct {
	name  string
	items chan seen[T] // closed when the program has ended
	err   error        // why; read once items is closed
	stop  context.CancelFunc
}

// seen is an item and when it was printed.
type seen[T any] struct {
	item T
	at   time.Time
}

// feedQueue is how many items may wait for the reader; the program waits then.
const feedQueue = 64

// follow starts a program made by command. next reads one item from its
// standard output; it is called until it fails.
func follow[T any](name string, command func(context.Context) *exec.Cmd, next func(io.Reader) func() (T, error)) (*feed[T], error) {
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
	f := &feed[T]{name: name, items: make(chan seen[T], feedQueue), stop: stop}
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
			case f.items <- seen[T]{item, time.Now()}:
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

// await returns the next item that matches.
func (f *feed[T]) await(ctx context.Context, what string, match func(T) bool) (seen[T], error) {
	for {
		select {
		case s, ok := <-f.items:
			if !ok {
				return s, f.err
			}
			if match(s.item) {
				return s, nil
			}
		case <-ctx.Done():
			return seen[T]{}, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// close ends the program and waits until it is gone. A nil feed is closed.
func (f *feed[T]) close() {
	if f == nil {
		return
	}
	f.stop()
	for range f.items { // until its end
	}
}
