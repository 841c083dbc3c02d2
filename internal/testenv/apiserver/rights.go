package apiserver

import (
	"context"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// InForce waits until whoever as says may do what the roles among objects allow.
// The API server follows roles and bindings that were made as an informer does: a
// request that comes at once may be refused.
func InForce[O any](ctx context.Context, admin *rest.Config, as rest.ImpersonationConfig, objects []O) error {
	c, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, o := range objects {
		var namespace string
		var rules []rbacv1.PolicyRule
		switch role := any(o).(type) {
		case *rbacv1.Role:
			namespace, rules = role.Namespace, role.Rules
		case *rbacv1.ClusterRole:
			rules = role.Rules
		}
		if len(rules) == 0 {
			continue
		}
		// All rules of a role come into force at once.
		review := question(as, namespace, &rules[0])
		err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			answer, err := c.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			return err == nil && answer.Status.Allowed, err
		})
		if err != nil {
			return fmt.Errorf("waiting until %s may %s %s: %w", as.UserName, rules[0].Verbs[0], rules[0].Resources[0], err)
		}
	}
	return nil
}

// question asks for the first thing that a rule allows.
func question(as rest.ImpersonationConfig, namespace string, r *rbacv1.PolicyRule) *authorizationv1.SubjectAccessReview {
	a := &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: r.Verbs[0], Group: r.APIGroups[0], Resource: r.Resources[0]}
	if resource, sub, ok := strings.Cut(a.Resource, "/"); ok {
		a.Resource, a.Subresource = resource, sub
	}
	if len(r.ResourceNames) > 0 {
		a.Name = r.ResourceNames[0]
	}
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: as.UserName, Groups: as.Groups, ResourceAttributes: a}}
}
