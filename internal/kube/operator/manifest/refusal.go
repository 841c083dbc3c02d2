package manifest

import (
	"errors"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// object is what an ExternalSecret makes, for messages.
type object struct {
	es      *v1.ExternalSecret
	mapping *meta.RESTMapping
}

// explain gives an answer of the API server its kind, and says what to do. The words
// of the server are not passed on where they may quote what was sent: they name
// values that templates made, which nobody could find in them any more.
func (o object) explain(doing string, err error) error {
	kind, name := o.mapping.GroupVersionKind.Kind, target.Name(o.es)
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return errs.Newf(errs.Conflict, "%s %q changed under us", kind, name)
	case apierrors.IsForbidden(err):
		return o.forbidden(doing, err)
	case apierrors.IsInvalid(err) && o.es.Spec.Target.Immutable && strings.Contains(err.Error(), "immutable"):
		return errs.Newf(errs.Invalid, "could not update %s %q, target is immutable: delete it, or choose another spec.target.name", kind, name)
	case strings.Contains(err.Error(), "does not support dry run"):
		return errs.Newf(errs.Unsupported, "%s %s %q: an admission webhook cannot try it first", doing, kind, name)
	case apierrors.IsRequestEntityTooLargeError(err):
		return errs.Newf(errs.TooLarge, "%s %s %q: it is larger than the API server takes", doing, kind, name)
	case apierrors.IsNotFound(err):
		return errs.Newf(errs.Conflict, "%s %q or its namespace is gone", kind, name)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), strings.Contains(err.Error(), "typed patch object"):
		return errs.Newf(errs.Invalid, "%s %s %q: the API server refuses it: %s; correct spec.target.template (its words are withheld, as they may quote values)",
			doing, kind, name, faults(err))
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return errs.Newf(errs.Unavailable, "%s %s %q: the API server answers %s%s", doing, kind, name, status.Status().Reason, strings.Replace(checked().FindString(err.Error()), "w", ", by w", 1))
	}
	return errs.Newf(errs.Unavailable, "%s %s %q: %w", doing, kind, name, err)
}

// forbidden tells a right that the operator lacks from what an admission check says.
func (o object) forbidden(doing string, err error) error {
	kind, name := o.mapping.GroupVersionKind.Kind, target.Name(o.es)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return errs.Newf(errs.Denied, "%s %s %q: namespace %q is being deleted, and nothing is made in it any more", doing, kind, name, o.es.Namespace)
	}
	if m := lacking().FindStringSubmatch(err.Error()); m != nil {
		what := o.mapping.Resource.Resource
		if g := o.mapping.Resource.Group; g != "" {
			what += "." + g
		}
		role := "add a role for its ServiceAccount with get, create, patch and delete on " + what
		if IsConfigMap(o.es) {
			role = "apply the roles that strongkeep operator rbac " + Flag + " prints"
		}
		return errs.Newf(errs.Denied, "%s %s %q: the operator may not %s %s in namespace %s: %s", doing, kind, name, m[1], what, o.es.Namespace, role)
	}
	if m := checked().FindStringSubmatch(err.Error()); m != nil {
		return errs.Newf(errs.Denied, "%s %s %q: admission refuses it (%s): ask who looks after that (its words are withheld, as they may quote values)", doing, kind, name, m[0])
	}
	return errs.Newf(errs.Denied, "%s %s %q: the API server forbids it, and not for want of a right: see its admission plugins and quotas", doing, kind, name)
}

// faults says which fields the API server does not like, and how, without its words.
func faults(err error) string {
	var status apierrors.APIStatus
	var out []string
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			if cause.Field != "" && len(out) < 5 {
				out = append(out, plain(cause.Field)+" ("+reason(cause.Type)+")")
			}
		}
	}
	if m := mistyped().FindStringSubmatch(err.Error()); len(out) == 0 && m != nil {
		out = append(out, strings.TrimPrefix(m[1], ".")+" ("+m[2]+")")
	}
	if len(out) == 0 {
		return "a field is not in the kind's definition, or of another type"
	}
	return strings.Join(out, ", ")
}

// reason says in words what a cause's type is.
func reason(t metav1.CauseType) string {
	switch t {
	case metav1.CauseTypeFieldValueRequired:
		return "it is required"
	case metav1.CauseTypeFieldValueNotSupported:
		return "it is none of the values that may be"
	case metav1.CauseTypeFieldValueDuplicate:
		return "it is there twice"
	case metav1.CauseTypeTypeInvalid:
		return "it has another type"
	case metav1.CauseTypeForbidden:
		return "it may not be set, or not be changed"
	case metav1.CauseTypeTooMany, metav1.CauseTypeTooLong:
		return "it is too long"
	}
	return "it is not valid"
}

// plain cuts a field's name where a key of a list or map begins, which a template
// may have made.
func plain(field string) string {
	if i := strings.IndexByte(field, '['); i > 0 && !numbered().MatchString(field[i:]) {
		return field[:i] + "[…]"
	}
	return field
}

// What the API server's words are known by.
func lacking() *regexp.Regexp {
	return regexp.MustCompile(`cannot (get|create|patch|delete) resource "`)
}

func checked() *regexp.Regexp {
	return regexp.MustCompile(`webhook "[-.a-z0-9]+"|ValidatingAdmissionPolicy '[-.a-z0-9]+'`)
}

func mistyped() *regexp.Regexp {
	return regexp.MustCompile(`: (\.[A-Za-z0-9_.]+)[^:]*: (field not declared in schema|expected [a-z]+)`)
}

func numbered() *regexp.Regexp { return regexp.MustCompile(`^(\[[0-9]+\][.A-Za-z0-9_]*)+$`) }
