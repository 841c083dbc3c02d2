package target

import (
	"crypto/cipher"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func object(policy v1.CreationPolicy) *v1.ExternalSecret {
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: "app", UID: "u", Labels: map[string]string{"l": "1", LabelManaged: "forged"},
		Annotations: map[string]string{"a": "1", lastApplied: "x", AnnotationMark: "forged"},
	}}
	es.Spec.Target.CreationPolicy = policy
	return es
}

func key(t testing.TB, b byte) Key {
	t.Helper()
	k, err := NewKey([]byte(strings.Repeat(string(b), KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNew(t *testing.T) {
	for policy, want := range map[v1.CreationPolicy]struct{ labels, annotations, owner int }{
		"": {3, 1, 1}, v1.CreateOwner: {3, 1, 1}, v1.CreateOrphan: {2, 1, 0}, v1.CreateMerge: {0, 0, 0},
	} {
		es := object(policy)
		s := New(es, map[string][]byte{"k": []byte("v")})
		s.CopyMetadata(es)
		owner := 0
		if s.Owner != nil {
			owner = 1
		}
		if len(s.Labels) != want.labels || len(s.Annotations) != want.annotations || owner != want.owner {
			t.Errorf("%s: labels %v, annotations %v, owner %v", policy, s.Labels, s.Annotations, s.Owner)
		}
		if policy != v1.CreateMerge && (s.Labels[LabelManaged] != "true" || s.Annotations[AnnotationMark] != "" || s.Annotations[lastApplied] != "") {
			t.Errorf("%s: what is ours was overwritten: %v %v", policy, s.Labels, s.Annotations)
		}
	}
}

// facts/external-secrets.md §1.5: names as the External Secrets Operator has them.
func TestNames(t *testing.T) {
	if got := CreatedBy("default", "example"); len(got) != 56 || got != short("default/example") {
		t.Errorf("created-by %q", got)
	}
	if Manager("app") != "externalsecrets.external-secrets.io/app" {
		t.Error(Manager("app"))
	}
	if m := Manager(strings.Repeat("x", 253)); len(m) > 128 {
		t.Errorf("a field manager of %d bytes", len(m))
	}
}

func TestOurs(t *testing.T) {
	es := object(v1.CreateOwner)
	yes := true
	owned := func(kind string, uid types.UID, labels map[string]string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Labels: labels, OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: "app", UID: uid, Controller: &yes}}}
	}
	created := map[string]string{LabelCreatedBy: CreatedBy("team", "app")}
	managed := []metav1.ManagedFieldsEntry{{Manager: Manager("app")}}
	fields := func(raw string) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{{Manager: Manager("app"), Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(raw)}}
	}
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		want bool
	}{
		"foreign":                     {metav1.ObjectMeta{}, false},
		"our label":                   {metav1.ObjectMeta{Labels: created}, true},
		"another's label":             {metav1.ObjectMeta{Labels: map[string]string{LabelCreatedBy: CreatedBy("team", "other")}}, false},
		"label of another namespace":  {metav1.ObjectMeta{Labels: map[string]string{LabelCreatedBy: CreatedBy("x", "app")}}, false},
		"we own it":                   {owned("ExternalSecret", "u", nil), true},
		"a Deployment owns it":        {owned("Deployment", "x", nil), false},
		"owned, label forged":         {owned("Deployment", "x", created), false},
		"our former self owns it":     {owned("ExternalSecret", "x", created), true},
		"marked by us, as it is":      {metav1.ObjectMeta{ManagedFields: fields(`{"f:metadata":{"f:annotations":{"f:` + AnnotationMark + `":{}}}}`), Annotations: map[string]string{AnnotationMark: "x"}}, true},
		"the mark edited by hand":     {metav1.ObjectMeta{ManagedFields: fields(`{"f:metadata":{"f:labels":{"f:` + LabelManaged + `":{}}}}`), Annotations: map[string]string{AnnotationMark: "x"}}, true},
		"merged into another's":       {metav1.ObjectMeta{ManagedFields: fields(`{"f:data":{"f:k":{}},"f:metadata":{"f:annotations":{"f:versions.strongkeep.io/app":{}}}}`), Annotations: map[string]string{AnnotationMark: "x"}}, false},
		"a label of the mark's name":  {metav1.ObjectMeta{ManagedFields: fields(`{"f:metadata":{"f:labels":{"f:` + AnnotationMark + `":{}}}}`), Annotations: map[string]string{AnnotationMark: "x"}}, false},
		"fields that are none":        {metav1.ObjectMeta{ManagedFields: fields(`"f:` + AnnotationMark + `"`), Annotations: map[string]string{AnnotationMark: "x"}}, false},
		"merged into, no mark":        {metav1.ObjectMeta{ManagedFields: managed}, false},
		"marked by our field manager": {metav1.ObjectMeta{ManagedFields: managed, Annotations: map[string]string{AnnotationMark: "x"}}, true},
	} {
		if got := Ours(es, &metav1.PartialObjectMetadata{ObjectMeta: c.meta}); got != c.want {
			t.Errorf("%s: ours %v, want %v", name, got, c.want)
		}
		for range 2 {
			StripMetadata(&c.meta)
			if got := Ours(es, &metav1.PartialObjectMetadata{ObjectMeta: c.meta}); got != c.want {
				t.Errorf("%s: from the cache ours %v, want %v", name, got, c.want)
			}
		}
	}
}

