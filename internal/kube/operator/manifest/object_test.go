package manifest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-7a90"

const (
	configMap = "manifest: {apiVersion: v1, kind: ConfigMap}\n"
	widget    = "manifest: {apiVersion: example.com/v1, kind: Widget}\n"
)

// externalSecret returns one with a spec.target.
func externalSecret(t testing.TB, spec string) *v1.ExternalSecret {
	t.Helper()
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", UID: "u1", Labels: map[string]string{"of": "es"}}}
	if err := yaml.UnmarshalStrict([]byte(spec), &es.Spec.Target); err != nil {
		t.Fatal(err)
	}
	return es
}

// rendered makes the object of a spec.target from some values. The ConfigMap tpl and
// the Secret tpl have the templates conf and yaml.
func rendered(t testing.TB, spec string) (*Object, error) {
	t.Helper()
	es := externalSecret(t, spec)
	texts := map[string]string{"conf": "user={{ .user }}", "yaml": "a: '{{ .user }}'\nnum: 3\n", "object": "deep: {user: '{{ .user }}', num: 3}", "tells": "{{ .nope }}" + canary}
	data := map[string][]byte{}
	for k, v := range texts {
		data[k] = []byte(v)
	}
	meta := metav1.ObjectMeta{Namespace: "team", Name: "tpl"}
	c := fake.NewClientBuilder().WithObjects(&corev1.ConfigMap{ObjectMeta: meta, Data: texts}, &corev1.Secret{ObjectMeta: meta, Data: data}).Build()
	sources, err := render.Read(t.Context(), c, es)
	if err != nil {
		return nil, err
	}
	values := map[string]redact.Secret{
		"user": redact.FromString("app"), "pass": redact.FromString(canary), "num": redact.FromString("7"), "raw": redact.New([]byte{0xff, 0xfe}),
		"object": redact.FromString(`{"a":"` + canary + `"}`),
	}
	return Render(es, values, sources, render.Options{Now: time.Now})
}

func templated(body string) string { return "template:\n" + body }

