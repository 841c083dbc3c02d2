package vaultdynamic

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind asks vaults. Vault logs in.
type Kind struct{ Vault vault.Provider }

var _ generator.Renewer = Kind{}

// The parts of an answer that spec.resultType names.
const (
	resultData = "Data"
	resultAuth = "Auth"
	resultRaw  = "Raw"
)

// known is what is known of a credential. Ends is when its login does.
type known struct {
	Lease    string    `json:"lease,omitempty"`
	Accessor string    `json:"accessor,omitempty"` // of a token that is the credential
	Login    string    `json:"login,omitempty"`    // the accessor of its login
	Ends     time.Time `json:"ends,omitzero"`
}

// Generate implements generator.Kind.
func (kind Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	spec, q, err := read(cfg.Spec)
	if err != nil {
		return generator.Made{}, err
	}
	loan, err := kind.lend(ctx, cfg, spec)
	if err != nil {
		return generator.Made{}, err
	}
	made, lasting, err := generate(ctx, cfg, loan, spec, q)
	end := loan.Return
	if err == nil && lasting {
		end = loan.Leave
	}
	if ended := finish(ctx, end); err == nil {
		err = ended
	}
	return made, err
}

// finish ends a loan, also when the operator ends meanwhile.
func finish(ctx context.Context, end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return end(ctx)
}

func (kind Kind) lend(ctx context.Context, cfg generator.Config, spec v1alpha1.VaultDynamicSecretSpec) (*vault.Loan, error) {
	retry, err := retryOf(spec.RetrySettings)
	if err != nil {
		return nil, err
	}
	return kind.Vault.Lend(ctx, provider.Config{
		Scope: cfg.Scope, Settings: spec.Provider.Raw, Retry: retry, Cluster: cfg.Cluster, Clock: cfg.Clock, Log: cfg.Log,
	})
}

// read reads a spec and makes its request.
func read(raw json.RawMessage) (spec v1alpha1.VaultDynamicSecretSpec, q vault.Question, err error) {
	if err := generator.Decode(raw, &spec); err != nil {
		return spec, q, err
	}
	switch spec.ResultType {
	case "":
		spec.ResultType = resultData
	case resultData, resultAuth, resultRaw:
	default:
		return spec, q, errs.Newf(errs.Invalid, "spec.resultType is %q: it must be Data, Auth or Raw", spec.ResultType)
	}
	if spec.Provider == nil || len(spec.Provider.Raw) == 0 {
		return spec, q, errs.New(errs.Invalid, "spec.provider is missing: give server and auth, as in spec.provider.vault of a SecretStore")
	}
	q, err = question(spec)
	return spec, q, err
}

func question(spec v1alpha1.VaultDynamicSecretSpec) (vault.Question, error) {
	q := vault.Question{Method: strings.ToUpper(spec.Method), Path: strings.TrimPrefix(spec.Path, "/"), Query: url.Values(spec.GetParameters)}
	if q.Path == "" {
		return q, errs.New(errs.Invalid, "spec.path is missing: give what stands behind /v1/, such as database/creds/app")
	}
	switch q.Method {
	case "":
		q.Method = http.MethodGet
	case http.MethodGet, "LIST", http.MethodDelete:
	case http.MethodPost, http.MethodPut:
		q.Body = []byte("{}")
		if spec.Parameters != nil {
			q.Body = spec.Parameters.Raw
		}
	default:
		return q, errs.Newf(errs.Invalid, "spec.method is %q: it must be GET, LIST, POST, PUT or DELETE", spec.Method)
	}
	if q.Method != http.MethodGet {
		q.Query = nil
	}
	return q, nil
}

