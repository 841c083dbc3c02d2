package render

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// text is one template of templateFrom, with its text.
type text struct {
	name   string // for messages
	key    string // of the target, when it makes one value
	many   bool   // it makes YAML of keys and values
	target string
	decode v1.DecodingStrategy
	source redact.Secret
	secret bool // it comes from a Secret: messages do not quote it
}

// Texts are the templates of one ExternalSecret that stand elsewhere, in order.
type Texts []text

// Sources returns the texts in order. A Secret may hold them: do not show them.
func (s Texts) Sources() []string {
	var out []string
	for _, t := range s {
		out = append(out, t.source.RevealString())
	}
	return out
}

// Read reads what templateFrom of es names, in order.
func Read(ctx context.Context, live client.Reader, es *v1.ExternalSecret) (Texts, error) {
	if es.Spec.Target.Template == nil {
		return nil, nil
	}
	var out Texts
	for i := range es.Spec.Target.Template.TemplateFrom {
		f := &es.Spec.Target.Template.TemplateFrom[i]
		if es.Spec.Target.Manifest == nil && !slices.Contains([]string{"", v1.TemplateTargetData, v1.TemplateTargetAnnotations, v1.TemplateTargetLabels}, f.Target) {
			return nil, errs.Newf(errs.Unsupported, "templateFrom[%d].target %q is not supported for a Secret: use Data, Annotations or Labels", i, f.Target)
		}
		if f.Literal != nil {
			out = append(out, text{name: "literal", many: true, target: f.Target, decode: f.ValuesDecodingStrategy, source: redact.FromString(*f.Literal)})
			continue
		}
		ref, kind := f.ConfigMap, "ConfigMap"
		if f.Secret != nil {
			ref, kind = f.Secret, "Secret"
		}
		if ref == nil {
			return nil, errs.Newf(errs.Invalid, "templateFrom[%d] says nothing: add configMap, secret or literal", i)
		}
		data, err := object(ctx, live, kind, types.NamespacedName{Namespace: es.Namespace, Name: ref.Name})
		if err != nil {
			return nil, err
		}
		for _, item := range ref.Items {
			raw, ok := data[item.Key]
			if !ok {
				return nil, errs.Newf(errs.Unavailable, "templateFrom[%d]: %s %q has no key %q", i, kind, ref.Name, item.Key)
			}
			out = append(out, text{
				name: kind + "/" + ref.Name + "/" + item.Key, key: item.Key, many: item.TemplateAs == v1.TemplateAsKeysAndValues,
				target: f.Target, decode: f.ValuesDecodingStrategy, source: redact.New(raw), secret: f.Secret != nil,
			})
		}
	}
	return out, nil
}

// object reads a ConfigMap or Secret of the ExternalSecret's namespace.
func object(ctx context.Context, live client.Reader, kind string, name types.NamespacedName) (map[string][]byte, error) {
	data := map[string][]byte{}
	config, secret := &corev1.ConfigMap{}, &corev1.Secret{}
	var from client.Object = config
	if kind == "Secret" {
		from = secret
	}
	if err := live.Get(ctx, name, from); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, errs.Newf(errs.Unavailable, "templateFrom: %s %q does not exist: create it, or correct the name", kind, name.Name)
		}
		return nil, errs.Newf(errs.Unavailable, "templateFrom: reading %s %q: %w", kind, name.Name, err)
	}
	for k, v := range config.Data {
		data[k] = []byte(v)
	}
	maps.Copy(data, config.BinaryData)
	maps.Copy(data, secret.Data)
	return data, nil
}

// Options bound the templates, and say how they are written. Now is the clock they run by.
type Options struct {
	Limits     template.Limits
	Delimiters template.Delimiters
	Now        func() time.Time
}

// Run starts a run of templates over values.
func (o Options) Run(values map[string]string) *template.Run {
	return template.NewRun(values, o.Limits, o.Now).Delimited(o.Delimiters)
}

