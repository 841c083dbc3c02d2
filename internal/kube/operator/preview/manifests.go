package preview

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	decode "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	parse "sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1beta1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Place is where a manifest stands.
type Place struct {
	File     string
	Document int // from 1
	Item     int // of a List, from 1; 0: it is none
}

// String returns such as "es.yaml: document 2".
func (p Place) String() string {
	s := fmt.Sprintf("%s: document %d", p.File, p.Document)
	if p.Item > 0 {
		s += fmt.Sprintf(", item %d", p.Item)
	}
	return s
}

// At is an ExternalSecret with its place.
type At struct {
	Place
	*v1.ExternalSecret
}

// Wrong is err with the place and the name of the ExternalSecret.
func (a At) Wrong(err error) error {
	return errs.Newf(errs.KindOf(err), "%s: ExternalSecret %q: %w", a.Place, a.Namespace+"/"+a.Name, err)
}

// Manifests are the objects of files. The zero value has none; see Add.
type Manifests struct {
	// Namespace of objects that name none.
	Namespace string
	// ExternalSecrets in the order of the files.
	ExternalSecrets []At
	// PassedOver are documents of kinds that a preview does not use.
	PassedOver []string

	scheme  *runtime.Scheme
	objects map[name]client.Object
	places  map[name]Place
}

type name struct{ kind, namespace, name string }

// Scheme returns the kinds that Manifests understand.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme, v1beta1.AddToScheme, generators.AddToScheme} {
		if err := add(s); err != nil {
			return nil, errs.Newf(errs.Internal, "registering kinds: %w", err)
		}
	}
	return s, nil
}

// largest bounds one document, in bytes: as much as an object may have.
const largest = 3 << 20

// Add reads the documents of a file. Errors are Invalid and name file, document and
// field, and never quote what a Secret or a store holds.
func (m *Manifests) Add(file string, from io.Reader) error {
	if m.scheme == nil {
		var err error
		if m.scheme, err = Scheme(); err != nil {
			return err
		}
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(io.LimitReader(from, 64<<20)))
	for n := 1; ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		place := Place{File: file, Document: n}
		if err != nil {
			return errs.Newf(errs.Invalid, "%s: reading it: %w", place, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			n--
			continue
		}
		if len(text) > largest {
			return errs.Newf(errs.TooLarge, "%s: it is over %d MiB", place, largest>>20)
		}
		raw, err := template.YAMLToJSON(text)
		if err != nil {
			return errs.Newf(errs.Invalid, "%s: this is not YAML, or nested too deep", place)
		}
		if _, err := parse.YAMLToJSONStrict(text); err != nil { // the same again, with a look for keys that are there twice
			return errs.Newf(errs.Invalid, "%s: %w", place, err)
		}
		if string(raw) == "null" { // nothing but comments
			n--
			continue
		}
		if err := m.document(place, raw); err != nil {
			return err
		}
	}
}

// header is what every object has.
type header struct {
	metav1.TypeMeta `json:",inline"`
	Items           []json.RawMessage `json:"items"`
}

func (m *Manifests) document(place Place, raw []byte) error {
	var h header
	if json.Unmarshal(raw, &h) != nil || h.Kind == "" || h.APIVersion == "" {
		return errs.Newf(errs.Invalid, "%s: this is no Kubernetes object: it needs apiVersion and kind", place)
	}
	if h.Items != nil && strings.HasSuffix(h.Kind, "List") && place.Item == 0 {
		return m.items(place, h.Items)
	}
	if !used(h.Kind, h.GroupVersionKind().Group) {
		m.PassedOver = append(m.PassedOver, fmt.Sprintf("%s: %s", place, h.Kind))
		return nil
	}
	kind := h.GroupVersionKind()
	if kind.GroupVersion() == v1beta1.GroupVersion() { // of the same shape
		kind.Version = v1.GroupVersion().Version
	}
	object, err := m.scheme.New(kind)
	o, ok := object.(client.Object)
	if err != nil || !ok {
		return errs.Newf(errs.Invalid, "%s: there is no %s in %s", place, h.Kind, h.APIVersion)
	}
	if err := strictly(m.scheme, raw, kind.GroupVersion(), object); err != nil {
		return errs.Newf(errs.Invalid, "%s: %s: %w", place, h.Kind, err)
	}
	o.GetObjectKind().SetGroupVersionKind(kind)
	return m.add(place, h.Kind, o)
}

