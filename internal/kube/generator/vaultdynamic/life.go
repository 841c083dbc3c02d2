package vaultdynamic

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
)

// with logs in, has do work, and ends the login.
func (kind Kind) with(ctx context.Context, cfg generator.Config, raw json.RawMessage, do func(*vault.Loan, known) error) error {
	var k known
	if json.Unmarshal(raw, &k) != nil {
		return errs.New(errs.Invalid, "what is known of the credential cannot be read")
	}
	spec, _, err := read(cfg.Spec)
	if err != nil {
		return err
	}
	loan, err := kind.lend(ctx, cfg, spec)
	if err != nil {
		return err
	}
	err = do(loan, k)
	if ended := finish(ctx, loan.Return); err == nil {
		err = ended
	}
	return err
}

// Revoke implements generator.Revoker. Its login needs "update" on sys/leases/revoke,
// or for tokens on auth/token/revoke-accessor; with the latter the login that a
// credential was made for is ended too, and not left to its time.
func (kind Kind) Revoke(ctx context.Context, cfg generator.Config, raw json.RawMessage) error {
	return kind.with(ctx, cfg, raw, func(loan *vault.Loan, k known) error {
		err := drop(ctx, loan, k)
		if k.Login == "" {
			return err
		}
		whole := end(ctx, loan, k.Login)
		switch {
		case whole == nil:
			return nil // and everything that was made for it
		case k.Lease == "" && k.Accessor == "" && errs.Is(whole, errs.Denied):
			return nil // nothing came of it that anybody holds, and it ends by itself
		}
		return err
	})
}

// drop takes back the credential itself.
func drop(ctx context.Context, loan *vault.Loan, k known) error {
	switch {
	case k.Lease != "":
		return tell(ctx, loan, "sys/leases/revoke", map[string]any{"lease_id": k.Lease, "sync": true})
	case k.Accessor != "":
		return end(ctx, loan, k.Accessor)
	}
	return nil
}

// The paths by which tokens are ended and renewed that one has only the name of.
const (
	revokeAccessor = "auth/token/revoke-accessor"
	renewAccessor  = "auth/token/renew-accessor"
)

// end revokes a token, and everything that was made for it.
func end(ctx context.Context, loan *vault.Loan, accessor string) error {
	err := tell(ctx, loan, revokeAccessor, map[string]any{"accessor": accessor})
	if gone(ctx, loan, revokeAccessor, err) {
		return nil
	}
	return err
}

// gone reports whether err says that there is no such thing. Of an accessor that it
// does not know a vault says the same as of one that may not be used; which it is
// shows whether the login may use any.
func gone(ctx context.Context, loan *vault.Loan, path string, err error) bool {
	switch errs.KindOf(err) {
	case errs.Invalid, errs.NotExist:
		return err != nil
	case errs.Denied:
		return err != nil && may(ctx, loan, path)
	}
	return false
}

// may reports whether the login may write to a path; false too when it cannot be asked.
func may(ctx context.Context, loan *vault.Loan, path string) bool {
	body, err := json.Marshal(map[string]any{"paths": []string{path}})
	if err != nil {
		return false
	}
	answer, err := loan.Ask(ctx, vault.Question{Method: http.MethodPost, Path: "sys/capabilities-self", Body: body})
	if err != nil || answer == nil {
		return false
	}
	list, _ := answer.Data[path].([]any)
	return slices.Contains(list, any("update")) || slices.Contains(list, any("root"))
}

func tell(ctx context.Context, loan *vault.Loan, path string, body map[string]any) error {
	_, err := ask(ctx, loan, path, body)
	return err
}

// ask returns what is left to a lease or a token in seconds; 0 for ever.
func ask(ctx context.Context, loan *vault.Loan, path string, body map[string]any) (life int, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, errs.New(errs.Internal, "encoding a request")
	}
	answer, err := loan.Ask(ctx, vault.Question{Method: http.MethodPut, Path: path, Body: text})
	switch {
	case err != nil || answer == nil:
		return 0, err
	case answer.Auth != nil:
		return answer.Auth.LeaseDuration, nil
	}
	return answer.LeaseDuration, nil
}

// Renew implements generator.Renewer. Its login needs "update" on sys/leases/renew,
// and on auth/token/renew-accessor for the login that the credential was made for;
// without the latter the credential ends with that login.
func (kind Kind) Renew(ctx context.Context, cfg generator.Config, raw json.RawMessage) (expires time.Time, err error) {
	err = kind.with(ctx, cfg, raw, func(loan *vault.Loan, k known) error {
		path, body := "sys/leases/renew", map[string]any{"lease_id": k.Lease}
		if k.Lease == "" {
			path, body = renewAccessor, map[string]any{"accessor": k.Accessor}
		}
		life, err := ask(ctx, loan, path, body)
		if gone(ctx, loan, path, err) {
			return errs.Newf(errs.NotExist, "the vault does not renew it: %w", err)
		}
		if err != nil {
			return err
		}
		expires = after(cfg, life)
		if k.Login == "" {
			return nil
		}
		ends := k.Ends
		if life, err = ask(ctx, loan, renewAccessor, map[string]any{"accessor": k.Login}); err == nil {
			ends = after(cfg, life)
		}
		expires = sooner(expires, ends)
		return nil
	})
	return expires, err
}
