package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-91c2"

func src(name string, pairs ...string) Source {
	s := Source{Name: name, Data: map[string]redact.Secret{}}
	for i := 0; i < len(pairs); i += 2 {
		s.Data[pairs[i]] = redact.FromString(pairs[i+1])
	}
	return s
}

func stores() []v1.Store {
	return []v1.Store{
		&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "ns", Labels: map[string]string{"to": "a"}}},
		&v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "b", Labels: map[string]string{"to": "b"}}},
	}
}

// show writes a plan as lines, of store a alone unless both is set.
func show(p Plan, both bool) (lines []string) {
	for _, e := range p.Entries {
		if !both && e.Store.GetName() != "a" {
			continue
		}
		line := fmt.Sprintf("%s %s=%s", StoreName(e.Store), PlaceName(e.Data), e.Value.Reveal())
		if e.Err != nil {
			line = fmt.Sprintf("%s %s: %v", StoreName(e.Store), PlaceName(e.Data), e.Err)
		}
		lines = append(lines, line)
	}
	for _, err := range p.Problems {
		lines = append(lines, "problem: "+err.Error())
	}
	return lines
}

// facts §1.4: data, dataTo, conversionStrategy, whole Secrets, several sources.
func TestPlan(t *testing.T) {
	one := []Source{src("s", "user", "app", "pass_U0021_", canary+"<>")}
	two := []Source{src("s", "user", "app"), src("t", "pass", canary)}
	for name, c := range map[string]struct {
		spec    string
		sources []Source
		want    []string
		unsure  bool
	}{
		"key":          {`{data: [{match: {secretKey: user, remoteRef: {remoteKey: x}}}]}`, one, []string{"SecretStore/a x=app"}, false},
		"property":     {`{data: [{match: {secretKey: user, remoteRef: {remoteKey: x, property: u}}}]}`, one, []string{"SecretStore/a x/u=app"}, false},
		"whole":        {`{data: [{match: {remoteRef: {remoteKey: x}}}]}`, one, []string{`SecretStore/a x={"pass_U0021_":"` + canary + `<>","user":"app"}`}, false},
		"converted":    {`{data: [{conversionStrategy: ReverseUnicode, match: {remoteRef: {remoteKey: x, property: p}}}]}`, one, []string{`SecretStore/a x/p={"pass!":"` + canary + `<>","user":"app"}`}, false},
		"by converted": {`{data: [{conversionStrategy: ReverseUnicode, match: {secretKey: pass!, remoteRef: {remoteKey: x}}}]}`, one, []string{"SecretStore/a x=" + canary + "<>"}, false},
		"no such key":  {`{data: [{match: {secretKey: nope, remoteRef: {remoteKey: x}}}, {match: {secretKey: user, remoteRef: {remoteKey: z}}}]}`, one, []string{`SecretStore/a x: data[0]: Secret "s" has no key "nope": add it, or correct secretKey`, "SecretStore/a z=app"}, false},
		"no remoteKey": {`{data: [{match: {secretKey: user, remoteRef: {remoteKey: ""}}}]}`, one, []string{"problem: data[0]: remoteKey is missing", "problem: data[0]: remoteKey is missing"}, true},
		"nothing":      {`{}`, one, []string{"problem: spec has neither data nor dataTo: say what goes where"}, true},
		"twice":        {`{data: [{match: {secretKey: user, remoteRef: {remoteKey: x}}}, {match: {secretKey: user, remoteRef: {remoteKey: x}}}]}`, one, []string{`SecretStore/a x: data[0] and data[1] both push to "x": choose another remoteKey for one`}, false},
		"whole and part": {`{data: [{match: {secretKey: user, remoteRef: {remoteKey: x, property: p}}}, {match: {remoteRef: {remoteKey: x}}}]}`, one, []string{
			`SecretStore/a x/p: data[1] pushes all of "x" and data[0] a part of it: one would undo the other; name properties in both`,
			`SecretStore/a x: data[1] pushes all of "x" and data[0] a part of it: one would undo the other; name properties in both`}, false},
		"of two":                 {`{data: [{match: {secretKey: pass, remoteRef: {remoteKey: x}}}, {match: {secretKey: user, remoteRef: {remoteKey: z}}}]}`, two, []string{"SecretStore/a x=" + canary, "SecretStore/a z=app"}, false},
		"both have":              {`{data: [{match: {remoteRef: {remoteKey: x}}}]}`, two, []string{`SecretStore/a x: data[0]: Secrets "s" and "t" are both selected for one place: make the selector narrower, or use dataTo`}, false},
		"each":                   {`{dataTo: [{storeRef: {name: a}}]}`, two, []string{"SecretStore/a pass=" + canary, "SecretStore/a user=app"}, false},
		"bundle":                 {`{dataTo: [{storeRef: {name: a}, remoteKey: all}]}`, two, []string{`SecretStore/a all={"pass":"` + canary + `","user":"app"}`}, false},
		"matched":                {`{dataTo: [{storeRef: {name: a}, remoteKey: all, match: {regexp: '^u'}}]}`, two, []string{`SecretStore/a all={"user":"app"}`}, false},
		"none":                   {`{dataTo: [{storeRef: {name: a}, remoteKey: all, match: {regexp: '^x'}}, {storeRef: {name: a}, match: {regexp: '^x'}}]}`, two, nil, false},
		"rewritten":              {`{dataTo: [{storeRef: {name: a}, rewrite: [{regexp: {source: '^', target: app/}}, {transform: {template: '{{ .value | upper }}'}}]}]}`, two, []string{"SecretStore/a APP/PASS=" + canary, "SecretStore/a APP/USER=app"}, false},
		"data wins":              {`{dataTo: [{storeRef: {name: a}}], data: [{match: {secretKey: user, remoteRef: {remoteKey: other}}}]}`, two, []string{"SecretStore/a other=app", "SecretStore/a pass=" + canary}, false},
		"collision":              {`{dataTo: [{storeRef: {name: a}, rewrite: [{regexp: {source: '.*', target: same}}]}]}`, two, []string{"problem: dataTo[0]: rewrite[0]"}, true},
		"bad expression":         {`{dataTo: [{storeRef: {name: a}, match: {regexp: '('}}]}`, two, []string{`problem: dataTo[0]: match.regexp "("`}, true},
		"long expression":        {`{dataTo: [{storeRef: {name: a}, match: {regexp: '` + strings.Repeat("a", 5000) + `'}}]}`, two, []string{"problem: dataTo[0]: match.regexp has 5000 bytes"}, true},
		"bundle, bad expression": {`{dataTo: [{storeRef: {name: a}, remoteKey: x, match: {regexp: '('}}]}`, two, []string{`SecretStore/a x: dataTo[0]: match.regexp "("`}, false},
		"other store":            {`{dataTo: [{storeRef: {name: b}}]}`, two, []string{`problem: dataTo[0]: storeRef: SecretStore "b" is not one of secretStoreRefs`}, true},
		"no storeRef":            {`{dataTo: [{}]}`, two, []string{"problem: dataTo[0]: storeRef is missing"}, true},
		"same key":               {`{dataTo: [{storeRef: {name: a}}]}`, []Source{src("s", "k", "1"), src("t", "k", "2")}, []string{`problem: dataTo[0]: Secrets "s" and "t" are both selected and both have the key "k"`}, true},
		"binary":                 {`{data: [{match: {remoteRef: {remoteKey: x}}}, {match: {secretKey: k, remoteRef: {remoteKey: z}}}]}`, []Source{src("s", "k", canary+"\xff")}, []string{`SecretStore/a x: data[0]: key "k" of Secret "s" is not text`, "SecretStore/a z=" + canary + "\xff"}, false},
		"bad strategy":           {`{data: [{conversionStrategy: Odd, match: {secretKey: user, remoteRef: {remoteKey: x}}}]}`, one, []string{`SecretStore/a x: data[0]: conversionStrategy "Odd"`}, false},
		"two become one":         {`{data: [{conversionStrategy: ReverseUnicode, match: {secretKey: a, remoteRef: {remoteKey: x}}}]}`, []Source{src("s", "a", "1", "_U0061_", "2")}, []string{`SecretStore/a x: data[0]: two keys of Secret "s" are both "a"`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var spec v1alpha1.PushSecretSpec
			if err := yaml.UnmarshalStrict([]byte(c.spec), &spec); err != nil {
				t.Fatal(err)
			}
			p := Of(Input{Spec: &spec, Sources: c.sources, Stores: stores(), Now: time.Now})
			got := show(p, false)
			if len(got) != len(c.want) || p.Unsure != c.unsure {
				t.Fatalf("unsure %v, %d lines, want %v and %d:\n%s", p.Unsure, len(got), c.unsure, len(c.want), strings.Join(got, "\n"))
			}
			for i := range got {
				exact := strings.Contains(c.want[i], "=")
				if exact && got[i] != c.want[i] || !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("%q, want %q", got[i], c.want[i])
				}
				if strings.Contains(got[i], ": ") && !exact && strings.Contains(got[i], canary) {
					t.Errorf("a message quotes a value: %s", strings.ReplaceAll(got[i], canary, "CANARY"))
				}
			}
		})
	}
}

