package book

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Vault signs by the evidence engine of a Strongkeep, which keeps the chain too: neither
// this machine nor the vault's own root can change what was signed, or begin anew.
type Vault struct {
	Client *vault.Client
	Mount  string // "evidence"
	Name   string // of the chain
}

func (v *Vault) path() string { return v.Mount + "/statements/" + v.Name }

// Keys implements Signer.
func (v *Vault) Keys(ctx context.Context) (attest.Keys, error) {
	answer, err := v.Client.Logical().ReadWithContext(ctx, v.Mount+"/keys")
	if err != nil {
		return nil, v.explain("reading the keys of", err)
	}
	text := ""
	if answer != nil {
		text, _ = answer.Data["public_keys"].(string)
	}
	if text == "" {
		return nil, errs.Newf(errs.NotExist, "the vault has no evidence engine at %s/: strongkeep secrets enable evidence, or name another with -mount", v.Mount)
	}
	return attest.ParseKeys([]byte(text))
}

// Missing implements Signer.
func (v *Vault) Missing(ctx context.Context, turn int64) ([][]byte, error) {
	answer, err := v.Client.Logical().ListWithContext(ctx, v.path())
	if err != nil {
		return nil, v.explain("listing the reports at", err)
	}
	var turns []int64
	if answer != nil {
		list, _ := answer.Data["keys"].([]any)
		for _, k := range list {
			name, _ := k.(string)
			if n, err := strconv.ParseInt(name, 10, 64); err == nil && n > turn {
				turns = append(turns, n)
			}
		}
	}
	slices.Sort(turns)
	out := make([][]byte, 0, len(turns))
	for _, n := range turns {
		answer, err := v.Client.Logical().ReadWithContext(ctx, v.path()+"/"+strconv.FormatInt(n, 10))
		if err != nil {
			return nil, v.explain("reading a report at", err)
		}
		envelope, err := v.envelope(answer)
		if err != nil {
			return nil, err
		}
		out = append(out, envelope)
	}
	return out, nil
}

// Sign implements Signer.
func (v *Vault) Sign(ctx context.Context, last *attest.Verified, statement []byte) ([]byte, error) {
	turn := int64(1)
	if last != nil {
		if last.Name != v.Name {
			return nil, errs.Newf(errs.Conflict, "the reports before are those of %s, and this is %s: keep another cluster's in another folder", last.Name, v.Name)
		}
		turn = last.Turn + 1
	}
	answer, err := v.Client.Logical().WriteWithContext(ctx, v.path(), map[string]any{"statement": json.RawMessage(statement), "turn": turn})
	if err != nil {
		return nil, v.explain("signing a report at", err)
	}
	return v.envelope(answer)
}

// envelope is what was signed, written as attest writes it.
func (v *Vault) envelope(answer *vault.Secret) ([]byte, error) {
	if answer == nil || answer.Data["envelope"] == nil {
		return nil, errs.Newf(errs.Unavailable, "the answer of %s is not that of an evidence engine: is -mount right?", v.path())
	}
	raw, err := json.Marshal(answer.Data["envelope"])
	if err != nil {
		return nil, errs.New(errs.Internal, "encoding an envelope")
	}
	envelope, err := attest.ParseEnvelope(raw)
	if err != nil {
		return nil, err
	}
	return envelope.Encode()
}

// explain gives an answer of the vault its kind.
func (v *Vault) explain(what string, err error) error {
	var r *vault.ResponseError
	kind := errs.Unavailable
	if errors.As(err, &r) {
		switch r.StatusCode {
		case http.StatusForbidden:
			return errs.Newf(errs.Denied, "%s %s: %w: its policy takes create, read and list on %s and %s/*, and read on %s/keys", what, v.path(), err, v.path(), v.path(), v.Mount)
		case http.StatusNotFound:
			kind = errs.NotExist
		case http.StatusBadRequest:
			kind = errs.Conflict // somebody else had another report signed as this number
		}
	}
	return errs.Newf(kind, "%s %s: %w", what, v.path(), err)
}
