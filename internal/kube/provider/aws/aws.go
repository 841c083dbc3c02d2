package aws

import (
	"context"
	"net/http"
	"sync/atomic"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/certificatemanager"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/parameterstore"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/secretsmanager"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Provider opens stores on AWS.
type Provider struct {
	// Getenv reads the operator's environment: its own identity, and other endpoints
	// of the services than AWS's own; nil means an empty one.
	Getenv func(string) string
	// Ambient says which stores may use the operator's own identity.
	Ambient provider.Ambient
}

// The annotations of a ServiceAccount that EKS reads too, and the audience without one.
const (
	annotationRole     = "eks.amazonaws.com/role-arn"
	annotationAudience = "eks.amazonaws.com/audience"
	audience           = "sts.amazonaws.com"
)

// Rate returns a tenth of what Secrets Manager allows an account in a region, whose
// other tenth parts are others'. What the Parameter Store allows is less, and kept
// by its own package, which reads several parameters by one call.
func (Provider) Rate() (perSecond float64, burst int) { return 1000, 1000 }

// service is one that is searched and written to.
type service interface {
	Read(ctx context.Context, req provider.Request) (provider.Value, error)
	provider.Finder
	provider.Writer
}

// store implements provider.Store, provider.Finder and provider.Writer.
type store struct {
	service
	*account
}

// certificates is a store that is read only.
type certificates struct {
	*certificatemanager.Store
	*account
}

// account is what stores of all services have in common.
type account struct {
	access  *access.Access
	sts     access.STS
	viaSTS  bool // logging in has STS take part
	clients *http.Client
	place   place
	ear     ear
}

// Open reads the settings. It does not log in.
func (p Provider) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	var s Settings
	if err := provider.DecodeSettings(Name, cfg.Settings, &s); err != nil {
		return nil, err
	}
	st, err := p.open(ctx, cfg, s)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.provider.aws: %w", err)
	}
	return st, nil
}

func (p Provider) open(ctx context.Context, cfg provider.Config, s Settings) (provider.Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	roles, err := s.roles(cfg.Scope.Store())
	if err != nil {
		return nil, err
	}
	getenv := p.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	client := wire.NewClient(s.Region, wire.Retry{Max: cfg.Retry.Max, Wait: cfg.Retry.Wait})
	key := cfg.Scope.Store()
	st := &account{
		sts:     access.STS{Client: client, Endpoint: getenv("AWS_STS_ENDPOINT"), Session: access.SessionName("strongkeep", key.Namespace, key.Name)},
		viaSTS:  len(roles) > 0 || s.Auth.JWT != nil,
		clients: client.HTTP,
		ear:     ear{client, getenv("AWS_SQS_ENDPOINT"), cfg.Clock, cfg.Log},
	}
	known := &atomic.Pointer[string]{}
	source, err := p.source(cfg, s.Auth, st.sts, from{getenv, known, "spec.provider.aws.auth."})
	if err != nil {
		return nil, err
	}
	if st.place = placeOf(s, known, getenv); st.place.fixed == "" {
		noteAccount(ctx, cfg, s.Auth, known)
	}
	st.access = access.New(access.Config{Source: source, Roles: roles, STS: st.sts, Clock: cfg.Clock})
	switch s.Service {
	case CertificateManager:
		return &certificates{account: st, Store: certificatemanager.New(certificatemanager.Config{
			Client: client, Access: st.access, Endpoint: getenv("AWS_ACM_ENDPOINT"), Clock: cfg.Clock,
		})}, nil
	case SecretsManager:
		return &store{account: st, service: secretsmanager.New(secretsmanager.Config{
			Client: client, Access: st.access, Endpoint: getenv("AWS_SECRETSMANAGER_ENDPOINT"), Prefix: s.Prefix, Clock: cfg.Clock,
			ForceDelete: s.SecretsManager.ForceDeleteWithoutRecovery, RecoveryDays: s.SecretsManager.RecoveryWindowInDays,
		})}, nil
	}
	return &store{account: st, service: parameterstore.New(parameterstore.Config{
		Client: client, Access: st.access, Endpoint: getenv("AWS_SSM_ENDPOINT"), Prefix: s.Prefix, Clock: cfg.Clock,
	})}, nil
}

// source returns where credentials come from. References that cross a namespace are
// refused here, and not only when they are followed.
func (p Provider) source(cfg provider.Config, a Auth, sts access.STS, f from) (access.Source, error) {
	switch {
	case a.JWT != nil:
		return webIdentity(cfg, *a.JWT.ServiceAccountRef, sts, f.account)
	case a.SecretRef != nil:
		return key(cfg, *a.SecretRef, f.account)
	}
	if err := p.Ambient.Admit(cfg.Scope, f.at+"jwt (or secretRef)"); err != nil {
		return nil, err
	}
	return access.Own(sts, f.getenv), nil
}

// from is what a source is made from beside settings; account is where that of a
// ServiceAccount's role is noted, at where the settings stand, for messages.
type from struct {
	getenv  func(string) string
	account *atomic.Pointer[string]
	at      string
}

