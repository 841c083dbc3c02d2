package gcp

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// Login says whose an access token is.
type Login struct {
	ProjectID string // that the login is made in
	Auth      Auth   // as of a store, at spec.auth
}

// AccessToken logs in anew and returns the token, for who gives it to others. Its
// failures are never NotExist.
func (p Provider) AccessToken(ctx context.Context, cfg provider.Config, l Login) (login.Token, error) {
	if !projects.MatchString(l.ProjectID) {
		return login.Token{}, errs.Newf(errs.Invalid, "projectID is %q: give the id of a project such as my-project", l.ProjectID)
	}
	if err := l.Auth.check(); err != nil {
		return login.Token{}, err
	}
	if w := l.Auth.WorkloadIdentity; w != nil && w.ClusterProjectID == "" {
		own := *w
		own.ClusterProjectID = l.ProjectID
		l.Auth.WorkloadIdentity = &own
	}
	client, err := access.NewClient(p.getenv)
	if err != nil {
		return login.Token{}, err
	}
	defer client.Close()
	source, err := p.source(cfg, l.Auth, client, "spec.auth.")
	if err != nil {
		return login.Token{}, err
	}
	once := login.New("Google", source, cfg.Clock)
	defer once.Close()
	return once.Token(ctx)
}