// Stores by name, by labels, each kind by itself.
func TestStores(t *testing.T) {
	for ref, want := range map[string]string{
		`{name: a}`: "SecretStore/a k=1", `{name: b, kind: ClusterSecretStore}`: "ClusterSecretStore/b k=1",
		`{labelSelector: {matchLabels: {to: b}}, kind: ClusterSecretStore}`: "ClusterSecretStore/b k=1",
		`{labelSelector: {matchLabels: {to: b}}}`:                           "",
		`{labelSelector: {matchExpressions: [{key: to, operator: Odd}]}}`:   "problem: dataTo[0]: storeRef.labelSelector",
	} {
		var spec v1alpha1.PushSecretSpec
		if err := yaml.UnmarshalStrict([]byte("dataTo: [{storeRef: "+ref+"}]"), &spec); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(show(Of(Input{Spec: &spec, Sources: []Source{src("s", "k", "1")}, Stores: stores(), Now: time.Now}), true), "\n")
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

func TestReverseUnicode(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "plain_key": "plain_key", "a_U0021_b": "a!b", "_U0041__U0042_": "AB", "_U1f600_": "😀", "_U00e4_": "ä", "_U00E4_": "_U00E4_",
		"_U21_": "_U21_", "_Uzzzz_": "_Uzzzz_", "_U0041": "_U0041", "_Ud800_": "_Ud800_", "_U110000_": "_U110000_", "_U_U0041_": "_UA", "_U0000000041_": "_U0000000041_",
	} {
		if got := ReverseUnicode(key); got != want && !(key == "_U00E4_" && got == "ä") {
			t.Errorf("%q becomes %q, want %q", key, got, want)
		}
	}
}

// What an ExternalSecret escapes comes back.
func FuzzReverseUnicode(f *testing.F) {
	for _, s := range []string{"a!b", "ä/ö", "_U", "😀", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "_U") || strings.ToValidUTF8(s, "") != s || strings.HasSuffix(s, "_") {
			return
		}
		escaped := gather.ConvertKey(s, v1.ConversionUnicode)
		if strings.Contains(s, "_") && strings.Contains(escaped, "_U") && escaped != s {
			return // "_" before what is escaped may look like one
		}
		if got := ReverseUnicode(escaped); got != s {
			t.Errorf("%q is escaped as %q and comes back as %q", s, escaped, got)
		}
	})
}

