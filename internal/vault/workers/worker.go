package workers

import (
	"context"
	"log/slog"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// worker is the goroutine of one mount.
type worker struct {
	engine.Worker
	log   *slog.Logger
	now   func() time.Time
	woken chan struct{} // capacity 1
	stop  context.CancelFunc
	done  chan struct{}
}

// run calls Work until ctx ends: at once, at the time it asked for, when woken,
// and after failures with growing pauses.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	pause := minPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.woken:
		case <-timer.C:
		}
		next, err := w.once(ctx)
		timer.Stop()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.log.Warn("background work of a mount; will try again", "error", err, "pause", pause)
			timer.Reset(pause)
			pause = min(2*pause, maxPause)
			continue
		case !next.IsZero():
			timer.Reset(max(next.Sub(w.now()), 0))
		}
		pause = minPause
	}
}

// once makes an error of a panic: it must not take the vault down.
func (w *worker) once(ctx context.Context) (next time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.Panicked(p)
		}
	}()
	return w.Work(ctx)
}
