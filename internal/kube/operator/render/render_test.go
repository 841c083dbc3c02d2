package render

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-c01d"

func render(t *testing.T, tpl string, texts Texts) (*target.Secret, error) {
	t.Helper()
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", Labels: map[string]string{"of": "es"}}}
	if tpl != "" {
		es.Spec.Target.Template = &v1.ExternalSecretTemplate{}
		if err := yaml.UnmarshalStrict([]byte(tpl), es.Spec.Target.Template); err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]redact.Secret{"user": redact.FromString("app"), "pass": redact.FromString(canary)}
	return Secret(es, values, texts, Options{Now: time.Now})
}

func many(text_, target string) text {
	return text{name: "T", many: true, target: target, source: redact.FromString(text_)}
}

// facts/external-secrets.md §1.6: template.data over templateFrom over what was read.
func TestSecret(t *testing.T) {
	for name, c := range map[string]struct {
		template    string
		texts       Texts
		data        map[string]string
		label, typ_ string
	}{
		"none":      {"", nil, map[string]string{"user": "app", "pass": canary}, "es", "Opaque"},
		"type only": {"{type: kubernetes.io/basic-auth}", nil, map[string]string{"user": "app", "pass": canary}, "", "kubernetes.io/basic-auth"},
		"replace":   {"{data: {x: '{{.user}}'}}", nil, map[string]string{"x": "app"}, "", "Opaque"},
		"merge":     {"{mergePolicy: Merge, data: {user: '{{.user}}!'}}", nil, map[string]string{"user": "app!", "pass": canary}, "", "Opaque"},
		"precedence": {"{mergePolicy: Merge, templateFrom: [{literal: x}], data: {b: data}}", Texts{many("a: from\nb: from\nuser: from", "")},
			map[string]string{"a": "from", "b": "data", "user": "from", "pass": canary}, "", "Opaque"},
		"labels": {"{templateFrom: [{literal: x}], data: {a: b}, metadata: {labels: {of: '{{.user}}'}}}", Texts{many("of: text", v1.TemplateTargetLabels)},
			map[string]string{"a": "b"}, "app", "Opaque"},
		"decoded": {"{templateFrom: [{literal: x}]}", Texts{{name: "T", key: "k", decode: v1.DecodingBase64, source: redact.FromString("{{ .user | b64enc }}")}},
			map[string]string{"k": "app"}, "", "Opaque"},
	} {
		s, err := render(t, c.template, c.texts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := map[string]string{}
		for k, v := range s.Data {
			got[k] = string(v)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(c.data)
		if string(a) != string(b) || s.Labels["of"] != c.label || string(s.Type) != c.typ_ {
			t.Errorf("%s: %d keys, labels %v, type %s; want %d keys, label %q, type %s", name, len(got), s.Labels, s.Type, len(c.data), c.label, c.typ_)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		template string
		texts    Texts
		kind     errs.Kind
		words    string
	}{
		"bad key":     {"{data: {'a/b': x}}", nil, errs.Invalid, `"a/b" cannot be a key`},
		"dots":        {"{data: {'..': x}}", nil, errs.Invalid, `".." cannot be a key`},
		"long key":    {"{data: {" + strings.Repeat("x", 254) + ": x}}", nil, errs.Invalid, "at most 253"},
		"not YAML":    {"{templateFrom: [{literal: x}]}", Texts{many("{{.pass}}: [", "")}, errs.Invalid, "template T does not make YAML"},
		"nested":      {"{templateFrom: [{literal: x}]}", Texts{many("a: {b: '{{.pass}}'}", "")}, errs.Invalid, "plain values"},
		"not decoded": {"{templateFrom: [{literal: x}]}", Texts{{name: "T", key: "k", decode: v1.DecodingBase64, source: redact.FromString("{{.pass}}")}}, errs.Invalid, "not Base64"},
		"too large":   {"{data: {a: '{{ repeat 700000 \"x\" }}', b: '{{ repeat 700000 \"x\" }}'}}", nil, errs.TooLarge, "fits into a Secret"},
		"missing":     {"{data: {a: '{{ .nope }}'}}", nil, errs.Invalid, "template data.a:1:3"},
		"bad label":   {"{metadata: {labels: {a: '{{ fail .pass }}'}}}", nil, errs.Invalid, "template metadata.labels.a"},
	} {
		_, err := render(t, c.template, c.texts)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v (%v), want %v with %q", name, err, errs.KindOf(err), c.kind, c.words)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the value is in the message", name)
		}
	}
}

func FuzzKeysAndValues(f *testing.F) {
	f.Add([]byte("a: b\nc: 1\nd: true\ne: null"))
	f.Add([]byte("a: |\n  x\n  y"))
	f.Add([]byte("- a"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, err := keysAndValues("T", b)
		if err == nil {
			for key, value := range pairs {
				if len(value) > 0 && (value[0] == '{' || value[0] == '[') && !strings.ContainsAny(string(b), "\"'{[|>") {
					t.Errorf("key %q has a value that is not plain", key)
				}
			}
		}
	})
}