func TestOwned(t *testing.T) {
	yes, no := true, false
	by := func(controller *bool) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: "ExternalSecret", Name: "app", UID: "u", Controller: controller}}}}
	}
	for name, c := range map[string]struct {
		policy v1.CreationPolicy
		live   *corev1.Secret
		want   bool
	}{
		"as written":         {v1.CreateOwner, by(&yes), true},
		"taken off":          {v1.CreateOwner, &corev1.Secret{}, false},
		"controller no more": {v1.CreateOwner, by(&no), false},
		"nobody's to be":     {v1.CreateOrphan, &corev1.Secret{}, true},
	} {
		if got := Owned(object(c.policy), c.live); got != c.want {
			t.Errorf("%s: owned %v, want %v", name, got, c.want)
		}
	}
}

func TestMarks(t *testing.T) {
	k := key(t, 'a')
	base := func() *Secret {
		s := New(object(""), map[string][]byte{"a": []byte("bc"), "d": nil})
		s.Type = corev1.SecretTypeOpaque
		return s
	}
	want := k.Content(base())
	if len(want) != 22 || want != k.Content(base()) {
		t.Errorf("content MAC %q", want)
	}
	for name, change := range map[string]func(*Secret){
		"value":        func(s *Secret) { s.Data["a"] = []byte("bx") },
		"moved border": func(s *Secret) { s.Data = map[string][]byte{"ab": []byte("c"), "d": nil} },
		"key gone":     func(s *Secret) { delete(s.Data, "d") },
		"type":         func(s *Secret) { s.Type = corev1.SecretTypeTLS },
		"label":        func(s *Secret) { s.Labels["x"] = "y" },
		"annotation":   func(s *Secret) { s.Annotations["x"] = "y" },
		"namespace":    func(s *Secret) { s.Namespace = "other" },
		"name":         func(s *Secret) { s.Name = "other" },
	} {
		s := base()
		change(s)
		if k.Content(s) == want {
			t.Errorf("%s: the MAC is the same", name)
		}
	}
	if key(t, 'b').Content(base()) == want {
		t.Error("the MAC does not depend on the key")
	}
	s := base()
	s.Annotations[AnnotationMark] = "v1.a.b.c"
	if k.Content(s) != want {
		t.Error("the mark is part of what it marks")
	}
	if m := ParseMark(Mark{"a", "b", "c"}.String()); m != (Mark{"a", "b", "c"}) {
		t.Errorf("%+v", m)
	}
	for _, bad := range []string{"", "v1.a.b", "v2.a.b.c", strings.Repeat("a", 56)} {
		if ParseMark(bad) != (Mark{}) {
			t.Errorf("%q is taken for a mark", bad)
		}
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", k, k, k), "aaaa") {
		t.Error("the key was printed")
	}
	if _, err := NewKey([]byte("short")); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a short key: %v", err)
	}
}

func TestInputs(t *testing.T) {
	k := key(t, 'a')
	sum := func(values map[string]redact.Secret, spec any, texts ...string) string {
		s, err := k.Inputs(values, spec, texts...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	values := map[string]redact.Secret{"a": redact.FromString("1")}
	want := sum(values, "spec", "t1", "t2")
	for _, other := range []string{sum(nil, "spec", "t1", "t2"), sum(values, "x", "t1", "t2"), sum(values, "spec", "t1t2"), sum(map[string]redact.Secret{"a": redact.FromString("2")}, "spec", "t1", "t2")} {
		if other == want {
			t.Error("different inputs, the same MAC")
		}
	}
}

// A label or value that somebody changes is no longer owned by us, so the MAC
// over what is owned differs.
func TestContentOf(t *testing.T) {
	k := key(t, 'a')
	s := New(object(""), map[string][]byte{"k": []byte("v")})
	s.Labels["l"] = "1"
	live := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", Labels: map[string]string{"theirs": "x"}, Annotations: map[string]string{AnnotationMark: "m"}},
		Type:       s.Type, Data: s.Data,
	}
	for n, v := range s.Labels {
		live.Labels[n] = v
	}
	owned := `{"f:metadata":{"f:labels":{"f:l":{},"f:` + LabelManaged + `":{},"f:` + LabelCreatedBy + `":{}},"f:annotations":{"f:` + AnnotationMark + `":{}}}}`
	live.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:theirs":{}}}}`)},
		{Manager: s.Manager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(owned)},
	}
	if k.ContentOf(live, s.Manager) != k.Content(s) {
		t.Error("a Secret as it was written has another MAC")
	}
	live.ManagedFields[1].FieldsV1 = metav1.NewFieldsV1(strings.Replace(owned, `"f:l":{},`, "", 1))
	if k.ContentOf(live, s.Manager) == k.Content(s) {
		t.Error("a label taken over by somebody else is not noticed")
	}
}