func TestNames(t *testing.T) {
	d := v1alpha1.PushSecretData{Match: v1alpha1.PushSecretMatch{RemoteRef: v1alpha1.PushSecretRemoteRef{RemoteKey: "k", Property: "p"}}}
	if PlaceName(d) != "k/p" || PlaceOf("team", d) != (provider.Place{Key: "k", Property: "p", For: "team"}) {
		t.Errorf("%s %+v", PlaceName(d), PlaceOf("team", d))
	}
	names := map[string]bool{}
	for _, s := range stores() {
		names[StoreName(s)] = true
	}
	if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, []string{"ClusterSecretStore/b", "SecretStore/a"}) {
		t.Errorf("%v", got)
	}
}

// Stores hear of what Secret a value is, and what the template says of it.
func TestSourceOfEntries(t *testing.T) {
	s := &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "s"}}
	p := Of(Input{
		Spec: &v1alpha1.PushSecretSpec{Data: []v1alpha1.PushSecretData{
			{Match: v1alpha1.PushSecretMatch{SecretKey: "k", RemoteRef: v1alpha1.PushSecretRemoteRef{RemoteKey: "one", Property: "p"}}},
			{Match: v1alpha1.PushSecretMatch{RemoteRef: v1alpha1.PushSecretRemoteRef{RemoteKey: "all"}}},
		}},
		Sources: []Source{{Name: "src", Type: "kubernetes.io/tls", Data: map[string]redact.Secret{"k": redact.FromString("v")}, Labels: map[string]string{"a": "b"}}},
		Stores:  []v1.Store{s}, Now: time.Now,
	})
	if len(p.Entries) != 2 {
		t.Fatalf("%+v", p)
	}
	for i, key := range []string{"k", ""} {
		if got := p.Entries[i].Write("team").Source; got.Key != key || got.Type != "kubernetes.io/tls" || got.Labels["a"] != "b" {
			t.Errorf("%+v", got)
		}
	}
}

func TestBeside(t *testing.T) {
	policy := func(of string) *apiextensions.JSON {
		return &apiextensions.JSON{Raw: []byte(`{"spec":{"resourcePolicy":` + of + `}}`)}
	}
	for text, want := range map[string]Beside{
		`{"policySourceRef":{"kind":"ConfigMap","name":"p","key":"k"}}`: {"ConfigMap", "p", "k"}, `{"policySourceRef":{"name":"p"}}`: {Name: "p"},
		`{"blockPublicPolicy":true}`: {}, `{}`: {}, `7`: {}, `{"policySourceRef":[]}`: {}, `null`: {}, `{`: {},
	} {
		if got := BesideOf(policy(text)); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	spec := &v1alpha1.PushSecretSpec{
		Data:   []v1alpha1.PushSecretData{{}, {Metadata: policy(`{"policySourceRef":{"kind":"Secret","name":"a","key":"k"}}`)}},
		DataTo: []v1alpha1.PushSecretDataTo{{Metadata: policy(`{"policySourceRef":{"kind":"Secret","name":"b","key":"k"}}`)}, {Metadata: policy(`{}`)}},
	}
	if got := AllBeside(spec); !slices.Equal(got, []Beside{{"Secret", "a", "k"}, {"Secret", "b", "k"}}) {
		t.Errorf("%+v", got)
	}
}