// Secret makes the Secret of es from the values read and the templates. It is
// pure but for what templates draw at random.
func Secret(es *v1.ExternalSecret, values map[string]redact.Secret, sources Texts, o Options) (*target.Secret, error) {
	raw := make(map[string][]byte, len(values))
	for k, v := range values {
		raw[k] = v.Reveal()
	}
	t := es.Spec.Target.Template
	if t == nil {
		s := target.New(es, raw)
		s.CopyMetadata(es)
		return s, checkKeys(raw)
	}
	in := make(map[string]string, len(values))
	for k, v := range values {
		in[k] = v.RevealString()
	}
	p := page{
		run:  o.Run(in),
		data: map[string][]byte{}, labels: map[string]string{}, annotations: map[string]string{},
	}
	if t.MergePolicy == v1.TemplateMerge || len(t.Data) == 0 && len(t.TemplateFrom) == 0 {
		maps.Copy(p.data, raw)
	}
	if err := p.fill(t, sources); err != nil {
		return nil, err
	}
	s := target.New(es, p.data)
	if t.Type != "" && target.Policy(es) != v1.CreateMerge { // CreateOrMerge may have to make it
		s.Type = corev1.SecretType(t.Type)
	}
	if !s.Merge {
		s.Finalizers = t.Metadata.Finalizers
		s.AddMetadata(p.labels, p.annotations)
	}
	return s, checkKeys(p.data)
}

// page is a Secret while its templates run.
type page struct {
	run                 *template.Run
	data                map[string][]byte
	labels, annotations map[string]string
}

// fill runs every template: templateFrom in order, and over it the inline ones.
func (p *page) fill(t *v1.ExternalSecretTemplate, sources Texts) error {
	for _, s := range sources {
		if err := p.from(s); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.Data)) {
		out, err := p.run.Text("data."+key, t.Data[key])
		if err != nil {
			return err
		}
		p.data[key] = out
	}
	for field, m := range map[string]struct{ in, out map[string]string }{
		"labels": {t.Metadata.Labels, p.labels}, "annotations": {t.Metadata.Annotations, p.annotations},
	} {
		for _, key := range slices.Sorted(maps.Keys(m.in)) {
			out, err := p.run.Text("metadata."+field+"."+key, m.in[key])
			if err != nil {
				return err
			}
			m.out[key] = string(out)
		}
	}
	return nil
}

func (p *page) from(s text) error {
	piece, err := s.run(p.run)
	if err != nil {
		return err
	}
	pairs, err := piece.Pairs()
	if err != nil {
		return err
	}
	for key, value := range pairs {
		switch s.target {
		case v1.TemplateTargetLabels:
			p.labels[key] = string(value)
		case v1.TemplateTargetAnnotations:
			p.annotations[key] = string(value)
		default:
			p.data[key] = value
		}
	}
	return nil
}

// keysAndValues reads what a template made as YAML. Errors of the parser may
// quote it, so they are not passed on.
func keysAndValues(name string, text []byte) (map[string][]byte, error) {
	wrong := errs.Newf(errs.Invalid, "template %s does not make YAML of keys and plain values: quote values, or indent them below |", name)
	raw, err := template.YAMLToJSON(text)
	if err != nil {
		return nil, wrong
	}
	var pairs map[string]json.RawMessage
	if json.Unmarshal(raw, &pairs) != nil {
		return nil, wrong
	}
	out := make(map[string][]byte, len(pairs))
	for key, value := range pairs {
		var s string
		switch {
		case json.Unmarshal(value, &s) == nil: // a string, or null for ""
			out[key] = []byte(s)
		case value[0] == '{' || value[0] == '[':
			return nil, wrong
		default:
			out[key] = value
		}
	}
	return out, nil
}

// checkKeys refuses what the API server would refuse, with a message that
// stands for itself.
func checkKeys(data map[string][]byte) error {
	total := 0
	for key, value := range data {
		if !gather.ValidKey(key) {
			return errs.Newf(errs.Invalid, "%q cannot be a key of a Secret: letters, digits, '-', '_' and '.', at most 253", key)
		}
		total += len(value)
	}
	if total > corev1.MaxSecretSize {
		return errs.Newf(errs.TooLarge, "the values are %d bytes together: a Secret holds at most %d", total, corev1.MaxSecretSize)
	}
	return nil
}
