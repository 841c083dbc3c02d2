package logtap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// queue is how many lines may wait for one watcher; more are dropped, and it is
// told how many. The log never waits for who watches it.
const queue = 512

// Tap is where watchers of a log come by. The zero Tap is ready.
type Tap struct {
	mu       sync.Mutex
	watchers []*watcher
}

// watcher is one that reads along.
type watcher struct {
	level   slog.Level
	json    bool
	lines   chan []byte
	dropped int // guarded by Tap.mu
}

// Handler returns a handler that writes to inner what is at least of level, and
// to all who watch. level may change while it is used; inner may refuse more.
func (t *Tap) Handler(inner slog.Handler, level slog.Leveler) slog.Handler {
	return &handler{tap: t, inner: inner, level: level}
}

type handler struct {
	tap   *Tap
	inner slog.Handler
	level slog.Leveler
	with  []func(slog.Handler) slog.Handler // attributes and groups, for the watchers' own
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.writes(ctx, level) || h.tap.wants(level)
}

func (h *handler) writes(ctx context.Context, level slog.Level) bool {
	return level >= h.level.Level() && h.inner.Enabled(ctx, level)
}

func (t *Tap) wants(level slog.Level) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.watchers, func(w *watcher) bool { return level >= w.level })
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.tap.show(ctx, r, h.with)
	if !h.writes(ctx, r.Level) {
		return nil
	}
	return h.inner.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.plus(h.inner.WithAttrs(attrs), func(x slog.Handler) slog.Handler { return x.WithAttrs(attrs) })
}

func (h *handler) WithGroup(name string) slog.Handler {
	return h.plus(h.inner.WithGroup(name), func(x slog.Handler) slog.Handler { return x.WithGroup(name) })
}

func (h *handler) plus(inner slog.Handler, with func(slog.Handler) slog.Handler) slog.Handler {
	return &handler{tap: h.tap, inner: inner, level: h.level, with: append(slices.Clip(h.with), with)}
}

// show gives a record to every watcher that wants it.
func (t *Tap) show(ctx context.Context, r slog.Record, with []func(slog.Handler) slog.Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.watchers {
		if r.Level < w.level {
			continue
		}
		var line bytes.Buffer
		var out slog.Handler = slog.NewTextHandler(&line, &slog.HandlerOptions{Level: w.level})
		if w.json {
			out = slog.NewJSONHandler(&line, &slog.HandlerOptions{Level: w.level})
		}
		for _, more := range with {
			out = more(out)
		}
		if out.Handle(ctx, r) != nil {
			continue
		}
		select {
		case w.lines <- line.Bytes():
		default:
			w.dropped++
		}
	}
}

func (t *Tap) add(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers = append(t.watchers, w)
}

func (t *Tap) remove(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers = slices.DeleteFunc(t.watchers, func(x *watcher) bool { return x == w })
}

func (t *Tap) takeDropped(w *watcher) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := w.dropped
	w.dropped = 0
	return n
}

// Parse reads the level and the format that a watcher asks for; empty is info
// and standard. Kind Invalid: it is neither.
func Parse(level, format string) (slog.Level, bool, error) {
	l := slog.LevelInfo
	switch {
	case level == "trace":
		l = slog.LevelDebug
	case level != "" && l.UnmarshalText([]byte(level)) != nil:
		return 0, false, errs.Newf(errs.Invalid, "unknown log level %.20q: use debug, info, warn or error", level)
	}
	switch format {
	case "", "standard":
		return l, false, nil
	case "json":
		return l, true, nil
	}
	return 0, false, errs.Newf(errs.Invalid, "unknown log_format %.20q: use standard or json", format)
}

// Stream writes the log's lines to w as they come, until ctx ends or w fails.
func (t *Tap) Stream(ctx context.Context, w http.ResponseWriter, level slog.Level, json bool) {
	me := &watcher{level: level, json: json, lines: make(chan []byte, queue)}
	t.add(me)
	defer t.remove(me)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	if flush.Flush() != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-me.lines:
			if n := t.takeDropped(me); n > 0 {
				_, _ = io.WriteString(w, fmt.Sprintf("%d lines were dropped: the reader is too slow\n", n))
			}
			if _, err := w.Write(line); err != nil || flush.Flush() != nil {
				return
			}
		}
	}
}
