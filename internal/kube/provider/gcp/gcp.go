package gcp

import (
	"context"
	"log/slog"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/secretmanager"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Provider opens stores on Google Secret Manager.
type Provider struct {
	// Getenv reads the operator's environment: its own identity, and other endpoints
	// of the services than Google's own; nil means an empty one.
	Getenv func(string) string
	// Ambient says which stores may use the operator's own identity.
	Ambient provider.Ambient
}

var _ provider.Provider = Provider{}

// Rate returns a tenth of the accesses that Google allows a project, 90,000 a minute.
// Lists, descriptions and writes, of which it allows less, are held back by the
// package secretmanager.
func (Provider) Rate() (perSecond float64, burst int) { return 150, 150 }

// store implements provider.Store, provider.Finder and provider.Writer.
type store struct {
	*secretmanager.Store
	login    *login.Keeper
	client   *access.Client
	project  string // "" where the settings do not say
	location string

	ear      queue.Config // what a queue beside it is read with
	log      *slog.Logger
	listener *listener // nil: none
}

// Open reads the settings. It does not log in.
func (p Provider) Open(_ context.Context, cfg provider.Config) (provider.Store, error) {
	var s Settings
	if err := provider.DecodeSettings(Name, cfg.Settings, &s); err != nil {
		return nil, err
	}
	st, err := p.open(cfg, s)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.provider.gcpsm: %w", err)
	}
	return st, nil
}

func (p Provider) open(cfg provider.Config, s Settings) (provider.Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	client, err := access.NewClient(p.getenv)
	if err != nil {
		return nil, err
	}
	source, err := p.source(cfg, s.Auth, client, "spec.provider.gcpsm.auth.")
	if err != nil {
		return nil, err
	}
	st := &store{login: login.New("Google", source, cfg.Clock), client: client, project: named(s), location: s.Location, log: cfg.Log}
	st.ear = queue.Config{Endpoint: p.getenv("GCP_PUBSUB_ENDPOINT"), Retry: cfg.Retry, Clock: cfg.Clock}
	st.Store, err = secretmanager.New(secretmanager.Config{
		Login: st.login, Endpoint: p.getenv("GCP_SECRETMANAGER_ENDPOINT"), Project: project(s, client), Location: s.Location,
		LatestOrFetch: s.Policy == LatestOrFetch, Retry: cfg.Retry, Clock: cfg.Clock,
	})
	return st, err
}

func (p Provider) getenv(name string) string {
	if p.Getenv == nil {
		return ""
	}
	return p.Getenv(name)
}

// named returns the project that the settings name, "" for none.
func named(s Settings) string {
	if w := s.Auth.WorkloadIdentity; s.ProjectID == "" && w != nil {
		return w.ClusterProjectID
	}
	return s.ProjectID
}

// project returns what tells the project: the settings, or the cluster's own.
func project(s Settings, c *access.Client) func(context.Context) (string, error) {
	id := named(s)
	return func(ctx context.Context) (string, error) {
		id := id
		err := c.Metadata(ctx, &id, "project/project-id", "spec.provider.gcpsm.projectID")
		return id, err
	}
}

// source returns what logs in, by what stands at a field. References that cross a
// namespace are refused here, and not only when they are followed.
func (p Provider) source(cfg provider.Config, a Auth, c *access.Client, at string) (login.Source, error) {
	switch {
	case a.SecretRef != nil:
		read, err := secretKey(cfg, "auth.secretRef.secretAccessKeySecretRef", a.SecretRef.SecretAccessKey)
		if err != nil {
			return nil, err
		}
		return access.Key(c, read), nil
	case a.WorkloadIdentity != nil:
		w, err := workloadOf(cfg, a.WorkloadIdentity)
		if err != nil {
			return nil, err
		}
		return w.Source(c), nil
	case a.WorkloadIdentityFederation != nil:
		return p.federation(cfg, a.WorkloadIdentityFederation, c, at)
	}
	if err := p.Ambient.Admit(cfg.Scope, at+"workloadIdentity (or another auth)"); err != nil {
		return nil, err
	}
	return access.Own(c, p.getenv, cfg.Clock), nil
}

func workloadOf(cfg provider.Config, w *WorkloadIdentity) (access.Workload, error) {
	account, err := accountOf(cfg, "auth.workloadIdentity.serviceAccountRef", w.ServiceAccountRef)
	return access.Workload{
		Project: w.ClusterProjectID, Location: w.ClusterLocation, Cluster: w.ClusterName, Account: account, Clock: cfg.Clock,
	}, err
}

