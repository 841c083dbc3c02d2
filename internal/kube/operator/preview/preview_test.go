package preview_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	fakegenerator "github.com/strongkeep/strongkeep/internal/kube/generator/fake"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	"github.com/strongkeep/strongkeep/internal/kube/provider/session"
)

const store = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: s, namespace: team}
spec: {provider: {fake: {data: [{key: a, value: canary-51}, {key: j, value: '{"x":"1","y":"2"}'}]}}}
`

// es is an ExternalSecret with a spec beside its store.
func es(spec string) string {
	return "\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: e, namespace: team}\nspec:\n  secretStoreRef: {name: s}\n" + spec
}

func read(t testing.TB, text string) *preview.Manifests {
	t.Helper()
	m := &preview.Manifests{Namespace: "default"}
	if err := m.Add("f.yaml", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return m
}

func maker(t testing.TB, m *preview.Manifests) *preview.Maker {
	t.Helper()
	clock := clocktesting.NewFakeClock(time.Unix(1e9, 0))
	pool := session.New(session.Config{Providers: map[string]provider.Provider{fake.Name: fake.Provider{}}, Clock: clock, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(pool.Close)
	return &preview.Maker{Reader: m.Reader(nil), Stores: pool, Clock: clock, Generators: map[string]generator.Kind{generators.KindFake: fakegenerator.Kind{}, generators.KindWebhook: untouchable{t}}}
}

// untouchable fails the test when it is asked to make something.
type untouchable struct{ t testing.TB }

func (u untouchable) Generate(context.Context, generator.Config) (generator.Made, error) {
	u.t.Error("a generator was called that reaches elsewhere")
	return generator.Made{}, nil
}

// Facts §1.2, §1.6: what is previewed is what the operator writes, with each policy.
func TestMaker(t *testing.T) {
	template := "  target: {template: {templateFrom: [{configMap: {name: c, items: [{key: k}]}}, {secret: {name: t, items: [{key: k}]}}]}}\n"
	objects := "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: team}\ndata: {k: 'v={{ .v }}'}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: t, namespace: team}\nstringData: {k: 'w={{ .v }}'}\n"
	generator := "\n---\napiVersion: generators.external-secrets.io/v1alpha1\nkind: Fake\nmetadata: {name: g, namespace: team}\nspec: {data: {made: up}}\n"
	for name, c := range map[string]struct {
		text          string
		want          map[string]string
		says, missing string
		err           string
		kind          errs.Kind
	}{
		"data":        {store + es("  data: [{secretKey: v, remoteRef: {key: a}}]"), map[string]string{"v": "canary-51"}, "", "", "", 0},
		"extract":     {store + es("  dataFrom: [{extract: {key: j}}]"), map[string]string{"x": "1", "y": "2"}, "", "", "", 0},
		"find":        {store + es("  dataFrom: [{find: {name: {regexp: ^a$}}}]"), map[string]string{"a": "canary-51"}, "", "", "", 0},
		"templates":   {store + objects + es(template+"  data: [{secretKey: v, remoteRef: {key: a}}]"), map[string]string{"k": "w=canary-51"}, "", "", "", 0},
		"generator":   {store + generator + es("  dataFrom: [{sourceRef: {generatorRef: {kind: Fake, name: g}}}]"), map[string]string{"made": "up"}, "", "", "", 0},
		"none":        {store + es("  target: {creationPolicy: None}\n  data: [{secretKey: v, remoteRef: {key: a}}]"), nil, "creationPolicy None", "", "", 0},
		"delete":      {store + es("  target: {deletionPolicy: Delete}\n  data: [{secretKey: v, remoteRef: {key: z}}]"), nil, "would delete", `"z" does not exist`, "", 0},
		"merge":       {store + es("  target: {deletionPolicy: Merge}\n  data: [{secretKey: v, remoteRef: {key: z}}, {secretKey: w, remoteRef: {key: a}}]"), map[string]string{"w": "canary-51"}, "", `"z" does not exist`, "", 0},
		"missing":     {store + es("  data: [{secretKey: v, remoteRef: {key: z}}]"), nil, "", "", `secret "z" does not exist`, errs.NotExist},
		"unsupported": {store + es("  target: {manifest: {apiVersion: v1, kind: ConfigMap}}\n  data: [{secretKey: v, remoteRef: {key: a}}]"), nil, "", "", "spec.target.manifest", errs.Unsupported},
		"no template": {store + es(template+"  data: [{secretKey: v, remoteRef: {key: a}}]"), nil, "", "", `ConfigMap "c" does not exist`, errs.Unavailable},
		"elsewhere": {store + "\n---\napiVersion: generators.external-secrets.io/v1alpha1\nkind: Webhook\nmetadata: {name: g, namespace: team}\nspec: {url: https://x, result: {}}\n" +
			es("  dataFrom: [{sourceRef: {generatorRef: {kind: Webhook, name: g}}}]"), nil, "", "", "-values Webhook/g=FILE", errs.Unsupported},
		"no generator": {store + es("  dataFrom: [{sourceRef: {generatorRef: {kind: Fake, name: g}}}]"), nil, "", "", `Fake "g" does not exist`, errs.Unavailable},
		"a value in an error": {store + es("  target: {template: {data: {v: '{{ fail .v }}'}}}\n  data: [{secretKey: v, remoteRef: {key: a}}]"),
			nil, "", "", "data.v", errs.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			m := read(t, c.text)
			made, err := maker(t, m).Secret(t.Context(), m.ExternalSecrets[0].ExternalSecret)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || errs.KindOf(err) != c.kind || strings.Contains(err.Error(), "canary") {
					t.Fatalf("%v (%v), want %q", err, errs.KindOf(err), c.err)
				}
				return
			}
			if err != nil || !strings.Contains(made.Says, c.says) || (made.Secret == nil) != (c.says != "") || !strings.Contains(strings.Join(made.Missing, ";"), c.missing) {
				t.Fatalf("%+v, %v", made, err)
			}
			if made.Secret == nil {
				return
			}
			if len(made.Secret.Data) != len(c.want) {
				t.Errorf("%d keys, want %d", len(made.Secret.Data), len(c.want))
			}
			for key, want := range c.want {
				if string(made.Secret.Data[key]) != want {
					t.Errorf("key %q is wrong", key)
				}
			}
		})
	}
}

// A ClusterSecretStore of the files admits whom its conditions admit, also when
// values stand in for it.
func TestConditionsHold(t *testing.T) {
	text := func(labels string) string {
		return `
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: c}
spec: {provider: {vault: {}}, conditions: [{namespaceSelector: {matchLabels: {a: b}}}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: team, labels: {` + labels + `}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: e, namespace: team}
spec:
  secretStoreRef: {name: c, kind: ClusterSecretStore}
  data: [{secretKey: v, remoteRef: {key: a, version: "7"}}]
`
	}
	values, err := preview.ParseValues([]byte("a: x"))
	if err != nil {
		t.Fatal(err)
	}
	for labels, admitted := range map[string]bool{"a: b": true, "a: c": false} {
		m := read(t, text(labels))
		if err := m.Substitute(preview.Substitutes{Stores: map[string]preview.Values{"c": values}}); err != nil {
			t.Fatal(err)
		}
		made, err := maker(t, m).Secret(t.Context(), m.ExternalSecrets[0].ExternalSecret)
		if admitted && (err != nil || string(made.Secret.Data["v"]) != "x") || !admitted && !errs.Is(err, errs.Denied) {
			t.Errorf("%s: %v", labels, err)
		}
	}
}

func TestManifestsRefuse(t *testing.T) {
	for text, want := range map[string]string{
		"a: [":                   "f.yaml: document 1: this is not YAML",
		"# x\n---\nkind: Secret": "document 1: this is no Kubernetes object",
		"a: 1\na: 2":             "document 1: .*already set",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: canary-51!}":                                   "document 1: Secret: data takes base64",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: 51}":                                     "document 1: Secret: data takes base64",
		"apiVersion: external-secrets.io/v9\nkind: ExternalSecret":                                                   "there is no ExternalSecret in external-secrets.io/v9",
		"apiVersion: external-secrets.io/v1\nkind: ExternalSecret":                                                   "metadata.name is missing",
		"apiVersion: external-secrets.io/v1beta1\nkind: ExternalSecret\nmetadata: {name: x}\nspec: {target: {x: 1}}": `unknown field "spec.target.x"`,
		store + "---" + store:                            `document 2: SecretStore "team/s" is in f.yaml: document 1 already`,
		"apiVersion: v1\nkind: List\nitems: [{kind: X}]": "document 1, item 1: this is no Kubernetes object",
	} {
		m := &preview.Manifests{}
		err := m.Add("f.yaml", strings.NewReader(text))
		if err == nil || !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for part := range strings.SplitSeq(want, ".*") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v lacks %q", text, err, part)
			}
		}
	}
}

func TestComplete(t *testing.T) {
	m := read(t, es("  data: [{secretKey: v, remoteRef: {key: a}}]"))
	if err := m.Complete(); err == nil || !strings.Contains(err.Error(), `SecretStore "team/s" is in none of the files`) {
		t.Error(err)
	}
	if err := m.Substitute(preview.Substitutes{All: preview.Values{}}); err != nil {
		t.Error(err)
	}
	if err := m.Complete(); err != nil {
		t.Error(err)
	}
}

func TestParseValues(t *testing.T) {
	values, err := preview.ParseValues([]byte("text: a\nnumber: 5\nbool: true\nobject: {a: [1]}\nempty: ''\n"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"text": "a", "number": "5", "bool": "true", "object": `{"a":[1]}`, "empty": ""} {
		if values[key].RevealString() != want {
			t.Errorf("%s is not %q", key, want)
		}
	}
	for _, text := range []string{"", "canary-51", "[canary-51]", "canary-51: [", "'': canary-51", "a:"} {
		if _, err := preview.ParseValues([]byte(text)); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseGenerator(t *testing.T) {
	for given, want := range map[string]preview.GeneratorKey{"Fake/a": {Kind: "Fake", Name: "a"}, "ClusterGenerator/b": {Kind: "ClusterGenerator", Name: "b"}} {
		if key, ok, err := preview.ParseGenerator(given); err != nil || !ok || key != want {
			t.Errorf("%s: %v, %v, %v", given, key, ok, err)
		}
	}
	if _, ok, err := preview.ParseGenerator("vault"); ok || err != nil {
		t.Errorf("a store: %v, %v", ok, err)
	}
	for _, given := range []string{"Nothing/a", "Fake/"} {
		if _, _, err := preview.ParseGenerator(given); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func FuzzManifests(f *testing.F) {
	f.Add(store + es("  data: [{secretKey: v, remoteRef: {key: a}}]"))
	f.Add("---\n# x\n---\nkind: List\napiVersion: v1\nitems: [{}]")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		m := &preview.Manifests{Namespace: "default"}
		if err := m.Add("f", strings.NewReader(text)); err != nil {
			return
		}
		for _, at := range m.ExternalSecrets {
			if at.Name == "" || at.Namespace == "" || at.Document == 0 {
				t.Errorf("%+v has no name or place", at.Place)
			}
		}
	})
}

func FuzzParseValues(f *testing.F) {
	f.Add("a: b")
	f.Add(`{"a": {"b": null}}`)
	f.Fuzz(func(t *testing.T, text string) {
		values, err := preview.ParseValues([]byte(text))
		if err != nil {
			return
		}
		for key := range values {
			if key == "" {
				t.Error("an empty key")
			}
		}
	})
}
