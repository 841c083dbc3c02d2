package aws

import (
	"cmp"
	"strings"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
)

// Identity is a login to AWS for who calls other services than a store's.
type Identity struct {
	Access *access.Access
	Client wire.Client
	STS    access.STS
}

// Login says whose an Identity is.
type Login struct {
	Region     string
	Auth       Auth
	Role       string // to assume behind it; none when empty
	ExternalID string // for Role
	At         string // where Auth stands, for messages; "spec.auth." when empty
}

// Identify makes an Identity, which logs in when first used. The caller closes it.
func (p Provider) Identify(cfg provider.Config, l Login) (*Identity, error) {
	if !regions.MatchString(l.Region) {
		return nil, errs.Newf(errs.Invalid, "region is %q: give one such as eu-central-1", l.Region)
	}
	if l.Role != "" && !strings.HasPrefix(l.Role, "arn:") {
		return nil, errs.Newf(errs.Invalid, "role %q is not an ARN such as arn:aws:iam::123456789012:role/reader", l.Role)
	}
	if err := l.Auth.check(); err != nil {
		return nil, err
	}
	getenv := p.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	of := cfg.Scope.Store()
	id := &Identity{Client: wire.NewClient(l.Region, wire.Retry{Max: cfg.Retry.Max, Wait: cfg.Retry.Wait})}
	id.STS = access.STS{Client: id.Client, Endpoint: getenv("AWS_STS_ENDPOINT"), Session: access.SessionName("strongkeep", of.Namespace, of.Name)}
	source, err := p.source(cfg, l.Auth, id.STS, from{getenv, &atomic.Pointer[string]{}, cmp.Or(l.At, "spec.auth.")})
	if err != nil {
		return nil, err
	}
	var roles []access.Role
	if l.Role != "" {
		roles = append(roles, access.Role{ARN: l.Role, ExternalID: l.ExternalID})
	}
	id.Access = access.New(access.Config{Source: source, Roles: roles, STS: id.STS, Clock: cfg.Clock})
	return id, nil
}

// Close ends a login that is under way.
func (i *Identity) Close() {
	i.Access.Close()
	i.Client.HTTP.CloseIdleConnections()
}