// retryOf reads retrySettings. Without them nothing is tried twice in one go: a
// request whose answer was lost may have made a credential.
func retryOf(r *v1alpha1.RetrySettings) (provider.Retry, error) {
	tries := 0
	out := provider.Retry{Max: &tries}
	if r == nil {
		return out, nil
	}
	if r.MaxRetries != nil {
		if tries = int(*r.MaxRetries); tries < 0 || tries > 10 {
			return out, errs.Newf(errs.Invalid, "spec.retrySettings.maxRetries is %d: it must be from 0 to 10", tries)
		}
	}
	if r.RetryInterval != nil {
		d, err := time.ParseDuration(*r.RetryInterval)
		if err != nil || d < 0 {
			return out, errs.Newf(errs.Invalid, "spec.retrySettings.retryInterval %q is not a duration such as 2s", *r.RetryInterval)
		}
		out.Wait = d
	}
	return out, nil
}

// generate asks, and says whether something was made that lives on.
func generate(ctx context.Context, cfg generator.Config, loan *vault.Loan, spec v1alpha1.VaultDynamicSecretSpec, q vault.Question) (made generator.Made, lasting bool, err error) {
	k := known{Login: loan.Accessor(), Ends: loan.Ends()}
	if k.Login != "" {
		if err := note(ctx, cfg, k); err != nil {
			return made, false, err
		}
	}
	answer, err := loan.Ask(ctx, q)
	if err != nil {
		return made, false, err
	}
	if answer == nil {
		if spec.AllowEmptyResponse {
			return generator.Made{Data: map[string]redact.Secret{}}, false, nil
		}
		return made, false, errs.Newf(errs.Invalid, "the vault's answer to %s %q is empty: correct spec.path, or set spec.allowEmptyResponse", q.Method, q.Path)
	}
	var ends time.Time
	switch {
	case answer.LeaseID != "":
		k.Lease = answer.LeaseID
		ends, made.Renewable = after(cfg, answer.LeaseDuration), answer.Renewable
	case answer.Auth != nil && answer.Auth.ClientToken != "":
		k.Accessor = answer.Auth.Accessor
		ends, made.Renewable = after(cfg, answer.Auth.LeaseDuration), answer.Auth.Renewable && k.Accessor != ""
	default: // nothing of it ends, or can be taken back
		made.Data, err = valuesOf(answer, spec.ResultType)
		return made, false, err
	}
	if made.Data, err = valuesOf(answer, spec.ResultType); err != nil {
		return made, false, errors.Join(err, useless(ctx, loan, k))
	}
	made.Expires = sooner(ends, k.Ends)
	made.Known, err = json.Marshal(k)
	return made, true, err
}

// useless takes back what came and cannot be used, where that does not end with the
// login.
func useless(ctx context.Context, loan *vault.Loan, k known) error {
	if k.Login != "" {
		return nil
	}
	return finish(ctx, func(ctx context.Context) error { return drop(ctx, loan, k) })
}

func note(ctx context.Context, cfg generator.Config, k known) error {
	if cfg.Note == nil {
		return nil
	}
	raw, err := json.Marshal(k)
	if err != nil {
		return errs.New(errs.Internal, "encoding what is known of a login")
	}
	return cfg.Note(ctx, raw)
}

// after returns the time in so many seconds, which the vault says a thing lives;
// zero for ever.
func after(cfg generator.Config, seconds int) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return cfg.Clock.Now().Add(time.Duration(seconds) * time.Second)
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// valuesOf returns the part of an answer that is asked for.
func valuesOf(answer *api.Secret, part string) (map[string]redact.Secret, error) {
	var from any
	switch part {
	case resultAuth:
		if answer.Auth == nil {
			return nil, errs.New(errs.Invalid, "the vault's answer has no auth: set spec.resultType to Data")
		}
		from = answer.Auth
	case resultRaw:
		from = answer
	default:
		if answer.Data == nil {
			if answer.Auth != nil {
				return nil, errs.New(errs.Invalid, "the vault's answer has no data: set spec.resultType to Auth")
			}
			return map[string]redact.Secret{}, nil
		}
		from = answer.Data
	}
	raw, err := json.Marshal(from)
	if err != nil {
		return nil, errs.New(errs.Internal, "encoding the vault's answer")
	}
	return generator.Values(raw)
}
