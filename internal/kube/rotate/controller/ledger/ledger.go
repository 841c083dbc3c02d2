// Package ledger makes the statement of a turn that ends, and has the vault
// sign and keep it.
//
// Start reading at Ledger.
package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// maxPending is how large a statement may be that a status keeps, in bytes;
// keepPending is how many are kept.
const (
	maxPending  = 64 << 10
	keepPending = 4
)

// Ledger is the vault's evidence engine at Mount.
type Ledger struct{ Mount string }

// Remedy is what a person does so that statements can be stored.
func (l Ledger) Remedy(rot *v1alpha1.Rotation) string {
	return fmt.Sprintf("strongkeep secrets enable -path=%s evidence, and let the login of %s create and read %s/statements/%s",
		l.Mount, rot.Spec.Target.StoreRef.Name, l.Mount, client.ObjectKeyFromObject(rot))
}

// Store appends a statement. Storing the same one again changes nothing.
func (l Ledger) Store(ctx context.Context, vault target.Vault, rot *v1alpha1.Rotation, p v1alpha1.PendingStatement) (string, error) {
	path := l.Mount + "/statements/" + client.ObjectKeyFromObject(rot).String()
	body := map[string]any{"turn": p.Turn, "statement": json.RawMessage(p.Statement)}
	where := path + "/" + strconv.FormatInt(p.Turn, 10)
	_, err := vault.Call(ctx, http.MethodPost, path, body)
	if errs.KindOf(err) == errs.Invalid { // it may have one of this turn already
		ours, readErr := stored(ctx, vault, rot, where)
		switch {
		case readErr != nil: // whose it is decides what is wrong: that it cannot be read comes first
			return "", errs.Newf(errs.KindOf(readErr), "reading the statement of turn %d at %s, which the vault may have already: %w", p.Turn, where, readErr)
		case ours:
			return where, nil
		}
	}
	if err != nil {
		return "", errs.Newf(errs.KindOf(err), "storing the statement of turn %d at %s: %w", p.Turn, path, err)
	}
	return where, nil
}

// StoreLast stores the statement of the turn that a deletion ends, if it has none
// yet, behind those that wait: nobody is left to offer them later.
func (l Ledger) StoreLast(ctx context.Context, vault target.Vault, t Turn) error {
	s := &t.Status
	over := s.Phase == "" || s.Phase == v1alpha1.PhaseIdle || s.Phase == v1alpha1.PhaseFailed
	if over && len(s.Pending) == 0 {
		return nil
	}
	if vault == nil {
		return errs.New(errs.Unavailable, "the vault could not be opened")
	}
	wait := slices.Clone(s.Pending)
	if !over {
		raw, err := t.Statement().Encode()
		if err != nil {
			return err
		}
		wait = append(wait, v1alpha1.PendingStatement{Turn: s.Turn, Statement: string(raw)})
	}
	for _, p := range wait {
		if _, err := l.Store(ctx, vault, t.Rotation, p); err != nil {
			return err
		}
	}
	return nil
}

// stored reports whether the vault has a statement of this very turn, put in
// other words: by an operator that was killed before it could say so. That there
// is none is no error.
func stored(ctx context.Context, vault target.Vault, rot *v1alpha1.Rotation, where string) (bool, error) {
	raw, err := vault.Call(ctx, http.MethodGet, where, nil)
	if errs.Is(err, errs.NotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var answer struct {
		Statement struct {
			UID string `json:"uid"`
		} `json:"statement"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return false, errs.New(errs.Unavailable, "the answer is no statement")
	}
	return answer.Statement.UID == string(rot.UID), nil
}

// Cut makes a statement small enough for a status, see Statement.EncodeWithin.
func Cut(raw json.RawMessage) (string, error) {
	if len(raw) <= maxPending {
		return string(raw), nil
	}
	s, err := evidence.ParseStatement(raw)
	if err != nil {
		return "", err
	}
	raw, err = s.EncodeWithin(maxPending)
	return string(raw), err
}

// Append adds p to what waits, and drops the oldest when there are too many.
func Append(list []v1alpha1.PendingStatement, p v1alpha1.PendingStatement) []v1alpha1.PendingStatement {
	list = slices.DeleteFunc(slices.Clone(list), func(o v1alpha1.PendingStatement) bool { return o.Turn == p.Turn })
	list = append(list, p)
	return list[max(0, len(list)-keepPending):]
}