// items are the documents of a list.
func (m *Manifests) items(place Place, list []json.RawMessage) error {
	for i, item := range list {
		place.Item = i + 1
		if err := m.document(place, item); err != nil {
			return err
		}
	}
	return nil
}

// used reports whether a preview reads objects of a kind.
func used(kind, group string) bool {
	switch group {
	case v1.Group:
		return kind == v1.KindExternalSecret || kind == v1.KindSecretStore || kind == v1.KindClusterSecretStore
	case generators.Group:
		return kind != generators.KindGeneratorState
	case corev1.GroupName:
		return kind == "ConfigMap" || kind == "Secret" || kind == "Namespace"
	}
	return false
}

// strictly decodes raw, which is of version's shape, and refuses fields that are not
// known, by their path.
func strictly(scheme *runtime.Scheme, raw []byte, version schema.GroupVersion, into runtime.Object) error {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(raw, &fields)
	if err == nil {
		fields["apiVersion"] = json.RawMessage(strconv.Quote(version.String()))
		raw, err = json.Marshal(fields)
	}
	if err != nil {
		return errs.New(errs.Internal, "encoding JSON")
	}
	s := decode.NewSerializerWithOptions(decode.DefaultMetaFactory, scheme, scheme, decode.SerializerOptions{Strict: true})
	_, _, err = s.Decode(raw, nil, into)
	switch {
	case err == nil:
		return nil
	case isSecret(into) && !runtime.IsStrictDecodingError(err): // the error may quote what is in it
		return errs.New(errs.Invalid, "data takes base64 and stringData text, with numbers in quotes")
	}
	text := strings.TrimPrefix(err.Error(), "strict decoding error: ")
	return errs.New(errs.Invalid, strings.TrimPrefix(text, "json: "))
}

func isSecret(o runtime.Object) bool { _, is := o.(*corev1.Secret); return is }

func (m *Manifests) add(place Place, kind string, o client.Object) error {
	if o.GetName() == "" {
		return errs.Newf(errs.Invalid, "%s: %s: metadata.name is missing", place, kind)
	}
	switch kind {
	case v1.KindClusterSecretStore, generators.KindClusterGenerator, "Namespace":
		o.SetNamespace("")
	default:
		if o.GetNamespace() == "" {
			o.SetNamespace(m.Namespace)
		}
	}
	if s, ok := o.(*corev1.Secret); ok {
		for key, text := range s.StringData {
			if s.Data == nil {
				s.Data = map[string][]byte{}
			}
			s.Data[key] = []byte(text)
		}
		s.StringData = nil
	}
	key := name{kind, o.GetNamespace(), o.GetName()}
	if first, twice := m.places[key]; twice {
		return errs.Newf(errs.Invalid, "%s: %s %q is in %s already", place, kind, client.ObjectKeyFromObject(o), first)
	}
	if m.objects == nil {
		m.objects, m.places = map[name]client.Object{}, map[name]Place{}
	}
	m.objects[key], m.places[key] = o, place
	if es, ok := o.(*v1.ExternalSecret); ok {
		m.ExternalSecrets = append(m.ExternalSecrets, At{place, es})
	}
	return nil
}

// Reader reads what the files have, and everything else from behind; nil: nothing
// is behind them.
func (m *Manifests) Reader(behind client.Reader) client.Reader { return &reader{m, behind} }

type reader struct {
	files  *Manifests
	behind client.Reader
}

var _ client.Reader = (*reader)(nil)

// List is not what previews do.
func (r *reader) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errs.New(errs.Internal, "listing manifests")
}
