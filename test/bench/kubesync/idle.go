package kubesync

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// While nothing changes, the operator has these bounds.
const (
	boundCPU     = 0.01 // of a core
	boundWrites  = 0
	boundCalls   = 1   // of the vault, in an interval
	boundRefresh = 0.5 // milliseconds of CPU for each object

	interval = 2 * time.Minute // thirty times as often as the default
	pause    = 2 * time.Second // between two looks at whether the operator is calm
)

// Idle measures ten thousand ExternalSecrets that want one value which does not
// change, for one refresh interval: what a refresh costs the operator, what it
// writes to the API server, and how often it asks the vault.
func Idle(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	w, err := newWorld(ctx, b)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.settle(ctx, tenfold, interval); err != nil {
		return nil, err
	}
	before, err := w.look(ctx)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, interval); err != nil {
		return nil, err
	}
	after, err := w.look(ctx)
	if err != nil {
		return nil, err
	}
	used := after.cpu - before.cpu
	for what, n := range after.writes {
		if more := n - before.writes[what]; more > 0 {
			b.Say("  %d × %s", more, what)
		}
	}
	b.Say("  in %v the operator used %.2f s of CPU and holds %.0f MB", interval, used.Seconds(), after.memory)
	return []figure.Figure{
		figure.Within(boundRefresh, "idle-10000-refresh", used.Seconds()*1000/tenfold, "ms"),
		figure.Within(boundWrites, "idle-10000-writes", float64(after.total()-before.total()), "writes"),
		figure.Within(boundCalls, "idle-10000-calls", float64(after.calls-before.calls), "calls"),
	}, nil
}

// idle returns how many cores the operator uses once it is calm, over as long as
// an interval of Idle.
func (w *world) idle(ctx context.Context) (float64, error) {
	if err := w.calm(ctx); err != nil {
		return 0, err
	}
	before := rig.CPUTime(w.operator.PID())
	if err := wait(ctx, interval); err != nil {
		return 0, err
	}
	return (rig.CPUTime(w.operator.PID()) - before).Seconds() / interval.Seconds(), nil
}

// looked is what has been done so far.
type looked struct {
	cpu    time.Duration
	memory float64
	writes map[string]int64 // at the API server, by verb and resource
	calls  int64            // reads of secrets, by the vault's audit log
}

func (l looked) total() (n int64) {
	for _, more := range l.writes {
		n += more
	}
	return n
}

func (w *world) look(ctx context.Context) (l looked, err error) {
	if l.writes, err = w.writes(ctx); err != nil {
		return l, err
	}
	lines, err := w.server.AuditLinesWith(`"path":"` + rig.Mounted + "/data/")
	if err != nil {
		return l, err
	}
	l.calls = lines / 2 // a request and its answer
	m, err := rig.MemoryOf(w.operator.PID())
	l.cpu, l.memory = rig.CPUTime(w.operator.PID()), m.Resident
	return l, err
}

// calm waits until the operator has used next to nothing for a while: of its start
// nothing is left to do.
func (w *world) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		before := rig.CPUTime(w.operator.PID())
		if err := wait(ctx, pause); err != nil {
			return w.operator.Explain(err)
		}
		if rig.CPUTime(w.operator.PID())-before <= pause/50 {
			return nil
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writes asks the API server how many writes it answered, of all but leases, which
// the cluster's own parts renew all the time.
func (w *world) writes(ctx context.Context) (map[string]int64, error) {
	text, err := w.get(ctx, "/metrics")
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "asking the API server for its metrics: %w", err)
	}
	return countWrites(text), nil
}

// get asks the API server for what is no object.
func (w *world) get(ctx context.Context, path string) ([]byte, error) {
	cfg := rest.CopyConfig(w.rest)
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	c, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return c.Get().AbsPath(path).DoRaw(ctx)
}

var reads = map[string]bool{"GET": true, "LIST": true, "WATCH": true, "CONNECT": true}

// countWrites reads apiserver_request_total. What is no object, such as a review of
// a token, is no write.
func countWrites(text []byte) map[string]int64 {
	out := map[string]int64{}
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("apiserver_request_total{")) {
			continue
		}
		verb, resource, sub := label(line, "verb"), label(line, "resource"), label(line, "subresource")
		if reads[verb] || resource == "leases" || bytes.HasSuffix([]byte(resource), []byte("reviews")) {
			continue
		}
		var n float64
		if _, err := fmt.Sscan(string(line[bytes.LastIndexByte(line, ' ')+1:]), &n); err == nil {
			out[verb+" "+resource+" "+sub] += int64(n)
		}
	}
	return out
}

func label(line []byte, name string) string {
	_, rest, ok := bytes.Cut(line, []byte(name+`="`))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}