// noteAccount notes the account of the role that a ServiceAccount stands for, or of an access
// key, where it can be read now. Each login does too.
func noteAccount(ctx context.Context, cfg provider.Config, a Auth, account *atomic.Pointer[string]) {
	if a.SecretRef != nil {
		if id, err := secretKey(cfg, "auth.secretRef.accessKeyIDSecretRef", &a.SecretRef.AccessKeyID); err == nil {
			if read, err := id(ctx); err == nil {
				noteKey(account, cfg, a.SecretRef, read.RevealString())
			}
		}
		return
	}
	ref, err := cfg.Scope.Ref("auth.jwt.serviceAccountRef", a.JWT.ServiceAccountRef.Namespace, a.JWT.ServiceAccountRef.Name)
	if err != nil {
		return
	}
	if annotations, err := cfg.Cluster.ServiceAccountAnnotations(ctx, ref); err == nil {
		note(account, annotations[annotationRole])
	}
}

// noteKey notes the account of an access key; where its id tells none, whose key it is: who
// has the same has the same secrets.
func noteKey(account *atomic.Pointer[string], cfg provider.Config, from *SecretRef, id string) {
	of := accountOfKey(id)
	if of == "" {
		namespace := cfg.Scope.Store().Namespace
		if from.AccessKeyID.Namespace != nil {
			namespace = *from.AccessKeyID.Namespace
		}
		of = "key of " + namespace + "," + from.AccessKeyID.Name + "," + from.AccessKeyID.Key
	}
	account.Store(&of)
}

func note(account *atomic.Pointer[string], role string) {
	if id := accountOf(role); id != "" {
		account.Store(&id)
	}
}

func webIdentity(cfg provider.Config, sel v1.ServiceAccountSelector, sts access.STS, known *atomic.Pointer[string]) (access.Source, error) {
	ref, err := cfg.Scope.Ref("auth.jwt.serviceAccountRef", sel.Namespace, sel.Name)
	if err != nil {
		return nil, err
	}
	return access.WebIdentity(sts, func(ctx context.Context) (string, redact.Secret, error) {
		annotations, err := cfg.Cluster.ServiceAccountAnnotations(ctx, ref)
		if err != nil {
			return "", redact.Secret{}, err
		}
		role := annotations[annotationRole]
		if role == "" {
			return "", redact.Secret{}, errs.Newf(errs.Invalid, "ServiceAccount %q has no role: annotate it with %s", ref, annotationRole)
		}
		note(known, role)
		audiences := []string{audience}
		if named := annotations[annotationAudience]; named != "" {
			audiences[0] = named
		}
		token, err := cfg.Cluster.ServiceAccountToken(ctx, ref, append(audiences, sel.Audiences...))
		return role, token, err
	}), nil
}

func key(cfg provider.Config, from SecretRef, known *atomic.Pointer[string]) (access.Source, error) {
	read := make([]func(context.Context) (redact.Secret, error), 0, 3)
	refs := []struct {
		field string
		sel   *v1.SecretKeySelector
	}{
		{"auth.secretRef.accessKeyIDSecretRef", &from.AccessKeyID},
		{"auth.secretRef.secretAccessKeySecretRef", &from.SecretAccessKey},
		{"auth.secretRef.sessionTokenSecretRef", from.SessionToken},
	}
	for _, r := range refs {
		if r.sel == nil {
			read = append(read, func(context.Context) (redact.Secret, error) { return redact.Secret{}, nil })
			continue
		}
		one, err := secretKey(cfg, r.field, r.sel)
		if err != nil {
			return nil, err
		}
		read = append(read, one)
	}
	return func(ctx context.Context) (sdk.Credentials, error) {
		var parts [3]string
		for i, one := range read {
			part, err := one(ctx)
			if err != nil {
				return sdk.Credentials{}, err
			}
			parts[i] = part.RevealString()
		}
		if parts[0] == "" || parts[1] == "" {
			return sdk.Credentials{}, errs.New(errs.Unauthenticated, "auth.secretRef: the access key in the Secret is empty")
		}
		noteKey(known, cfg, &from, parts[0])
		return sdk.Credentials{AccessKeyID: parts[0], SecretAccessKey: parts[1], SessionToken: parts[2]}, nil
	}, nil
}

func secretKey(cfg provider.Config, field string, sel *v1.SecretKeySelector) (func(context.Context) (redact.Secret, error), error) {
	ref, err := cfg.Scope.Ref(field, sel.Namespace, sel.Name)
	if err != nil {
		return nil, err
	}
	if sel.Key == "" {
		return nil, errs.Newf(errs.Invalid, "%s: key is missing", field)
	}
	return func(ctx context.Context) (redact.Secret, error) { return cfg.Cluster.SecretKey(ctx, ref, sel.Key) }, nil
}

// Check asks STS who the credentials are, which needs no permission. Where STS
// cannot be reached and the login does not need it, that says nothing of the store.
func (s *account) Check(ctx context.Context) error {
	if _, err := s.access.Retrieve(ctx); err != nil {
		return err
	}
	err := s.sts.Caller(ctx, s.access)
	if errs.Is(err, errs.Unavailable) && !s.viaSTS {
		return errs.Newf(errs.Unsupported, "%w: %w", provider.ErrUnverifiable, err)
	}
	return err
}

// Close ends a login that is under way. What AWS gave ends by itself.
func (s *account) Close(context.Context) error {
	s.access.Close()
	s.clients.CloseIdleConnections()
	return nil
}
