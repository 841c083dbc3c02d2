package manifest

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Object is what is to be written. It holds secret values.
type Object struct {
	// Meta is everything but the content: name, metadata, owner, manager, whether it
	// is merged.
	Meta      *target.Secret
	Kind      schema.GroupVersionKind
	ConfigMap bool
	// Fields are the content, by name: data, spec and so on.
	Fields map[string]any
}

// Render makes the object of es from the values read and the templates. It is pure
// but for what templates draw at random. Errors hold no values; Invalid, Unsupported
// and TooLarge are the spec's fault.
func Render(es *v1.ExternalSecret, values map[string]redact.Secret, sources render.Texts, o render.Options) (*Object, error) {
	m := es.Spec.Target.Manifest
	out := &Object{
		Meta: target.New(es, nil), Kind: schema.FromAPIVersionAndKind(m.APIVersion, m.Kind), ConfigMap: IsConfigMap(es), Fields: map[string]any{},
	}
	if err := supported(es, out.ConfigMap); err != nil {
		return nil, err
	}
	d := draft{Object: out, texts: map[string][]byte{}, labels: map[string]string{}, annotations: map[string]string{}}
	t := es.Spec.Target.Template
	if out.ConfigMap && asRead(t) {
		for key, v := range values {
			d.texts[key] = v.Reveal()
		}
	}
	if t == nil {
		out.Meta.CopyMetadata(es)
	} else if err := d.fill(t, values, sources, o); err != nil {
		return nil, err
	}
	if err := d.content(); err != nil {
		return nil, err
	}
	if out.ConfigMap && out.Meta.Immutable {
		out.Fields["immutable"] = true
	}
	return out, nil
}

// asRead reports whether the values as read are in a ConfigMap.
func asRead(t *v1.ExternalSecretTemplate) bool {
	return t == nil || t.MergePolicy == v1.TemplateMerge || len(t.Data) == 0 && len(t.TemplateFrom) == 0
}

// supported refuses what has no meaning for what is not a Secret.
func supported(es *v1.ExternalSecret, configMap bool) error {
	spec := &es.Spec.Target
	t, kind := spec.Template, spec.Manifest.Kind
	switch {
	case t != nil && t.Type != "":
		return errs.Newf(errs.Invalid, "spec.target.template.type is for Secrets, and a %s is to be made: remove it", kind)
	case configMap:
		return nil
	case spec.Immutable:
		return errs.Newf(errs.Invalid, "spec.target.immutable is for Secrets and ConfigMaps, and a %s is to be made: remove it", kind)
	case t == nil || len(t.Data) == 0 && len(t.TemplateFrom) == 0:
		return errs.Newf(errs.Invalid, "spec.target.manifest: where in a %s the values go is not known: say so in spec.target.template.templateFrom, with target such as spec.config", kind)
	case t.MergePolicy == v1.TemplateMerge:
		return errs.Newf(errs.Invalid, "spec.target.template.mergePolicy Merge is for Secrets and ConfigMaps: say in templateFrom where in a %s each value goes", kind)
	}
	return nil
}

// draft is an Object while its templates run.
type draft struct {
	*Object
	texts               map[string][]byte // of data, by key
	labels, annotations map[string]string
}

// fill runs every template: templateFrom in order, and over it the inline ones.
func (d *draft) fill(t *v1.ExternalSecretTemplate, values map[string]redact.Secret, sources render.Texts, o render.Options) error {
	in := make(map[string]string, len(values))
	for key, v := range values {
		in[key] = v.RevealString()
	}
	run := o.Run(in)
	pieces, err := sources.Run(run)
	if err != nil {
		return err
	}
	for _, piece := range pieces {
		if err := d.add(piece); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.Data)) {
		if d.texts[key], err = run.Text("data."+key, t.Data[key]); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		field   string
		in, out map[string]string
	}{{"labels", t.Metadata.Labels, d.labels}, {"annotations", t.Metadata.Annotations, d.annotations}} {
		for _, key := range slices.Sorted(maps.Keys(m.in)) {
			text, err := run.Text("metadata."+m.field+"."+key, m.in[key])
			if err != nil {
				return err
			}
			m.out[key] = string(text)
		}
	}
	if !d.Meta.Merge {
		d.Meta.Finalizers = t.Metadata.Finalizers
		d.Meta.AddMetadata(d.labels, d.annotations)
	}
	return nil
}

// add puts what one template made where it belongs.
func (d *draft) add(piece render.Piece) error {
	var pairs map[string]string
	switch strings.ToLower(piece.Target) { // as the original has them
	case "", "data":
		texts, err := piece.Pairs()
		maps.Copy(d.texts, texts)
		return err
	case "labels":
		pairs = d.labels
	case "annotations":
		pairs = d.annotations
	default:
		return d.at(piece)
	}
	texts, err := piece.Pairs()
	for key, text := range texts {
		pairs[key] = string(text)
	}
	return err
}

