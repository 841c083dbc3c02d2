package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// turns is an engine whose background work two nodes must not do at once, in the way that shows it:
// for as long as it leads, the worker takes one turn after the other, by a number that it keeps in
// memory, and writes without looking. Each turn that was committed it says on its output; one
// number taken twice is a leader that went on when it was none (check.Turns).
type turns struct {
	cfg  engine.Config
	self string // of this process
	out  io.Writer
}

func newTurns(out io.Writer) engine.Factory {
	return func(cfg engine.Config) (engine.Engine, error) {
		return &turns{cfg: cfg, self: rand.Text()[:8], out: out}, nil
	}
}

const turnPause = 100 * time.Millisecond

// Work implements engine.Worker. It returns when this node leads no more.
func (t *turns) Work(ctx context.Context) (time.Time, error) {
	var last int
	err := t.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) error {
		e, err := tx.Get(ctx, "last")
		if err != nil {
			return err
		}
		last, _ = strconv.Atoi(string(e.Value)) // no entry: none was taken
		tx.Put("found", []byte(t.self))         // so that the commit proves what was read
		return nil
	})
	for ; err == nil; last++ {
		err = t.cfg.Duty(ctx, func(_ context.Context, tx engine.Tx) error {
			tx.Put("last", []byte(strconv.Itoa(last+1)))
			return nil
		})
		if err != nil {
			break
		}
		_, _ = fmt.Fprintf(t.out, "turn %d %s\n", last+1, t.self)
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-time.After(turnPause):
		}
	}
	return time.Time{}, err
}

// Routes implements engine.Engine.
func (t *turns) Routes() []engine.Route { return nil }

// Close implements engine.Engine.
func (t *turns) Close() error { return nil }
