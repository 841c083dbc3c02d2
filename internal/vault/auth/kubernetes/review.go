package kubernetes

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// tokenReview is authentication.k8s.io/v1 TokenReview, as far as it matters.
type tokenReview struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Spec       reviewSpec   `json:"spec"`
	Status     reviewStatus `json:"status,omitzero"`
}

type reviewSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences,omitempty"`
}

type reviewStatus struct {
	Authenticated bool     `json:"authenticated"`
	Audiences     []string `json:"audiences"`
	Error         string   `json:"error"`
	User          struct {
		Username string `json:"username"` // system:serviceaccount:<namespace>:<name>
		UID      string `json:"uid"`
	} `json:"user"`
}

// review asks the API server whose token jwt is. audience "" means the API
// server's own. Kinds: Denied (it is nobody's; what the server said is in
// detail, for the log), Unavailable.
func (a *api) review(ctx context.Context, jwt, audience string) (id identity, detail string, err error) {
	ask := tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview", Spec: reviewSpec{Token: jwt}}
	if audience != "" {
		ask.Spec.Audiences = []string{audience}
	}
	var answer tokenReview
	status, err := a.call(ctx, http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", ask, &answer)
	if err != nil {
		return identity{}, "", err
	}
	if status/100 != 2 {
		return identity{}, "", a.refused(status)
	}
	s := &answer.Status
	if !s.Authenticated || s.Error != "" {
		return identity{}, s.Error, errs.New(errs.Denied,
			"permission denied: the Kubernetes API server does not accept the jwt: it has expired, is for another audience or cluster, or its pod or ServiceAccount was deleted")
	}
	// A server that knows nothing of audiences ignores the question.
	if audience != "" && !slices.Contains(s.Audiences, audience) {
		return identity{}, "the server did not confirm the audience", errs.New(errs.Denied,
			"permission denied: the Kubernetes API server did not confirm the audience of the jwt")
	}
	namespace, name, ok := account(s.User.Username)
	if !ok {
		return identity{}, "not a service account", errs.New(errs.Denied, "permission denied: the jwt is not the token of a Kubernetes ServiceAccount")
	}
	return identity{namespace: namespace, name: name, uid: s.User.UID}, "", nil
}

// account takes a ServiceAccount's user name apart.
func account(username string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(username, "system:serviceaccount:")
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	return namespace, name, ok && namespace != "" && name != "" && !strings.Contains(name, ":")
}

// refused explains a status other than 2xx to a TokenReview.
func (a *api) refused(status int) error {
	switch {
	case status == http.StatusUnauthorized && a.own:
		return errs.New(errs.Denied, "permission denied: the Kubernetes API server does not accept the jwt")
	case status == http.StatusForbidden && a.own:
		return errs.New(errs.Denied, "permission denied: the jwt's ServiceAccount may not create TokenReviews: bind it to the ClusterRole system:auth-delegator, or set token_reviewer_jwt in the method's config")
	case status == http.StatusUnauthorized:
		return errs.Newf(errs.Unavailable, "the Kubernetes API server at %s does not accept the reviewer's token (status 401): renew token_reviewer_jwt in the method's config", a.host)
	case status == http.StatusForbidden:
		return errs.Newf(errs.Unavailable, "the Kubernetes API server at %s does not let the reviewer create TokenReviews (status 403): bind its ServiceAccount to the ClusterRole system:auth-delegator", a.host)
	}
	return errs.Newf(errs.Unavailable, "the Kubernetes API server at %s answered a TokenReview with status %d", a.host, status)
}

// namespaceLabels returns the labels of a namespace. Kind Unavailable: they
// cannot be had.
func (a *api) namespaceLabels(ctx context.Context, name string) (map[string]string, error) {
	var answer struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	status, err := a.call(ctx, http.MethodGet, "/api/v1/namespaces/"+url.PathEscape(name), nil, &answer)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return nil, errs.Newf(errs.Unavailable,
			"the Kubernetes API server at %s does not let the reviewer get namespaces (status %d), which the role's namespace selector needs: grant it \"get\" on \"namespaces\"", a.host, status)
	case status/100 != 2:
		return nil, errs.Newf(errs.Unavailable, "the Kubernetes API server at %s answered a get of a namespace with status %d", a.host, status)
	}
	return answer.Metadata.Labels, nil
}
