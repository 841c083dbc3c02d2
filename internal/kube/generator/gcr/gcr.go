package gcr

import (
	"context"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind asks Google.
type Kind struct{ Google gcp.Provider }

var _ generator.Kind = Kind{}

// spec is v1alpha1.GCRAccessTokenSpec, with the login as the provider reads it.
type spec struct {
	Auth      gcp.Auth `json:"auth"`
	ProjectID string   `json:"projectID"`
}

// user is what Google's registries want to hear with an access token.
const user = "oauth2accesstoken"

// Generate implements generator.Kind.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var s spec
	if err := generator.Decode(cfg.Spec, &s); err != nil {
		return generator.Made{}, err
	}
	token, err := k.Google.AccessToken(ctx, provider.Config{Scope: cfg.Scope, Cluster: cfg.Cluster, Clock: cfg.Clock, Log: cfg.Log},
		gcp.Login{ProjectID: s.ProjectID, Auth: s.Auth})
	if err != nil {
		return generator.Made{}, errs.Newf(errs.KindOf(err), "spec: %w", err)
	}
	if token.Expires.IsZero() { // what nobody could renew in time
		return generator.Made{}, errs.New(errs.Unavailable, "Google's answer does not say when the token ends")
	}
	return generator.Made{Expires: token.Expires, Data: map[string]redact.Secret{
		"username": redact.FromString(user), "password": token.Value,
		"expiry": redact.FromString(strconv.FormatInt(token.Expires.Unix(), 10)),
	}}, nil
}
