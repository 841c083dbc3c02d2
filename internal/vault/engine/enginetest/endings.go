package enginetest

import (
	"strings"
	"sync"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// concurrentReads sends all reads at once from several goroutines, for the
// race detector to see handlers that share state.
func (r *runner) concurrentReads(steps []Step) {
	var wait sync.WaitGroup
	for _, s := range steps {
		if s.Op != engine.Read && s.Op != engine.List {
			continue
		}
		body, err := engine.ParseBody([]byte(s.Body))
		if err != nil {
			continue
		}
		req := s.request(r, body)
		handler, err := r.route(req)
		if err != nil {
			continue
		}
		for range 2 {
			wait.Go(func() { _, _ = handler(r.ctx, r.begin(), req) })
		}
	}
	wait.Wait()
}

// tokensGone removes every token that sent a step: nothing of it may stay, and
// being told twice must do no harm.
func (r *runner) tokensGone(steps []Step) {
	if _, ok := r.Engine.(engine.TokenWatcher); !ok {
		return
	}
	for _, s := range steps {
		token := DefaultCaller().TokenKey
		if s.Caller != nil {
			token = s.Caller.TokenKey
		}
		if err := r.TokenGone(token); err != nil {
			r.fault("TokenGone: %v", err)
		}
		stored, err := r.stored(r.ctx)
		if err != nil {
			r.fault("reading the store: %v", err)
		}
		for key := range stored {
			if token != "" && strings.Contains(key, token) {
				r.fault("%q is left of a token that is gone", key)
			}
		}
	}
}
