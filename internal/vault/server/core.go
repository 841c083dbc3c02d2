package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// The handlers below answer bare objects, without an envelope (facts §2.1),
// and need no token: they must work while the vault is sealed.

func (h *Handler) writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		h.writeError(w, r, nil, errs.Newf(errs.Internal, "encoding an answer: %w", err))
		return
	}
	send(w, status, append(body, '\n'))
}

func (h *Handler) allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	h.writeError(w, r, nil, errs.Newf(errs.Unsupported, "unsupported method %q", r.Method))
	return false
}

// sealStatus is the body of sys/seal-status and sys/unseal (facts §2.5).
type sealStatus struct {
	Type             string        `json:"type"`
	Initialized      bool          `json:"initialized"`
	Sealed           bool          `json:"sealed"`
	Threshold        int           `json:"t"`
	Shares           int           `json:"n"`
	Progress         int           `json:"progress"`
	Nonce            string        `json:"nonce"`
	Version          string        `json:"version"`
	BuildDate        string        `json:"build_date"`
	Migration        bool          `json:"migration"`
	ClusterName      string        `json:"cluster_name,omitempty"`
	ClusterID        string        `json:"cluster_id,omitempty"`
	RecoverySeal     bool          `json:"recovery_seal"`
	RecoverySealType string        `json:"recovery_seal_type,omitempty"`
	StorageType      string        `json:"storage_type"`
	Seals            []sealSummary `json:"seals,omitempty"`    // sys/seal-status only
	Warnings         []string      `json:"warnings,omitempty"` // sys/unseal only
}

func (h *Handler) describeSeal(s seal.Status) sealStatus {
	d := sealStatus{
		Type: s.Type, Initialized: s.Initialized, Sealed: s.Sealed || !h.cfg.Gate.Open(),
		Threshold: s.Threshold, Shares: s.Shares, Progress: s.Progress, Nonce: s.Nonce,
		Version: h.cfg.Version, BuildDate: h.cfg.BuildDate, RecoverySeal: s.AutoUnseal, StorageType: h.cfg.StorageType,
	}
	if s.Twice {
		d.Warnings = []string{shamir.Twice}
	}
	if s.AutoUnseal {
		d.RecoverySealType = seal.KindShamir
	}
	if !d.Sealed {
		d.ClusterID, d.ClusterName = s.VaultID, clusterName(s.VaultID)
	}
	return d
}

func clusterName(id string) string {
	if len(id) < 8 {
		return ""
	}
	return "vault-cluster-" + id[:8]
}

func (h *Handler) serveSealStatus(w http.ResponseWriter, r *http.Request) {
	if !h.allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	status, err := h.cfg.Gate.Barrier().Status(r.Context())
	if err != nil {
		h.writeError(w, r, nil, err)
		return
	}
	d := h.describeSeal(status)
	d.Seals = h.sealSummaries(r)
	h.writeJSON(w, r, http.StatusOK, d)
}

func (h *Handler) serveUnseal(w http.ResponseWriter, r *http.Request) {
	if !h.allow(w, r, http.MethodPut, http.MethodPost) {
		return
	}
	status, err := h.unseal(w, r)
	if err != nil {
		h.writeError(w, r, nil, err)
		return
	}
	h.writeJSON(w, r, http.StatusOK, h.describeSeal(status))
}

func (h *Handler) unseal(w http.ResponseWriter, r *http.Request) (seal.Status, error) {
	body, err := readBody(w, r)
	if err != nil {
		return seal.Status{}, err
	}
	d := body.Decode()
	key, reset, migrate := d.String("key", ""), d.Bool("reset", false), d.Bool("migrate", false)
	switch err := d.Err(); {
	case err != nil:
		return seal.Status{}, err
	case migrate:
		return seal.Status{}, errs.New(errs.Invalid, "migrate: no seal migration is in progress")
	case reset:
		if err := h.cfg.Gate.Barrier().ResetUnseal(); err != nil {
			return seal.Status{}, err
		}
		return h.cfg.Gate.Barrier().Status(r.Context())
	case key == "":
		return seal.Status{}, errs.New(errs.Invalid, "'key' must be specified in request body as JSON, or 'reset' set to true")
	}
	return h.cfg.Gate.Unseal(r.Context(), redact.FromString(key))
}

// healthCode returns a status and by which name the query may replace it.
func healthCode(behind, initialized, sealed bool) (code int, name string) {
	switch {
	case behind: // ours: requests are refused, until it hears of its store again
		return http.StatusServiceUnavailable, "behindcode"
	case !initialized:
		return http.StatusNotImplemented, "uninitcode"
	case sealed:
		return http.StatusServiceUnavailable, "sealedcode"
	}
	return http.StatusOK, "activecode"
}

// health codes, each of which the query may replace (facts §2.1).
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	if !h.allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	behind := h.cfg.Gate.Current() != nil
	status := seal.Status{Initialized: true}
	if !behind { // else the store cannot be asked, and who probes shall not wait for it
		var err error
		if status, err = h.cfg.Gate.Barrier().Status(r.Context()); err != nil {
			h.writeError(w, r, nil, err)
			return
		}
	}
	sealed := status.Sealed || !h.cfg.Gate.Open()
	code, name := healthCode(behind, status.Initialized, sealed)
	if v := r.URL.Query().Get(name); v != "" {
		custom, err := strconv.Atoi(v)
		if err != nil || custom < 200 || custom > 599 {
			h.writeError(w, r, nil, errs.Newf(errs.Invalid, "query parameter %s must be an HTTP status code from 200 to 599", name))
			return
		}
		code = custom
	}
	body := map[string]any{
		"initialized": status.Initialized, "sealed": sealed, "standby": false, "performance_standby": false,
		"replication_performance_mode": "disabled", "replication_dr_mode": "disabled",
		"server_time_utc": h.cfg.Now().Unix(), "version": h.cfg.Version, "enterprise": false,
		"echo_duration_ms": 0, "clock_skew_ms": 0,
	}
	if status.VaultID != "" && !sealed {
		body["cluster_id"], body["cluster_name"] = status.VaultID, clusterName(status.VaultID)
	}
	if all := h.cfg.Warnings(); len(all) > 0 {
		body["warnings"] = all
	}
	h.writeJSON(w, r, code, body)
}

var errSealed = errs.New(errs.Sealed, "Vault is sealed")

// serveLeader says which node does the background work: any serves requests.
func (h *Handler) serveLeader(w http.ResponseWriter, r *http.Request) {
	if !h.allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	if !h.cfg.Gate.Open() {
		h.writeError(w, r, nil, errSealed)
		return
	}
	status, several := h.cfg.Gate.Leader()
	since, address := status.Since, status.Leader.Address
	if !several {
		since, address = time.Time{}, ""
	}
	h.writeJSON(w, r, http.StatusOK, map[string]any{
		"ha_enabled": several, "is_self": status.Self, "active_time": since.Format(time.RFC3339),
		"leader_address": address, "leader_cluster_address": address, "performance_standby": false,
		"performance_standby_last_remote_wal": 0,
	})
}