// Where values go, in docs/target-manifest.md.
func TestRender(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"ConfigMap, no template": {configMap, `{"binaryData":{"raw":"//4="},"data":{"num":"7","object":"{\"a\":\"` + canary + `\"}","pass":"` + canary + `","user":"app"}}`},
		"metadata only":          {configMap + templated("  metadata: {labels: {x: '{{ .user }}'}}"), `{"binaryData":{"raw":"//4="},"data":{"num":"7","object":"{\"a\":\"` + canary + `\"}","pass":"` + canary + `","user":"app"}}`},
		"template.data":          {configMap + templated("  data: {url: 'http://{{ .user }}'}"), `{"data":{"url":"http://app"}}`},
		"merged":                 {configMap + "immutable: true\n" + templated("  mergePolicy: Merge\n  data: {user: '{{ .user }}!', raw: text, object: o, pass: p}"), `{"data":{"num":"7","object":"o","pass":"p","raw":"text","user":"app!"},"immutable":true}`},
		"items":                  {configMap + templated("  templateFrom: [{configMap: {name: tpl, items: [{key: conf}, {key: yaml, templateAs: KeysAndValues}]}}]"), `{"data":{"a":"app","conf":"user=app","num":"3"}}`},
		"data, as the original":  {configMap + templated("  templateFrom: [{target: data, literal: 'a: 1'}]"), `{"data":{"a":"1"}}`},
		"a key by its path":      {configMap + templated(`  templateFrom: [{target: 'data["app.yaml"]', literal: "a: {{ .user }}\nb: [1]"}, {target: data.x, configMap: {name: tpl, items: [{key: conf}]}}]`), `{"data":{"app.yaml":"a: app\nb: [1]","x":"user=app"}}`},
		"decoded":                {configMap + templated("  templateFrom: [{target: data.x, valuesDecodingStrategy: Base64, literal: '//4='}]"), `{"binaryData":{"x":"//4="}}`},
		"data wins":              {configMap + templated("  data: {a: inline}\n  templateFrom: [{literal: 'a: from'}]"), `{"data":{"a":"inline"}}`},
		"nothing":                {configMap + templated("  templateFrom: [{target: Labels, literal: 'a: b'}]"), `{}`},

		"object at a path":    {widget + templated("  templateFrom: [{target: spec.config, literal: '{user: {{ .user }}, replicas: 3, live: true}'}]"), `{"spec":{"config":{"live":true,"replicas":3,"user":"app"}}}`},
		"large numbers":       {widget + templated("  templateFrom: [{target: spec, literal: 'big: 1234567890123456789'}]"), `{"spec":{"big":1234567890123456789}}`},
		"list at a path":      {widget + templated("  templateFrom: [{target: spec.users, literal: '[{name: {{ .user }}}]'}]"), `{"spec":{"users":[{"name":"app"}]}}`},
		"strings stay":        {widget + templated("  templateFrom: [{target: spec.num, literal: '{{ .num }}'}, {target: spec.yes, literal: 'true'}, {target: spec.none, literal: 'null'}]"), `{"spec":{"none":"null","num":"7","yes":"true"}}`},
		"an item is a text":   {widget + templated("  templateFrom: [{target: spec.text, configMap: {name: tpl, items: [{key: object}]}}]"), `{"spec":{"text":"deep: {user: 'app', num: 3}"}}`},
		"unless it says so":   {widget + templated("  templateFrom: [{target: spec.text, configMap: {name: tpl, items: [{key: object, templateAs: KeysAndValues}]}}]"), `{"spec":{"text":{"deep":{"num":3,"user":"app"}}}}`},
		"item at one step":    {widget + templated("  templateFrom: [{target: spec, secret: {name: tpl, items: [{key: conf}]}}]"), `{"spec":{"conf":"user=app"}}`},
		"lists grow in order": {widget + templated("  templateFrom: [{target: 'spec.rules[0].value', literal: '{{ .user }}'}, {target: 'spec.rules[1].value', literal: x}, {target: 'spec.rules[0].name', literal: first}]"), `{"spec":{"rules":[{"name":"first","value":"app"},{"value":"x"}]}}`},
		"later over earlier":  {widget + templated("  templateFrom: [{target: spec, literal: 'a: {x: 1, z: 1}'}, {target: spec.a, literal: 'z: 2'}]"), `{"spec":{"a":{"x":1,"z":2}}}`},
		"data of a kind":      {widget + templated("  data: {url: '{{ .user }}'}\n  templateFrom: [{literal: 'num: 3'}]"), `{"data":{"num":"3","url":"app"}}`},
		"root list or text":   {widget + templated("  templateFrom: [{target: value, literal: '{{ .pass }}'}]"), `{"value":"` + canary + `"}`},
	} {
		o, err := rendered(t, c.spec)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, _ := json.Marshal(o.Fields); string(got) != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestMetadata(t *testing.T) {
	o, err := rendered(t, widget+templated("  metadata: {labels: {team: '{{ .user }}', reconcile.external-secrets.io/managed: no}, annotations: {len: '{{ len .pass }}'}, finalizers: [example.com/x]}\n"+
		"  templateFrom: [{target: spec.x, literal: y}, {target: Labels, literal: 'from: {{ .user }}'}, {target: annotations, literal: 'count: 7'}]"))
	if err != nil {
		t.Fatal(err)
	}
	m := o.Meta
	if m.Labels["team"] != "app" || m.Labels["from"] != "app" || m.Labels[target.LabelManaged] != "true" || m.Labels[target.LabelCreatedBy] == "" || m.Labels["of"] != "" ||
		m.Annotations["len"] != "11" || m.Annotations["count"] != "7" || len(m.Finalizers) != 1 || m.Owner == nil {
		t.Errorf("%+v", m)
	}
	if o, err = rendered(t, configMap+"creationPolicy: Orphan\n"); err != nil || o.Meta.Labels["of"] != "es" || o.Meta.Owner != nil || o.Meta.Labels[target.LabelCreatedBy] != "" {
		t.Errorf("%+v %v", o, err)
	}
	o, err = rendered(t, configMap+"creationPolicy: Merge\n"+templated("  metadata: {labels: {a: b}}\n  data: {x: text}"))
	if err != nil || len(o.Meta.Labels) != 0 || !o.Meta.Merge {
		t.Errorf("%+v %v", o, err)
	}
	if got, _ := json.Marshal(o.Fields); string(got) != `{"binaryData":{},"data":{"x":"text"}}` { // so that nobody's keys go with ours
		t.Errorf("%s", got)
	}
}

// Errors name the template and the path, and quote no value.
func TestRenderRefuses(t *testing.T) {
	for spec, c := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		widget: {errs.Invalid, "where in a Widget the values go is not known"},
		widget + templated("  metadata: {labels: {a: b}}"):                                                                                                                {errs.Invalid, "where in a Widget the values go is not known"},
		widget + "immutable: true\n" + templated("  data: {a: b}"):                                                                                                        {errs.Invalid, "spec.target.immutable is for Secrets and ConfigMaps"},
		widget + templated("  mergePolicy: Merge\n  data: {a: b}"):                                                                                                        {errs.Invalid, "mergePolicy Merge"},
		widget + templated("  type: Opaque\n  data: {a: b}"):                                                                                                              {errs.Invalid, "template.type is for Secrets"},
		configMap + templated("  type: Opaque\n  data: {a: b}"):                                                                                                           {errs.Invalid, "template.type is for Secrets"},
		widget + templated("  data: {a: '{{ .raw }}'}"):                                                                                                                   {errs.Invalid, "data.a is not UTF-8 text"},
		widget + templated("  templateFrom: [{target: spec.a, literal: '{{ .raw }}'}]"):                                                                                   {errs.Invalid, "template literal, target spec.a: what it makes is not UTF-8 text"},
		widget + templated("  templateFrom: [{target: 'spec.a[5]', literal: '{{ .pass }}'}]"):                                                                             {errs.Invalid, "template literal, target spec.a[5]: spec.a[5]: the list has 0 items"},
		widget + templated("  templateFrom: [{target: 'spec.a[5', literal: '{{ .pass }}'}]"):                                                                              {errs.Invalid, `template literal: target "spec.a[5" is no path`},
		widget + templated("  templateFrom: [{target: metadata.labels.x, literal: '{{ .pass }}'}]"):                                                                       {errs.Invalid, "use target Labels or Annotations"},
		widget + templated("  templateFrom: [{target: status.x, literal: '{{ .pass }}'}]"):                                                                                {errs.Invalid, "status is not for templates"},
		widget + templated("  templateFrom: [{target: kind, literal: Secret}]"):                                                                                           {errs.Invalid, "kind is not for templates"},
		widget + templated(`  templateFrom: [{target: '["metadata"].x', literal: Secret}]`):                                                                               {errs.Invalid, "use target Labels"},
		widget + templated("  templateFrom: [{target: spec.a, valuesDecodingStrategy: Base64, literal: '{a: {{ .pass }}}'}]"):                                             {errs.Invalid, "does not decode"},
		widget + templated("  templateFrom: [{target: spec.a, valuesDecodingStrategy: Base64, literal: '{{ .pass }}'}]"):                                                  {errs.Invalid, "not Base64"},
		widget + templated("  templateFrom: [{target: spec.a, literal: '{{ .pass }}'}, {target: spec.a.b, literal: '{{ .pass }}'}]"):                                      {errs.Invalid, "spec.a is no object"},
		widget + templated("  templateFrom: [{target: spec.a, secret: {name: tpl, items: [{key: tells}]}}]"):                                                              {errs.Invalid, "Secret/tpl/tells"},
		widget + templated("  templateFrom: [{target: Labels, literal: '[{{ .pass }}]'}]"):                                                                                {errs.Invalid, "does not make YAML of keys"},
		widget + templated("  templateFrom: [{target: data, literal: 'x: y'}, {target: data.x, literal: '{{ .pass }}'}, {target: data, literal: 'x: {a: {{ .pass }}}'}]"): {errs.Invalid, "does not make YAML of keys"},
		configMap + templated("  templateFrom: [{target: spec.a, literal: '{{ .pass }}'}]"):                                                                               {errs.Invalid, "a ConfigMap holds a text for each key"},
		configMap + templated("  templateFrom: [{target: data.a.b, literal: '{{ .pass }}'}]"):                                                                             {errs.Invalid, `data["KEY"] if it has dots`},
		configMap + templated("  templateFrom: [{target: 'data[0]', literal: '{{ .pass }}'}]"):                                                                            {errs.Invalid, "a ConfigMap holds a text"},
		configMap + templated("  data: {'a/b': x}"):                                                                                                                       {errs.Invalid, `"a/b" cannot be a key of a ConfigMap`},
		configMap + templated("  data: {x: '{{ repeat 1000000 .user }}'}"):                                                                                                {errs.TooLarge, ""},
		configMap + templated("  templateFrom: [{configMap: {name: not-there, items: [{key: x}]}}]"):                                                                      {errs.Unavailable, "does not exist"},
	} {
		_, err := rendered(t, spec)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v (%v), want %v with %q", spec, err, errs.KindOf(err), c.kind, c.words)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: a value is in the error", spec)
		}
	}
}

// Whatever a template makes is a text, or YAML of an object or a list.
func FuzzValueOf(f *testing.F) {
	for _, seed := range []string{"x", "7", "a: b", "[1, 2]", "{", "a: &a [*a]", "null", "{a: {b: c}}", "- x\n- y: 1", "\xff", "a: 1e999", "? [a]\n: b"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, item bool) {
		piece := render.Piece{Template: "T", Target: "spec.x", Text: []byte(text)}
		if item {
			piece.Key = "k"
		}
		value, err := valueOf(piece)
		if err != nil {
			if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Fatalf("%v quotes what it read", err)
			}
			return
		}
		switch v := value.(type) {
		case string:
			if v != text {
				t.Fatalf("%q became %q", text, v)
			}
		case map[string]any, []any:
			if item {
				t.Fatalf("an item's text became %T", v)
			}
			if _, err := json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("%T", v)
		}
	})
}
