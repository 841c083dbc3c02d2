package vaultdynamic

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
)

// with logs in, has do work, and ends the login.
func with(ctx context.Context, cfg generator.Config, raw json.RawMessage, do func(*vault.Loan, known) error) error {
	var k known
	if json.Unmarshal(raw, &k) != nil {
		return errs.New(errs.Invalid, "what is known of the credential cannot be read")
	}
	spec, _, err := read(cfg.Spec)
	if err != nil {
		return err
	}
	loan, err := lend(ctx, cfg, spec)
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
func (Kind) Revoke(ctx context.Context, cfg generator.Config, raw json.RawMessage) error {
	return with(ctx, cfg, raw, func(loan *vault.Loan, k known) error {
		var err error
		switch {
		case k.Lease != "":
			err = tell(ctx, loan, "sys/leases/revoke", map[string]any{"lease_id": k.Lease, "sync": true})
		case k.Accessor != "":
			err = gone(tell(ctx, loan, "auth/token/revoke-accessor", map[string]any{"accessor": k.Accessor}))
		}
		if k.Login == "" {
			return err
		}
		whole := gone(tell(ctx, loan, "auth/token/revoke-accessor", map[string]any{"accessor": k.Login}))
		switch {
		case whole == nil:
			return nil // and everything that was made for it
		case k.Lease == "" && k.Accessor == "" && errs.Is(whole, errs.Denied):
			return nil // nothing came of it that anybody holds, and it ends by itself
		}
		return err
	})
}

// gone takes for done what there is no more. A vault says of an accessor that it
// does not know that the request is bad, or that there is none.
func gone(err error) error {
	if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotExist) {
		return nil
	}
	return err
}

func tell(ctx context.Context, loan *vault.Loan, path string, body map[string]any) error {
	_, err := ask(ctx, loan, path, body)
	return err
}

// life is what is left to a lease or a token; 0 for ever.
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
func (Kind) Renew(ctx context.Context, cfg generator.Config, raw json.RawMessage) (expires time.Time, err error) {
	err = with(ctx, cfg, raw, func(loan *vault.Loan, k known) error {
		var life int
		var err error
		if k.Lease != "" {
			life, err = ask(ctx, loan, "sys/leases/renew", map[string]any{"lease_id": k.Lease})
		} else {
			life, err = ask(ctx, loan, "auth/token/renew-accessor", map[string]any{"accessor": k.Accessor})
		}
		if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotExist) {
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
		if life, err = ask(ctx, loan, "auth/token/renew-accessor", map[string]any{"accessor": k.Login}); err == nil {
			ends = after(cfg, life)
		}
		expires = sooner(expires, ends)
		return nil
	})
	return expires, err
}
