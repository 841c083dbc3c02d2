package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Provider opens stores on API servers.
type Provider struct {
	// Outbound is whom a store may name as its server.
	Outbound outbound.Config
	// Own reaches the operator's own API server. Its credentials are never used; nil:
	// there is none.
	Own *rest.Config
}

var (
	_ provider.Provider = Provider{}
	_ provider.Rated    = Provider{}
	_ provider.Finder   = (*store)(nil)
	_ provider.Writer   = (*store)(nil)
	_ provider.Locator  = (*store)(nil)
)

// Rate is what a client of an API server usually keeps to; servers have their own
// limits (API priority and fairness) beside it.
func (Provider) Rate() (perSecond float64, burst int) { return 50, 100 }

// store is one namespace of one server.
type store struct {
	namespace string
	where     string // the server, for messages
	rest      *rest.RESTClient
	http      *http.Client
	login     *login.Keeper // nil: the credentials are in rest
	// token is what the store logs in with, if it is a token.
	token  func(context.Context) (redact.Secret, error)
	retry  provider.Retry
	clock  clock.Clock
	bounds bounds // of a search
}

// Open reads the settings and the credentials they refer to. It does not connect.
func (p Provider) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	var s Settings
	if err := provider.DecodeSettings(Name, cfg.Settings, &s); err != nil {
		return nil, err
	}
	st := &store{retry: cfg.Retry, clock: cfg.Clock, bounds: searching()}
	err := s.check()
	if err == nil {
		st.namespace = s.RemoteNamespace
		err = opening{p, cfg, s}.connect(ctx, st)
	}
	if err != nil {
		if st.login != nil {
			st.login.Close()
		}
		return nil, errs.Newf(errs.KindOf(err), "spec.provider.kubernetes: %w", err)
	}
	return st, nil
}

// Close ends a login that is under way, and idle connections.
func (s *store) Close(context.Context) error {
	if s.login != nil {
		s.login.Close()
	}
	s.http.CloseIdleConnections()
	return nil
}

// Check asks the server what the store's account may do in the namespace.
func (s *store) Check(ctx context.Context) error {
	review := authorizationv1.SelfSubjectRulesReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectRulesReview"},
		Spec:     authorizationv1.SelfSubjectRulesReviewSpec{Namespace: s.namespace},
	}
	body, err := json.Marshal(review)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a review: %w", err)
	}
	c := call{doing: "asking what this store may", words: true}
	raw, err := s.do(ctx, c, s.rest.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews").Body(body))
	var refused *refusal
	switch {
	case errors.As(err, &refused) && (errs.Is(err, errs.NotExist) || errs.Is(err, errs.Denied)): // of the review itself
		return fmt.Errorf("%w: %w", provider.ErrUnverifiable, err)
	case err != nil:
		return err
	}
	review = authorizationv1.SelfSubjectRulesReview{}
	if json.Unmarshal(raw, &review) != nil || review.Kind != "SelfSubjectRulesReview" {
		return c.garbage()
	}
	switch {
	case mayRead(review.Status.ResourceRules):
		return nil
	case review.Status.Incomplete || review.Status.EvaluationError != "":
		return fmt.Errorf("%w: the API server does not know all that this store may", provider.ErrUnverifiable)
	}
	return errs.Newf(errs.Denied, "this store may not get Secrets in namespace %q: give its account a Role there with the verb get on secrets (and list, to search; create, update and delete, to push)", s.namespace)
}

// mayRead reports whether rules allow some Secret to be read.
func mayRead(rules []authorizationv1.ResourceRule) bool {
	has := func(list []string, one string) bool { return slices.Contains(list, one) || slices.Contains(list, "*") }
	return slices.ContainsFunc(rules, func(r authorizationv1.ResourceRule) bool {
		return has(r.Verbs, "get") && has(r.APIGroups, "") && has(r.Resources, "secrets")
	})
}
