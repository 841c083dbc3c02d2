package workers_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/workers"
)

// busy is an engine whose Work is the test's.
type busy struct {
	work func(ctx context.Context, call int) (time.Time, error)
	at   []time.Duration // when Work was called, since the start
	from time.Time
}

func (b *busy) Routes() []engine.Route { return nil }
func (b *busy) Close() error           { return nil }

func (b *busy) Work(ctx context.Context) (time.Time, error) {
	b.at = append(b.at, time.Since(b.from))
	return b.work(ctx, len(b.at))
}

// idle is an engine without work of its own.
type idle struct{}

func (idle) Routes() []engine.Route { return nil }
func (idle) Close() error           { return nil }

func mounted(id string, log *slog.Logger, e engine.Engine) *mount.Mount {
	return &mount.Mount{Entry: mount.Entry{ID: id}, Engine: e, Log: log}
}

// crew runs test with a crew in a bubble of its own time.
func crew(t *testing.T, test func(t *testing.T, c *workers.Crew, log *slog.Logger, lines *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		c := workers.New(time.Now)
		defer c.Close()
		test(t, c, slog.New(slog.NewTextHandler(&lines, nil)), &lines)
	})
}

func newBusy(work func(ctx context.Context, call int) (time.Time, error)) *busy {
	return &busy{work: work, from: time.Now()}
}

func done(context.Context, int) (time.Time, error) { return time.Time{}, nil }

// Work is called at once, when woken, at the time it asked for, after failures
// with growing pauses, and after a panic whose value stays out of the log.
func TestWhenWorkIsCalled(t *testing.T) {
	crew(t, func(t *testing.T, c *workers.Crew, log *slog.Logger, lines *bytes.Buffer) {
		b := newBusy(func(_ context.Context, call int) (time.Time, error) {
			switch call {
			case 1:
				return time.Now().Add(time.Hour), nil
			case 2, 3:
				return time.Time{}, errors.New("a database that is down")
			case 4:
				panic("canary-of-a-panic")
			case 5:
				return time.Now().Add(-time.Hour), nil // long due
			case 7:
				return time.Time{}, errors.New("down again")
			}
			return time.Time{}, nil
		})
		c.Sync(t.Context(), []*mount.Mount{mounted("m", log, b), mounted("i", log, idle{})})
		time.Sleep(2 * time.Hour)
		c.Wake("m")
		c.Wake("nobody")
		time.Sleep(time.Hour)
		synctest.Wait()
		h, s := time.Hour, time.Second
		want := []time.Duration{0, h, h + s, h + 3*s, h + 7*s, h + 7*s, 2 * h, 2*h + s}
		if !slices.Equal(b.at, want) {
			t.Errorf("called at %v, want %v", b.at, want)
		}
		if text := lines.String(); !strings.Contains(text, "a database that is down") || strings.Contains(text, "canary") {
			t.Errorf("the log lacks a failure, or tells a panic's value:\n%s", text)
		}
	})
}

func TestPausesAreBounded(t *testing.T) {
	crew(t, func(t *testing.T, c *workers.Crew, log *slog.Logger, _ *bytes.Buffer) {
		b := newBusy(func(context.Context, int) (time.Time, error) { return time.Time{}, errors.New("down") })
		c.Sync(t.Context(), []*mount.Mount{mounted("m", log, b)})
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		last := len(b.at) - 1
		if pause := b.at[last] - b.at[last-1]; pause != 10*time.Minute {
			t.Errorf("after %d failures it pauses for %v", last, pause)
		}
	})
}

// A wake during Work is another round of it, and many wakes are one.
func TestWakeWhileWorking(t *testing.T) {
	crew(t, func(t *testing.T, c *workers.Crew, log *slog.Logger, _ *bytes.Buffer) {
		b := newBusy(func(_ context.Context, call int) (time.Time, error) {
			if call == 1 {
				for range 5 {
					c.Wake("m")
				}
			}
			return time.Time{}, nil
		})
		c.Sync(t.Context(), []*mount.Mount{mounted("m", log, b)})
		synctest.Wait()
		if len(b.at) != 2 {
			t.Errorf("%d calls, want 2", len(b.at))
		}
	})
}

// A mount has one worker, however often Sync finds it; a mount that hangs holds
// up no other.
func TestOneWorkerEach(t *testing.T) {
	crew(t, func(t *testing.T, c *workers.Crew, log *slog.Logger, _ *bytes.Buffer) {
		hangs := newBusy(func(ctx context.Context, _ int) (time.Time, error) {
			<-ctx.Done()
			return time.Time{}, ctx.Err()
		})
		other := newBusy(done)
		for range 3 {
			c.Sync(t.Context(), []*mount.Mount{mounted("hangs", log, hangs), mounted("other", log, other)})
		}
		synctest.Wait()
		c.Wake("hangs")
		c.Wake("other")
		synctest.Wait()
		if len(hangs.at) != 1 || len(other.at) != 2 {
			t.Errorf("%d and %d calls, want 1 and 2", len(hangs.at), len(other.at))
		}
	})
}

// Whoever ended, held or closed returns when Work has.
func TestStopping(t *testing.T) {
	for name, c := range map[string]struct {
		stop   func(*workers.Crew)
		resume func(*workers.Crew)
		again  bool // whether a later Sync starts it again
	}{
		"end":              {stop: func(c *workers.Crew) { c.End("m") }, again: true},
		"hold":             {stop: func(c *workers.Crew) { c.Hold(true) }},
		"hold and let go":  {stop: func(c *workers.Crew) { c.Hold(true) }, resume: func(c *workers.Crew) { c.Hold(false) }, again: true},
		"close":            {stop: func(c *workers.Crew) { c.Close() }},
		"close is for all": {stop: func(c *workers.Crew) { c.Close() }, resume: func(c *workers.Crew) { c.Hold(false) }},
	} {
		t.Run(name, func(t *testing.T) {
			crew(t, func(t *testing.T, all *workers.Crew, log *slog.Logger, lines *bytes.Buffer) {
				working := false
				b := newBusy(func(ctx context.Context, _ int) (time.Time, error) {
					working = true
					<-ctx.Done()
					time.Sleep(time.Minute) // what it is at takes its time
					working = false
					return time.Time{}, ctx.Err()
				})
				mounts := []*mount.Mount{mounted("m", log, b)}
				all.Sync(t.Context(), mounts)
				synctest.Wait()
				c.stop(all)
				if working || len(b.at) != 1 {
					t.Errorf("it works on, after %d calls", len(b.at))
				}
				all.Wake("m")
				if c.resume != nil {
					c.resume(all)
				}
				all.Sync(t.Context(), mounts)
				synctest.Wait()
				if again := len(b.at) == 2; again != c.again {
					t.Errorf("started again: %v, want %v", again, c.again)
				}
				if lines.Len() != 0 {
					t.Errorf("that it was stopped is no failure: %s", lines)
				}
			})
		})
	}
}

// Workers end with the context that they were started with.
func TestContextEnds(t *testing.T) {
	crew(t, func(t *testing.T, c *workers.Crew, log *slog.Logger, _ *bytes.Buffer) {
		b := newBusy(done)
		ctx, stop := context.WithCancel(t.Context())
		c.Sync(ctx, []*mount.Mount{mounted("m", log, b)})
		synctest.Wait()
		stop()
		synctest.Wait()
		c.Wake("m")
		synctest.Wait()
		if len(b.at) != 1 {
			t.Errorf("%d calls", len(b.at))
		}
	})
}
