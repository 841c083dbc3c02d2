package state

import (
	"encoding/json"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
)

// envelope is spec.state of a GeneratorState:
//
//	{"v":1,"known":{...},"since":"...","expires":"...","renewable":true,"claimed":false,"done":false,"seal":"..."}
//
// known is the generator's own; without it nothing is known of a credential. seal is that
// of Seal.of, without which a ClusterGenerator is not believed to be one. claimed
// says that it is being taken back, and done that it was: the object is to go.
type envelope struct {
	Version   int             `json:"v"`
	Known     json.RawMessage `json:"known,omitempty"`
	Since     *metav1.Time    `json:"since,omitempty"`
	Expires   *metav1.Time    `json:"expires,omitempty"`
	Renewable bool            `json:"renewable,omitempty"`
	Claimed   bool            `json:"claimed,omitempty"`
	Done      bool            `json:"done,omitempty"`
	Seal      string          `json:"seal,omitempty"`
}

// resource is spec.resource: the generator as it was. It has spec, or of a
// ClusterGenerator hidden, which is the same for nobody but operators: AES-256-GCM, bound
// to the state's namespace and the generator's name.
type resource struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       json.RawMessage   `json:"spec,omitempty"`
	Hidden     []byte            `json:"hidden,omitempty"`
	// Through is ClusterGenerator where the spec is one's.
	Through string `json:"through,omitempty"`
}

func read(s *v1alpha1.GeneratorState) (envelope, resource, error) {
	var e envelope
	var r resource
	if s.Spec.State == nil || s.Spec.Resource == nil ||
		json.Unmarshal(s.Spec.State.Raw, &e) != nil || json.Unmarshal(s.Spec.Resource.Raw, &r) != nil || e.Version != 1 {
		return e, r, errs.Newf(errs.Invalid, "GeneratorState %q is not one of this operator's, or was changed by hand", s.Name)
	}
	return e, r, nil
}

func raw(v any) (*apiextensionsv1.JSON, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, errs.New(errs.Internal, "encoding a GeneratorState")
	}
	return &apiextensionsv1.JSON{Raw: text}, nil
}

func (e envelope) term() record.Term {
	t := record.Term{Renewable: e.Renewable}
	if e.Since != nil {
		t.Since = e.Since.Time
	}
	if e.Expires != nil {
		t.Expires = e.Expires.Time
	}
	return t
}

func (e *envelope) setTerm(t record.Term) {
	e.Renewable, e.Since, e.Expires = t.Renewable, timeOf(t.Since), timeOf(t.Expires)
}

func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}