func (p Provider) federation(cfg provider.Config, w *WorkloadIdentityFederation, c *access.Client, at string) (login.Source, error) {
	const field = "auth.workloadIdentityFederation."
	f := access.Federation{Audience: w.Audience, Email: w.GCPServiceAccountEmail, URL: w.ExternalTokenEndpoint}
	switch {
	case w.ServiceAccountRef != nil:
		account, err := accountOf(cfg, field+"serviceAccountRef", *w.ServiceAccountRef)
		if err != nil {
			return nil, err
		}
		if len(w.ServiceAccountRef.Audiences) > 0 { // the pool's provider admits these instead
			account.instead = true
		}
		f.Account = account
	case w.AWS != nil:
		ref, err := cfg.Scope.Ref(field+"awsSecurityCredentials.awsCredentialsSecretRef", inNamespace(w.AWS.SecretRef.Namespace), w.AWS.SecretRef.Name)
		if err != nil {
			return nil, err
		}
		f.AWS = func(ctx context.Context) (access.AWSKey, error) { return awsKey(ctx, cfg.Cluster, ref, w.AWS.Region) }
	default:
		ref, err := cfg.Scope.Ref(field+"credConfig", inNamespace(w.CredConfig.Namespace), w.CredConfig.Name)
		if err != nil {
			return nil, err
		}
		// What such a document names is the operator's: its files, its network, its node.
		if err := p.Ambient.Admit(cfg.Scope, strings.TrimSuffix(at, "auth.")+field+"serviceAccountRef instead of credConfig"); err != nil {
			return nil, err
		}
		f.Config = func(ctx context.Context) (string, error) { return cfg.Cluster.ConfigMapKey(ctx, ref, w.CredConfig.Key) }
	}
	return f.Source(c), nil
}

func inNamespace(namespace string) *string {
	if namespace == "" {
		return nil
	}
	return &namespace
}

func secretKey(cfg provider.Config, field string, sel v1.SecretKeySelector) (func(context.Context) (redact.Secret, error), error) {
	ref, err := cfg.Scope.Ref(field, sel.Namespace, sel.Name)
	if err != nil {
		return nil, err
	}
	if sel.Key == "" {
		return nil, errs.Newf(errs.Invalid, "%s: key is missing", field)
	}
	return func(ctx context.Context) (redact.Secret, error) { return cfg.Cluster.SecretKey(ctx, ref, sel.Key) }, nil
}

// The keys of a Secret with an access key of AWS, of which the last may be missing.
const (
	awsID      = "aws_access_key_id"
	awsSecret  = "aws_secret_access_key"
	awsSession = "aws_session_token"
)

func awsKey(ctx context.Context, cluster provider.Cluster, ref provider.Ref, region string) (access.AWSKey, error) {
	key := access.AWSKey{Region: region}
	id, err := cluster.SecretKey(ctx, ref, awsID)
	if err != nil {
		return key, err
	}
	key.ID = id.RevealString()
	if key.Secret, err = cluster.SecretKey(ctx, ref, awsSecret); err != nil {
		return key, err
	}
	if session, err := cluster.SecretKey(ctx, ref, awsSession); err == nil {
		key.SessionToken = session
	}
	return key, nil
}

// annotationEmail names the service account of Google that a ServiceAccount stands
// for, as for GKE.
const annotationEmail = "iam.gke.io/gcp-service-account"

// account is a ServiceAccount. It implements access.Account.
type account struct {
	cluster   provider.Cluster
	ref       provider.Ref
	audiences []string // more than the one that is asked for
	instead   bool     // or in place of it
}

func accountOf(cfg provider.Config, field string, sel v1.ServiceAccountSelector) (*account, error) {
	ref, err := cfg.Scope.Ref(field, sel.Namespace, sel.Name)
	if err != nil {
		return nil, err
	}
	return &account{cluster: cfg.Cluster, ref: ref, audiences: sel.Audiences}, nil
}

// Token implements access.Account.
func (a *account) Token(ctx context.Context, audience string) (redact.Secret, error) {
	if a.instead {
		return a.cluster.ServiceAccountToken(ctx, a.ref, a.audiences)
	}
	return a.cluster.ServiceAccountToken(ctx, a.ref, append([]string{audience}, a.audiences...))
}

// Email implements access.Account.
func (a *account) Email(ctx context.Context) (string, error) {
	annotations, err := a.cluster.ServiceAccountAnnotations(ctx, a.ref)
	return annotations[annotationEmail], err
}

// Close ends a login that is under way, and the connections. What Google gave ends by
// itself.
func (s *store) Close(context.Context) error {
	s.login.Close()
	s.client.Close()
	if s.listener != nil {
		_ = s.listener.queue.Close() // as good as closed
	}
	return s.Store.Close()
}
