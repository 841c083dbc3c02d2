package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Manager is the field manager of what is written. It comes to own nothing.
const Manager = "strongkeep-rewrite"

// What is asked for: metadata only.
const (
	metadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	metadataOne  = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
)

// api is the API server.
type api struct {
	set    kubernetes.Interface
	client rest.Interface
	other  rest.Interface // has a connection of its own
	mapper meta.RESTMapper
}

// target is a resource to rewrite.
type target struct {
	schema.GroupVersionResource
	name string // as it was given
}

// identity is all that is taken of an object's metadata.
type identity struct {
	Name            string    `json:"name"`
	Namespace       string    `json:"namespace"`
	UID             types.UID `json:"uid"`
	ResourceVersion string    `json:"resourceVersion"`
}

func (o *identity) String() string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

type item struct {
	Metadata identity `json:"metadata"`
}

type page struct {
	Metadata struct {
		Continue  string `json:"continue"`
		Remaining int64  `json:"remainingItemCount"`
	} `json:"metadata"`
	Items []item `json:"items"`
}

func connect(cfg *rest.Config) (*api, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // the API server's priority and fairness is the better judge
	cfg.DisableCompression = true
	cfg.WarningHandler = rest.NoWarnings{} // they may quote an object
	shared, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of the API server: %w", err)
	}
	set, err := kubernetes.NewForConfigAndClient(cfg, shared)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of the API server: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, shared)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of the API server: %w", err)
	}
	apart := rest.CopyConfig(cfg)
	if apart.Dial == nil {
		apart.Dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	other, err := kubernetes.NewForConfig(apart) // one with a dialer shares no connection
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of the API server: %w", err)
	}
	return &api{set, set.Discovery().RESTClient(), other.Discovery().RESTClient(), mapper}, nil
}

// probe asks for something small as others do: the note, from etcd.
func (a *api) probe(ctx context.Context, namespace string) error {
	return a.other.Get().AbsPath("api", "v1", "namespaces", namespace, "configmaps", NoteName).SetHeader("Accept", metadataOne).MaxRetries(0).Do(ctx).Error()
}

// resolve finds the version of each resource that the API server prefers.
func (a *api) resolve(ctx context.Context, names []string) ([]target, error) {
	var all []target
	seen := map[schema.GroupResource]bool{}
	for _, name := range names {
		gr := schema.ParseGroupResource(name)
		if gr.Resource == "" || strings.ContainsAny(name, "*/ ") {
			return nil, errs.Newf(errs.Invalid, "resource %q: name each resource as RESOURCE or RESOURCE.GROUP, such as secrets or certificates.cert-manager.io", name)
		}
		found, err := a.mapper.ResourceFor(gr.WithVersion(""))
		switch {
		case meta.IsNoMatchError(err), err == nil && found.Group != gr.Group:
			return nil, errs.Newf(errs.NotExist, "the API server has no resource %q: name it as kubectl api-resources does, with its group: RESOURCE.GROUP", name)
		case err != nil:
			return nil, explain(err, "asking for resources")
		case seen[found.GroupResource()]:
			return nil, errs.Newf(errs.Invalid, "resource %s is named twice", name)
		}
		seen[found.GroupResource()] = true
		all = append(all, target{found, name})
	}
	return all, ctx.Err()
}

// allowed asks for every right before anything is written.
func (a *api) allowed(ctx context.Context, targets []target, namespace string) error {
	var rights []authorizationv1.ResourceAttributes
	for i := range targets {
		rights = append(rights, rightsOf("", targets[i].GroupResource(), "list", "get", "patch")...)
	}
	rights = append(rights, rightsOf(namespace, schema.GroupResource{Resource: "configmaps"}, "get", "create", "patch", "delete")...)
	missing, err := a.missing(ctx, rights)
	if err == nil && missing != "" {
		err = errs.Newf(errs.Denied, "%s is missing: nothing was written; docs/encryption.md has the role", missing)
	}
	return err
}

func rightsOf(namespace string, gr schema.GroupResource, verbs ...string) (rights []authorizationv1.ResourceAttributes) {
	for _, verb := range verbs {
		rights = append(rights, authorizationv1.ResourceAttributes{Verb: verb, Group: gr.Group, Resource: gr.Resource, Namespace: namespace})
	}
	return rights
}

