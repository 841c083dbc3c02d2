package kv_test

import (
	"context"
	"encoding/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// held keeps the first write of a path back until send, and loses every request
// after it: an operator that was stopped as it wrote.
type held struct {
	target.Vault
	at   string
	body any
}

func (h *held) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	if h.body != nil || method == "POST" && path == h.at {
		if h.body == nil {
			h.body = body
		}
		return nil, errs.New(errs.Unavailable, "stopped")
	}
	return h.Vault.Call(ctx, method, path, body)
}

func (h *held) send(ctx context.Context) error {
	_, err := h.Vault.Call(ctx, "POST", h.at, h.body)
	return err
}

// stopping stops before the n-th request, from 0, and lets meanwhile happen.
type stopping struct {
	target.Vault
	n         int
	meanwhile func()
	last      string // the request that was stopped before
}

func (s *stopping) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	if s.n == 0 {
		s.last = method + " " + path
		s.meanwhile()
	}
	s.n--
	return s.Vault.Call(ctx, method, path, body)
}
