package rescue

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// Servers are API servers. Of objects they are asked for metadata only. A nil Servers has
// none.
type Servers struct {
	all  []*server
	rest *rest.Config // of all, but for the address
}

type server struct {
	url    string
	set    kubernetes.Interface
	meta   metadata.Interface
	mapper meta.RESTMapper
}

// Connect makes clients of API servers by their addresses; without any, of that of cfg.
func Connect(cfg *rest.Config, urls []string) (*Servers, error) {
	if len(urls) == 0 {
		urls = []string{cfg.Host}
	}
	s := &Servers{rest: cfg}
	for _, url := range urls {
		one, err := connect(cfg, url)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "making a client of the API server at %s: %w", url, err)
		}
		s.all = append(s.all, one)
	}
	return s, nil
}

func connect(cfg *rest.Config, url string) (*server, error) {
	to := rest.CopyConfig(cfg)
	to.Host, to.QPS, to.WarningHandler = url, -1, rest.NoWarnings{}
	shared, err := rest.HTTPClientFor(to)
	if err != nil {
		return nil, err
	}
	s := &server{url: url}
	if s.set, err = kubernetes.NewForConfigAndClient(to, shared); err != nil {
		return nil, err
	}
	if s.meta, err = metadata.NewForConfigAndClient(to, shared); err != nil {
		return nil, err
	}
	s.mapper, err = apiutil.NewDynamicRESTMapper(to, shared)
	return s, err
}

func (s *Servers) urls() []string {
	if s == nil {
		return nil
	}
	var urls []string
	for _, one := range s.all {
		urls = append(urls, one.url)
	}
	return urls
}

// sight is which API servers read an object now, and of which it is not clear.
type sight struct{ readers, unclear []string }

func (s *Servers) see(ctx context.Context, o stored.Object) (seen sight, err error) {
	if s == nil {
		return seen, nil
	}
	for _, one := range s.all {
		reads, err := one.reads(ctx, o)
		switch {
		case errors.Is(err, errUnclear):
			seen.unclear = append(seen.unclear, one.url)
		case err != nil:
			return seen, err
		case reads:
			seen.readers = append(seen.readers, one.url)
		}
	}
	return seen, nil
}

// at is where to ask for an object.
func (s *server) at(o stored.Object) (from metadata.ResourceInterface, name string, err error) {
	gvr, _, err := s.resolve(o.Resource)
	if err != nil {
		return nil, "", err
	}
	namespace, name, ok := strings.Cut(o.Name, "/")
	if !ok {
		return s.meta.Resource(gvr), namespace, nil
	}
	return s.meta.Resource(gvr).Namespace(namespace), name, nil
}

// resolve finds the version of a resource that the API server prefers, and whether its
// objects are in namespaces.
func (s *server) resolve(resource string) (found schema.GroupVersionResource, namespaced bool, err error) {
	gr := schema.ParseGroupResource(resource)
	found, err = s.mapper.ResourceFor(gr.WithVersion(""))
	switch {
	case meta.IsNoMatchError(err), err == nil && found.GroupResource() != gr:
		return found, false, errs.Newf(errs.NotExist, "the API server at %s has no resource %q: name it as kubectl api-resources does, with its group: RESOURCE.GROUP", s.url, resource)
	case err != nil:
		return found, false, s.explain(err, "asking for resources")
	}
	kind, err := s.mapper.KindFor(found)
	if err != nil {
		return found, false, s.explain(err, "asking for resources")
	}
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return found, false, s.explain(err, "asking for resources")
	}
	return found, mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// errUnclear is an answer that does not say whether an object can be read.
var errUnclear = errs.New(errs.Unavailable, "the API server fails, and not because the object does not decrypt")

// reads reports whether the API server reads an object. Without a resourceVersion it reads
// it from etcd, with the keys that it has in memory. Errors are errUnclear, and others.
func (s *server) reads(ctx context.Context, o stored.Object) (bool, error) {
	from, name, err := s.at(o)
	if err != nil {
		return false, err
	}
	_, err = from.Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		return true, nil
	case undecrypted(err):
		return false, nil
	case code(err) == http.StatusInternalServerError:
		return false, errUnclear
	case apierrors.IsNotFound(err):
		return false, errs.Newf(errs.Conflict, "the API server at %s has no %s %s: is what was read its etcd, and as it is now? Name the right one, or leave out the API server", s.url, o.Resource, o.Name)
	}
	return false, s.explain(err, "reading "+o.Resource)
}

// undecrypted reports whether a GET failed since the object does not decrypt or decode: an
// API server makes an InternalError of nothing else there, and none of what etcd says
// (k8s.io/apiserver/pkg/storage/errors, InterpretGetError). What is no Status, as a proxy's
// page or a panic, client-go gives the same reason, and a cause that tells.
func undecrypted(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	if apierrors.ReasonForError(err) == metav1.StatusReasonStoreReadError {
		return true
	}
	return apierrors.IsInternalError(err) && strings.HasPrefix(status.Status().Message, "Internal error occurred: ") && !apierrors.IsUnexpectedServerError(err)
}

// code is the HTTP status of an API server's answer, 0 if it did not answer.
func code(err error) int32 {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return 0
	}
	return status.Status().Code
}

// allowed asks for a right in all namespaces.
func (s *server) allowed(ctx context.Context, verb string, gr schema.GroupResource) error {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: gr.Group, Resource: gr.Resource},
	}}
	answer, err := s.set.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return s.explain(err, "asking for rights")
	}
	if !answer.Status.Allowed {
		return errs.Newf(errs.Denied, "the right to %s %s in all namespaces is missing: nothing was deleted", verb, gr)
	}
	return nil
}

// explain gives an error of the API server a kind. Its text may quote an object, so that
// only the reason is taken.
func (s *server) explain(err error, doing string) error {
	switch reason := apierrors.ReasonForError(err); {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case apierrors.IsForbidden(err):
		return errs.Newf(errs.Denied, "%s: the API server at %s does not allow it", doing, s.url)
	case apierrors.IsUnauthorized(err):
		return errs.Newf(errs.Unauthenticated, "%s: the API server at %s does not know who asks: log in to the cluster anew", doing, s.url)
	case code(err) != 0:
		return errs.Newf(errs.Unavailable, "%s: the API server at %s says %s", doing, s.url, cmp.Or(string(reason), http.StatusText(int(code(err)))))
	}
	return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
}
