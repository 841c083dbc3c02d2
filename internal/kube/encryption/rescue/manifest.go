package rescue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Manifest is what can be restored of some findings, in YAML, for kubectl create: the
// newest value of each that opens. It has secrets. missing are the findings of which
// nothing opens, or what opens is not the object.
func Manifest(all []Finding) (text redact.Secret, restored int, missing []string) {
	var out bytes.Buffer
	for i := range all {
		f := &all[i]
		o, err := f.newest()
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s %s: %v", f.Resource, f.Name, err))
			continue
		}
		doc, err := yaml.Marshal(o.Object)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s %s: it cannot be written as YAML", f.Resource, f.Name))
			continue
		}
		out.WriteString("---\n")
		out.Write(doc)
		restored++
	}
	return redact.New(out.Bytes()), restored, missing
}

// newest decodes the newest value. Errors say nothing of it.
func (f *Finding) newest() (*unstructured.Unstructured, error) {
	if len(f.Values) == 0 {
		return nil, errs.New(errs.NotExist, "no value of it opens")
	}
	o, err := decode(f.Values[0].plain.Reveal())
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
	if name != f.Name {
		return nil, errs.New(errs.Conflict, "what opens is another object")
	}
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(o.Object, "status")
	return o, nil
}

// decode reads an object as API servers store it: protobuf for Kubernetes' own kinds,
// JSON for custom ones.
func decode(plain []byte) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if bytes.HasPrefix(plain, begins[2]) {
		if json.Unmarshal(plain, &o.Object) != nil || o.GetKind() == "" {
			return nil, errs.New(errs.Invalid, "what opens is no JSON of an object")
		}
		return o, nil
	}
	if !bytes.HasPrefix(plain, begins[0]) {
		return nil, errs.New(errs.Unsupported, "what opens is CBOR, which is not read here: give it to an API server that has the key")
	}
	typed, gvk, err := scheme.Codecs.UniversalDeserializer().Decode(plain, nil, nil)
	if err != nil {
		return nil, errs.New(errs.Invalid, "what opens is of no kind and version that is known here")
	}
	if o.Object, err = runtime.DefaultUnstructuredConverter.ToUnstructured(typed); err != nil {
		return nil, errs.New(errs.Invalid, "what opens cannot be converted")
	}
	o.SetGroupVersionKind(*gvk)
	return o, nil
}
