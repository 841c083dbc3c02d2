package target

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		annotations map[string]string
		want        map[string]string
	}{
		"none":       {nil, map[string]string{}},
		"one":        {map[string]string{AnnotationVersions: `{"v:443/secret/data/x":"7"}`}, map[string]string{"v:443/secret/data/x": "7"}},
		"no object":  {map[string]string{AnnotationVersions: `["7"]`, versionsOfMerge + "a": `{"x":7}`}, map[string]string{}},
		"not ours":   {map[string]string{"other/versions": `{"x":"7"}`}, map[string]string{}},
		"merged":     {map[string]string{versionsOfMerge + "a": `{"x":"7"}`, versionsOfMerge + "b": `{"x":"7","y":"1"}`}, map[string]string{"x": "7", "y": "1"}},
		"disagree":   {map[string]string{AnnotationVersions: `{"x":"7"}`, versionsOfMerge + "b": `{"x":"6"}`}, map[string]string{"x": "6,7"}},
		"three ways": {map[string]string{AnnotationVersions: `{"x":"6,7"}`, versionsOfMerge + "b": `{"x":"6"}`}, map[string]string{"x": "6,7"}},
	} {
		if got := Versions(c.annotations); !maps.Equal(got, c.want) || got == nil {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestSetVersions(t *testing.T) {
	text, ok := FormatVersions(map[string]string{"b": "2", "a": "1"})
	if !ok || text != `{"a":"1","b":"2"}` {
		t.Errorf("%s, %v", text, ok)
	}
	for _, policy := range []v1.CreationPolicy{v1.CreateOwner, v1.CreateOrphan, v1.CreateMerge} {
		es := object(policy)
		es.Annotations[AnnotationVersions] = `{"forged":"9"}`
		es.Annotations[versionsOfMerge+"app"] = `{"forged":"9"}`
		s := New(es, nil)
		s.CopyMetadata(es)
		if got := Versions(s.Annotations); len(got) != 0 {
			t.Errorf("%s: the ExternalSecret's own annotations say %v", policy, got)
		}
		before := key(t, 'a').Content(s)
		s.SetVersions(text)
		if got := Versions(s.Annotations); !maps.Equal(got, map[string]string{"a": "1", "b": "2"}) || s.Annotations[s.VersionsKey()] != text {
			t.Errorf("%s: %v", policy, s.Annotations)
		}
		if key(t, 'a').Content(s) == before {
			t.Errorf("%s: the mark does not see the versions", policy)
		}
		s.SetVersions("")
		if _, there := s.Annotations[s.VersionsKey()]; there {
			t.Errorf("%s: an annotation that says nothing", policy)
		}
		meta := metav1.ObjectMeta{Annotations: map[string]string{s.VersionsKey(): text}}
		if StripMetadata(&meta); len(Versions(meta.Annotations)) != 2 {
			t.Errorf("%s: the cache does not keep %s", policy, s.VersionsKey())
		}
	}
	many := map[string]string{}
	for i := range 5000 {
		many[fmt.Sprintf("vault.example:8200/secret/data/app/%d", i)] = "1"
	}
	if text, ok := FormatVersions(many); ok || text != "" {
		t.Errorf("%d bytes of versions", len(text))
	}
}

// The API server takes annotation names of at most 63 bytes.
func TestVersionsKeyOfLongNames(t *testing.T) {
	for _, n := range []int{1, 63, 64, 92, 93, 253} {
		es := object(v1.CreateMerge)
		es.Name = strings.Repeat("x", n)
		_, name, _ := strings.Cut(New(es, nil).VersionsKey(), "/")
		if len(name) > 63 || name == "" {
			t.Errorf("a name of %d bytes becomes one of %d", n, len(name))
		}
	}
}

func TestAgain(t *testing.T) {
	es := object(v1.CreateOwner)
	es.Spec.Target.Template = &v1.ExternalSecretTemplate{}
	es.Spec.Target.Template.Metadata.Finalizers = []string{"a/b"}
	s := New(es, map[string][]byte{"k": []byte("v")})
	s.Type = corev1.SecretTypeTLS
	live := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team", Name: "app", Labels: maps.Clone(s.Labels),
			Annotations: map[string]string{"theirs": "x", AnnotationMark: "m", AnnotationVersions: `{"a":"1"}`},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: s.Manager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(
				`{"f:metadata":{"f:labels":{"f:` + LabelManaged + `":{},"f:` + LabelCreatedBy + `":{}},"f:annotations":{"f:` + AnnotationMark + `":{},"f:` + AnnotationVersions + `":{}}}}`)}},
		},
		Type: s.Type, Data: s.Data,
	}
	s.SetVersions(`{"a":"1"}`)
	k := key(t, 'a')
	if again := Again(es, live); k.Content(again) != k.Content(s) || k.Content(again) != k.ContentOf(live, s.Manager) || len(again.Finalizers) != 1 || again.Owner == nil {
		t.Errorf("%+v is not what was written", again)
	}
}

func FuzzVersions(f *testing.F) {
	f.Add(`{"a":"1"}`, `{"a":"2"}`)
	f.Add(`{`, `null`)
	f.Fuzz(func(t *testing.T, a, b string) {
		all := Versions(map[string]string{AnnotationVersions: a, versionsOfMerge + "x": b})
		text, ok := FormatVersions(all)
		if !ok {
			return
		}
		if again := Versions(map[string]string{AnnotationVersions: text}); len(again) != len(all) {
			t.Errorf("%v becomes %v", all, again)
		}
	})
}
