package manifest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Every answer of the API server has a kind and says what to do; the words that may
// quote what was sent are nowhere.
func TestExplain(t *testing.T) {
	gr := schema.GroupResource{Group: "example.com", Resource: "widgets"}
	gk := schema.GroupKind{Group: "example.com", Kind: "Widget"}
	status := func(code int32, reason metav1.StatusReason, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: "Failure", Code: code, Reason: reason, Message: message}}
	}
	spec := field.NewPath("spec")
	for name, c := range map[string]struct {
		spec  string
		err   error
		kind  errs.Kind
		words string
	}{
		"right": {widget, apierrors.NewForbidden(gr, "g", errors.New(`User "system:serviceaccount:a:b" cannot patch resource "widgets" in API group "example.com" in the namespace "team"`)), errs.Denied,
			"the operator may not patch widgets.example.com in namespace team: add a role for its ServiceAccount with get, create, patch and delete on widgets.example.com"},
		"right, ConfigMap": {configMap, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "g", errors.New(`User "x" cannot create resource "configmaps" in API group ""`)), errs.Denied,
			"apply the roles that strongkeep operator rbac " + Flag + " prints"},
		"webhook": {widget, apierrors.NewForbidden(gr, "g", errors.New(`admission webhook "check.example.com" denied the request: no `+canary)), errs.Denied, `admission refuses it (webhook "check.example.com")`},
		"policy":  {widget, apierrors.NewForbidden(gr, "g", errors.New(`ValidatingAdmissionPolicy 'p.example' with binding 'b' denied request: `+canary)), errs.Denied, "ValidatingAdmissionPolicy 'p.example'"},
		"terminating": {widget, &apierrors.StatusError{ErrStatus: metav1.Status{Status: "Failure", Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: canary,
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause, Message: canary}}}}}, errs.Denied, "is being deleted, and nothing is made in it any more"},
		"quota":    {widget, apierrors.NewForbidden(gr, "g", errors.New("exceeded quota: "+canary)), errs.Denied, "admission plugins and quotas"},
		"conflict": {widget, apierrors.NewConflict(gr, "g", errors.New(canary)), errs.Conflict, "changed under us"},
		"exists":   {widget, apierrors.NewAlreadyExists(gr, "g"), errs.Conflict, "changed under us"},
		"gone":     {widget, apierrors.NewNotFound(gr, "g"), errs.Conflict, "or its namespace is gone"},
		"invalid": {widget, apierrors.NewInvalid(gk, "g", field.ErrorList{
			field.Invalid(spec.Child("rules").Index(0).Child("host"), canary, "must be "+canary), field.Required(spec.Child("size"), canary),
			field.NotSupported(spec.Child("mode"), canary, []string{canary}), field.Duplicate(spec.Key(canary), canary), field.TypeInvalid(spec.Child("n"), canary, canary),
			field.Forbidden(spec.Child("more"), canary),
		}), errs.Invalid, "spec.rules[0].host (it is not valid), spec.size (it is required), spec.mode (it is none of the values that may be), spec[…] (it is there twice), spec.n (it has another type);"},
		"undeclared":      {widget, status(http.StatusInternalServerError, metav1.StatusReasonUnknown, `failed to create typed patch object (team/g; example.com/v1, Kind=Widget): .spec.nope: field not declared in schema`), errs.Invalid, "spec.nope (field not declared in schema)"},
		"mistyped":        {widget, status(http.StatusInternalServerError, metav1.StatusReasonUnknown, `failed to create typed patch object (team/g; example.com/v1, Kind=Widget): .spec.size: expected numeric (int or float), got string `+canary), errs.Invalid, "spec.size (expected numeric)"},
		"in a list":       {widget, status(http.StatusInternalServerError, metav1.StatusReasonUnknown, `failed to create typed patch object (team/g; example.com/v1, Kind=Widget): .spec.named[name="`+canary+`"].x: field not declared in schema`), errs.Invalid, "spec.named (field not declared in schema)"},
		"bad":             {widget, apierrors.NewBadRequest("decoding: " + canary), errs.Invalid, "a field is not in the kind's definition"},
		"dry run":         {widget, apierrors.NewBadRequest(`admission webhook "x" does not support dry run`), errs.Unsupported, "cannot try it first"},
		"too large":       {widget, apierrors.NewRequestEntityTooLargeError(canary), errs.TooLarge, "larger than the API server takes"},
		"immutable":       {configMap + "immutable: true", apierrors.NewInvalid(gk, "g", field.ErrorList{field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set")}), errs.Invalid, "target is immutable"},
		"webhook is away": {widget, apierrors.NewInternalError(errors.New(`failed calling webhook "check.example.com": ` + canary)), errs.Unavailable, `answers InternalError, by webhook "check.example.com"`},
		"server is away":  {widget, errors.New("connection refused"), errs.Unavailable, "connection refused"},
		"timeout":         {widget, apierrors.NewServerTimeout(gr, canary, 1), errs.Unavailable, "answers ServerTimeout"},
	} {
		es := externalSecret(t, c.spec)
		m := &meta.RESTMapping{Resource: gr.WithVersion("v1"), GroupVersionKind: gk.WithVersion("v1")}
		if IsConfigMap(es) {
			m = &meta.RESTMapping{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}}
		}
		err := object{es, m}.explain("writing", c.err)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v (%v), want %v with %q", name, err, errs.KindOf(err), c.kind, c.words)
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the server's words are in %q", name, err)
		}
	}
}
