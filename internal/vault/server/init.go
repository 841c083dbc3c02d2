package server

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/seal/recipient"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

func (h *Handler) serveInit(w http.ResponseWriter, r *http.Request) {
	if !h.allow(w, r, http.MethodGet, http.MethodPut, http.MethodPost) {
		return
	}
	if r.Method == http.MethodGet {
		status, err := h.cfg.Gate.Barrier().Status(r.Context())
		if err != nil {
			h.writeError(w, r, nil, err)
			return
		}
		h.writeJSON(w, r, http.StatusOK, map[string]any{"initialized": status.Initialized})
		return
	}
	in, to, err := h.decodeInit(w, r)
	if err != nil {
		h.writeError(w, r, nil, err)
		return
	}
	made, err := h.cfg.Gate.Init(r.Context(), in)
	if err != nil {
		h.writeError(w, r, nil, err)
		return
	}
	answer, err := h.initAnswer(r.Context(), made, to)
	if err != nil {
		h.writeError(w, r, nil, err)
		return
	}
	h.writeJSON(w, r, http.StatusOK, answer)
}

// receivers are who the shares and the root token of a new vault are for. Each was tried before the vault is made,
// since after it nobody can make them again.
type receivers struct {
	shares []recipient.Recipient // nil = plain
	root   *recipient.Recipient  // nil = plain
}

// decodeInit reads how the shares are dealt and for whom. There is one set of them, which opens the vault
// also when it has an unseal key: recovery_shares and what belongs to it mean the same.
func (h *Handler) decodeInit(w http.ResponseWriter, r *http.Request) (seal.InitConfig, receivers, error) {
	body, err := readBody(w, r)
	if err != nil {
		return seal.InitConfig{}, receivers{}, err
	}
	d := body.Decode()
	in := seal.InitConfig{}
	// The official client sends all four, the unused ones as 0.
	if in.Shares, err = either(&d, "secret_shares", "recovery_shares"); err != nil {
		return in, receivers{}, err
	}
	if in.Threshold, err = either(&d, "secret_threshold", "recovery_threshold"); err != nil {
		return in, receivers{}, err
	}
	if in.Shares == 0 && in.Threshold == 0 {
		in.Shares, in.Threshold = seal.DefaultShares, seal.DefaultThreshold
	}
	to, err := h.decodeReceivers(&d, in.Shares)
	return in, to, err
}

func (h *Handler) decodeReceivers(d *engine.Decoder, shares int) (receivers, error) {
	given := slices.Concat(d.Strings("pgp_keys"), d.Strings("recovery_pgp_keys"), d.Strings("age_recipients"))
	root := cmp.Or(d.String("root_token_pgp_key", ""), d.String("root_token_age_recipient", ""))
	if err := d.Err(); err != nil {
		return receivers{}, err
	}
	all, err := recipient.ParseAll(given, shares, h.cfg.Now())
	if err != nil {
		return receivers{}, err
	}
	to := receivers{shares: all}
	if root != "" {
		r, err := recipient.Parse(root, h.cfg.Now())
		if err != nil {
			return receivers{}, errs.Newf(errs.Invalid, "the recipient of the root token: %w", err)
		}
		to.root = &r
	}
	return to, nil
}

// either reads a number that has two names. Kind Invalid if both are given and differ.
func either(d *engine.Decoder, name, other string) (int, error) {
	a, b := d.Int(name, 0), d.Int(other, 0)
	if err := d.Err(); err != nil {
		return 0, err
	}
	if a != 0 && b != 0 && a != b {
		return 0, errs.Newf(errs.Invalid, "%s is %d and %s is %d: there is one set of shares, which opens the vault also beside an unseal key; give one of them", name, a, other, b)
	}
	n := cmp.Or(a, b)
	if n < 0 || n > shamir.MaxParts {
		return 0, errs.Newf(errs.Invalid, "%s is %d: choose 1 to %d", name, n, shamir.MaxParts)
	}
	return int(n), nil
}

// initAnswer shows what nobody can get again. Beside an unseal key the shares
// are also called recovery keys, where clients look for them then. Here, unlike
// in Vault, they open the vault.
func (h *Handler) initAnswer(ctx context.Context, made gate.InitResult, to receivers) (map[string]any, error) {
	shown, err := recipient.Seal(made.Shares, to.shares, h.cfg.Now())
	if err != nil {
		return nil, errs.Newf(errs.Internal, "the vault was made, and its shares could not be encrypted: empty the storage and initialize again: %w", err)
	}
	answer := map[string]any{"keys": shown.Hex, "keys_base64": shown.Base64, "root_token": made.RootToken.RevealString()}
	if to.root != nil {
		raw, err := to.root.Encrypt(made.RootToken, h.cfg.Now())
		if err != nil {
			return nil, errs.Newf(errs.Internal, "the vault was made, and its root token could not be encrypted: empty the storage and initialize again: %w", err)
		}
		answer["root_token"] = base64.StdEncoding.EncodeToString(raw)
	}
	// The vault is made: an error here must not keep the shares from whoever asked.
	if status, err := h.cfg.Gate.Barrier().Status(ctx); err == nil && status.AutoUnseal {
		answer["recovery_keys"], answer["recovery_keys_base64"] = shown.Hex, shown.Base64
	}
	return answer, nil
}