// Only what an operator with our key has written, as it is, is vouched for.
func TestVouched(t *testing.T) {
	k := key(t, 'a')
	written := func(change func(*corev1.Secret)) *corev1.Secret {
		s := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", Annotations: map[string]string{AnnotationVersions: `{"l":"7"}`}},
			Data:       map[string][]byte{"password": []byte("x")},
		}
		owned := `{"f:metadata":{"f:annotations":{"f:` + AnnotationMark + `":{},"f:` + AnnotationVersions + `":{}}}}`
		s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: Manager("app"), Operation: metav1.ManagedFieldsOperationApply, FieldsV1: &metav1.FieldsV1{Raw: []byte(owned)}}}
		s.Annotations[AnnotationMark] = Mark{Content: k.ContentOf(s, Manager("app")), Inputs: "i", Sources: "s"}.String()
		if change != nil {
			change(s)
		}
		return s
	}
	for name, c := range map[string]struct {
		change func(*corev1.Secret)
		want   bool
	}{
		"as it was written":        {nil, true},
		"another version":          {func(s *corev1.Secret) { s.Annotations[AnnotationVersions] = `{"l":"8"}` }, false},
		"another value":            {func(s *corev1.Secret) { s.Data["password"] = []byte("y") }, false},
		"somewhere else":           {func(s *corev1.Secret) { s.Namespace = "evil" }, false},
		"no mark":                  {func(s *corev1.Secret) { delete(s.Annotations, AnnotationMark) }, false},
		"a mark of nothing":        {func(s *corev1.Secret) { s.Annotations[AnnotationMark] = "v1..." }, false},
		"another word beside ours": {func(s *corev1.Secret) { s.Annotations["versions.strongkeep.io/evil"] = `{"l":"8"}` }, false},
		"a version that is not ours": {func(s *corev1.Secret) {
			s.ManagedFields[0].FieldsV1.Raw = []byte(`{"f:metadata":{"f:annotations":{"f:` + AnnotationMark + `":{}}}}`)
			s.Annotations[AnnotationMark] = Mark{Content: k.ContentOf(s, Manager("app"))}.String()
		}, false},
		"an annotation of another's": {func(s *corev1.Secret) { s.Annotations["theirs"] = "x" }, true},
	} {
		if got := k.Vouched(written(c.change)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if key(t, 'b').Vouched(written(nil)) {
		t.Error("another key vouches for it")
	}
}

// What was encrypted for a purpose is read for it, and for no other.
func TestCipher(t *testing.T) {
	sealed := func(k Key, purpose string) cipher.AEAD {
		c, err := k.Cipher(purpose)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	text := sealed(key(t, 'a'), "states").Seal(nil, nil, []byte("said"), []byte("here"))
	if got, err := sealed(key(t, 'a'), "states").Open(nil, nil, text, []byte("here")); err != nil || string(got) != "said" {
		t.Errorf("%q, %v", got, err)
	}
	for name, c := range map[string]struct {
		by    cipher.AEAD
		place string
	}{
		"another purpose": {sealed(key(t, 'a'), "other"), "here"},
		"another key":     {sealed(key(t, 'b'), "states"), "here"},
		"another place":   {sealed(key(t, 'a'), "states"), "there"},
	} {
		if _, err := c.by.Open(nil, nil, text, []byte(c.place)); err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
}

func TestStripMetadata(t *testing.T) {
	m := metav1.ObjectMeta{
		Annotations: map[string]string{lastApplied: "secret", "a": "b"},
		ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: "kubectl"}, {Manager: Manager("merges"), FieldsV1: metav1.NewFieldsV1("{}")},
			{Manager: Manager("app"), FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:` + AnnotationMark + `":{}}}}`)},
		},
	}
	StripMetadata(&m)
	if len(m.Annotations) != 1 || len(m.ManagedFields) != 1 || m.ManagedFields[0].Manager != Manager("app") || m.ManagedFields[0].FieldsV1 != nil {
		t.Errorf("%+v", m)
	}
	yes := true
	m.OwnerReferences = []metav1.OwnerReference{{Kind: "ExternalSecret", Name: "app", Controller: &yes}}
	if StripMetadata(&m); len(m.ManagedFields) != 0 {
		t.Errorf("what nobody asks for of an object that is controlled: %+v", m.ManagedFields)
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add("v1.a.b.c")
	f.Add("....")
	f.Fuzz(func(t *testing.T, s string) {
		if m := ParseMark(s); m != (Mark{}) && m.String() != s {
			t.Errorf("%q becomes %q", s, m)
		}
	})
}

func BenchmarkContent(b *testing.B) {
	k := key(b, 'a')
	s := New(object(""), map[string][]byte{"user": []byte("app"), "password": []byte(strings.Repeat("x", 32))})
	b.ReportAllocs()
	for b.Loop() {
		k.Content(s)
	}
}