// at puts what one template made at its path.
func (d *draft) at(piece render.Piece) error {
	p, err := parsePath(piece.Target)
	if err != nil {
		return errs.Newf(errs.Invalid, "template %s: target %w", piece.Template, err)
	}
	if err := d.mayBe(p); err != nil {
		return errs.Newf(errs.Invalid, "template %s: %w", piece.Template, err)
	}
	if d.ConfigMap {
		text, err := gather.Decode(piece.Text, piece.Decoding)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "template %s, target %s: %w", piece.Template, p, err)
		}
		d.texts[p[1].field] = text
		return nil
	}
	if piece.Key != "" && len(p) == 1 { // a text is no object: it goes into it, by its key
		p = append(p, step{piece.Key, -1})
	}
	value, err := valueOf(piece)
	if err == nil {
		err = p.set(d.Fields, value)
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "template %s, target %s: %w", piece.Template, p, err)
	}
	return nil
}

// mayBe refuses paths to what is not content.
func (d *draft) mayBe(p path) error {
	switch root := p[0].field; {
	case root == "metadata":
		return errs.Newf(errs.Invalid, "target %s: use target Labels or Annotations, or spec.target.template.metadata", p)
	case root == "apiVersion", root == "kind", root == "status":
		return errs.Newf(errs.Invalid, "target %s: %s is not for templates to set", p, root)
	case d.ConfigMap && (root != "data" || len(p) != 2 || p[1].index >= 0):
		return errs.Newf(errs.Invalid, `target %s: a ConfigMap holds a text for each key: use target Data, data.KEY, or data["KEY"] if it has dots`, p)
	}
	return nil
}

// valueOf returns what goes at a path: a structure, if the text is YAML of an object
// or a list and says so by having no key of its own; a string otherwise. A number, a
// truth value and null are strings too: within an object they are what they are.
func valueOf(piece render.Piece) (any, error) {
	if piece.Key == "" {
		if value, ok, err := structure(piece); err != nil || ok {
			return value, err
		}
	}
	text, err := gather.Decode(piece.Text, piece.Decoding)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(text) {
		return nil, errs.New(errs.Invalid, "what it makes is not UTF-8 text: encode it, for instance with b64enc")
	}
	return string(text), nil
}

// structure reads what a template made as YAML of an object or a list. ok is false
// when it is none. Parsers quote what they read, so that no word of theirs is told.
func structure(piece render.Piece) (value any, ok bool, err error) {
	raw, err := template.YAMLToJSON(piece.Text)
	if err != nil || len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return nil, false, nil
	}
	if piece.Decoding != "" && piece.Decoding != v1.DecodingNone {
		return nil, false, errs.New(errs.Invalid, "it makes YAML of an object, which valuesDecodingStrategy does not decode: remove that, or decode in the template")
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil, false, errs.New(errs.Invalid, "what it makes is no YAML of an object")
	}
	return value, true, nil
}

// content makes fields of the texts of data.
func (d *draft) content() error {
	if d.ConfigMap {
		return d.configMap()
	}
	for _, key := range slices.Sorted(maps.Keys(d.texts)) {
		p := path{{"data", -1}, {key, -1}}
		if !utf8.Valid(d.texts[key]) {
			return errs.Newf(errs.Invalid, "%s is not UTF-8 text: encode it, for instance with b64enc", p)
		}
		if err := p.set(d.Fields, string(d.texts[key])); err != nil {
			return err
		}
	}
	return nil
}

// configMap makes data, and binaryData of what is not text, and refuses what the
// API server would, in words that stand for themselves.
func (d *draft) configMap() error {
	total := 0
	texts, bytes := map[string]any{}, map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(d.texts)) {
		if !gather.ValidKey(key) {
			return errs.Newf(errs.Invalid, "%q cannot be a key of a ConfigMap: letters, digits, '-', '_' and '.', at most 253", key)
		}
		text := d.texts[key]
		total += len(text)
		if utf8.Valid(text) {
			texts[key] = string(text)
		} else {
			bytes[key] = base64.StdEncoding.EncodeToString(text)
		}
	}
	if total > corev1.MaxSecretSize {
		return errs.Newf(errs.TooLarge, "the values are %d bytes together: a ConfigMap holds at most %d", total, corev1.MaxSecretSize)
	}
	if len(texts) > 0 || d.Meta.Merge {
		d.Fields["data"] = texts
	}
	if len(bytes) > 0 || d.Meta.Merge {
		d.Fields["binaryData"] = bytes
	}
	return nil
}