// missing is the first right that we do not have, in words.
func (a *api) missing(ctx context.Context, rights []authorizationv1.ResourceAttributes) (string, error) {
	for i := range rights {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &rights[i]}}
		answer, err := a.set.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return "", explain(err, "asking for rights")
		}
		if !answer.Status.Allowed {
			where := "in all namespaces"
			if rights[i].Namespace != "" {
				where = "in namespace " + rights[i].Namespace
			}
			return fmt.Sprintf("the right to %s %s %s", rights[i].Verb, rights[i].Resource, where), nil
		}
	}
	return "", nil
}

// path is that of all objects of t, or of one.
func (t *target) path(o *identity) []string {
	var p []string
	if t.Group == "" {
		p = []string{"api", t.Version}
	} else {
		p = []string{"apis", t.Group, t.Version}
	}
	switch {
	case o == nil:
		return append(p, t.Resource)
	case o.Namespace != "":
		p = append(p, "namespaces", o.Namespace)
	}
	return append(p, t.Resource, o.Name)
}

func (a *api) list(ctx context.Context, t *target, limit int, token string) (*page, error) {
	request := a.client.Get().AbsPath(t.path(nil)...).Param("limit", strconv.Itoa(limit)).SetHeader("Accept", metadataList).MaxRetries(0)
	if token != "" {
		request = request.Param("continue", token)
	}
	raw, err := request.Do(ctx).Raw()
	if err != nil {
		if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) {
			return nil, &expired{followUp(raw)}
		}
		return nil, err
	}
	p := &page{}
	return p, decode(raw, p)
}

// touch writes an object as it is, if it is of the version that was listed, and
// returns the version that it is of then.
func (a *api) touch(ctx context.Context, t *target, o *identity) (string, error) {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": o.UID, "resourceVersion": o.ResourceVersion}})
	if err != nil {
		return "", errs.Newf(errs.Internal, "encoding a patch: %w", err)
	}
	raw, err := a.client.Patch(types.MergePatchType).AbsPath(t.path(o)...).Param("fieldManager", Manager).
		Param("fieldValidation", metav1.FieldValidationIgnore). // of what is there already, which is not ours to judge
		SetHeader("Accept", metadataOne).Body(body).MaxRetries(0).Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	var answer item
	return answer.Metadata.ResourceVersion, errors.Join(decode(raw, &answer))
}

func (a *api) identity(ctx context.Context, t *target, o *identity) (*identity, error) {
	raw, err := a.client.Get().AbsPath(t.path(o)...).SetHeader("Accept", metadataOne).MaxRetries(0).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var answer item
	return &answer.Metadata, decode(raw, &answer)
}

// decode says nothing of what it could not read.
func decode(raw []byte, into any) error {
	if json.Unmarshal(raw, into) != nil {
		return errs.New(errs.Unavailable, "the API server's answer is not JSON: is there something between it and us?")
	}
	return nil
}

// expired is the error of a list that goes on where it was with another token.
type expired struct{ token string }

func (*expired) Error() string { return "the API server has forgotten the list" }

// followUp is the token in the API server's answer, "" if there is none.
func followUp(answer []byte) string {
	var status metav1.Status
	if json.Unmarshal(answer, &status) != nil {
		return ""
	}
	return status.Continue
}

// passing reports whether the same request may work later.
func passing(err error) bool {
	var dial *net.OpError
	var reached *url.Error
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err) ||
		errors.As(err, &dial) || errors.As(err, &reached) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err)
}

// explain gives an error of the API server a kind. Its text may quote an object where
// an admission webhook wrote it, so that only the reason is taken.
func explain(err error, doing string) error {
	reason := apierrors.ReasonForError(err)
	var status apierrors.APIStatus
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case apierrors.IsForbidden(err):
		return errs.Newf(errs.Denied, "%s: the API server does not allow it: ask for the role in docs/encryption.md", doing)
	case apierrors.IsUnauthorized(err):
		return errs.Newf(errs.Unauthenticated, "%s: the API server does not know who asks: log in to the cluster anew, and run it again: it goes on where it stands", doing)
	case apierrors.IsInternalError(err), errors.As(err, &status) && status.Status().Code == http.StatusInternalServerError:
		return errs.Newf(errs.Unavailable, "%s: the API server answers with an error of its own (%s): if an object cannot be decrypted, strongkeep encryption verify tells under which key each one is", doing, reason)
	case errors.As(err, &status):
		return errs.Newf(errs.Unavailable, "%s: the API server says %s: run it again: it goes on where it stands", doing, reason)
	}
	return errs.Newf(errs.Unavailable, "%s: %w: run it again: it goes on where it stands", doing, err)
}
