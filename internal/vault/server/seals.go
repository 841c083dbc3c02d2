package server

import (
	"net/http"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
)

// sealSummary is a way to open the vault, as everyone may know it: which key it is, and why it does not
// work, is in sys/seals.
type sealSummary struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Wrapped    bool   `json:"wrapped"`    // it opens the vault; false = it will once the vault is open
	Configured bool   `json:"configured"` // this node has the key; false for shares, and for keys that are gone
	LastWorked string `json:"last_worked,omitempty"`
	Works      *bool  `json:"works,omitempty"` // absent = this node has not tried it
}

// sealSummaries is nil where there is nothing to say: without a vault, or a store.
func (h *Handler) sealSummaries(r *http.Request) []sealSummary {
	all, err := h.cfg.Gate.Barrier().Seals(r.Context())
	if err != nil {
		return nil
	}
	var out []sealSummary
	for _, i := range all {
		s := sealSummary{Name: i.Name, Type: i.Kind, Wrapped: i.Wrapped, Configured: i.Configured}
		if !i.Worked.IsZero() {
			s.LastWorked = i.Worked.UTC().Format(time.RFC3339)
		}
		if i.Configured && !i.Health.Tried.IsZero() {
			works := i.Works()
			s.Works = &works
		}
		out = append(out, s)
	}
	return out
}

// serveSealBackends is about the unseal keys of this node, in Vault's form.
func (h *Handler) serveSealBackends(w http.ResponseWriter, r *http.Request) {
	if !h.allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	all, err := h.cfg.Gate.Barrier().Seals(r.Context())
	if err != nil && !errs.Is(err, errs.Sealed) {
		h.writeError(w, r, nil, err)
		return
	}
	healthy, wrapped := true, true
	backends := []map[string]any{}
	for _, i := range all {
		if i.Kind == seal.KindShamir {
			continue
		}
		one := map[string]any{"name": i.Name, "healthy": i.Works()}
		if !i.Health.Since.IsZero() {
			one["unhealthy_since"] = i.Health.Since.UTC().Format(time.RFC3339)
		}
		healthy, wrapped = healthy && i.Works(), wrapped && i.Wrapped
		backends = append(backends, one)
	}
	h.writeJSON(w, r, http.StatusOK, map[string]any{"healthy": healthy, "backends": backends, "fully_wrapped": wrapped})
}
