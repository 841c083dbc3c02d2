package gcp

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Login says whose an access token is.
type Login struct {
	ProjectID string // that the login is made in
	Auth      Auth   // as of a store, at spec.auth
}

// workload returns the login with the project of the cluster filled in.
func (l Login) workload() Login {
	if w := l.Auth.WorkloadIdentity; w != nil && w.ClusterProjectID == "" {
		own := *w
		own.ClusterProjectID = l.ProjectID
		l.Auth.WorkloadIdentity = &own
	}
	return l
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
	l = l.workload()
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

// Assertion returns what makes JSON Web Tokens that tell audience who l is, each time
// anew. What can be refused without asking anybody is refused at once. at is where the
// settings stand, for messages.
func (p Provider) Assertion(cfg provider.Config, l Login, audience, at string) (access.Assertion, error) {
	if l.ProjectID != "" && !projects.MatchString(l.ProjectID) {
		return nil, errs.Newf(errs.Invalid, "projectID is %q: give the id of a project such as my-project", l.ProjectID)
	}
	if err := l.Auth.check(); err != nil {
		return nil, err
	}
	l = l.workload()
	open := func() (*access.Client, access.Assertion, error) {
		client, err := access.NewClient(p.getenv)
		if err != nil {
			return nil, nil, err
		}
		assertion, err := p.assertion(cfg, l.Auth, client, audience, at)
		return client, assertion, err
	}
	client, _, err := open()
	if err != nil {
		return nil, err
	}
	client.Close()
	return func(ctx context.Context) (redact.Secret, error) {
		client, assertion, err := open()
		if err != nil {
			return redact.Secret{}, err
		}
		defer client.Close()
		return assertion(ctx)
	}, nil
}

func (p Provider) assertion(cfg provider.Config, a Auth, c *access.Client, audience, at string) (access.Assertion, error) {
	switch {
	case a.SecretRef != nil:
		read, err := secretKey(cfg, "secretRef.secretAccessKeySecretRef", a.SecretRef.SecretAccessKey)
		if err != nil {
			return nil, err
		}
		return access.KeyAssertion(read, audience, cfg.Clock), nil
	case a.WorkloadIdentity != nil:
		w, err := workloadOf(cfg, a.WorkloadIdentity)
		if err != nil {
			return nil, err
		}
		return w.Assertion(c, audience), nil
	}
	if err := p.Ambient.Admit(cfg.Scope, at+"workloadIdentity (or secretRef)"); err != nil {
		return nil, err
	}
	return access.OwnAssertion(c, p.getenv, audience, cfg.Clock), nil
}
