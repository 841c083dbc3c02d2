package gather

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func parse(t *testing.T, spec string) *v1.ExternalSecret {
	t.Helper()
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &es.Spec); err != nil {
		t.Fatalf("%v in\n%s", err, spec)
	}
	if es.Spec.SecretStoreRef.Name == "" {
		es.Spec.SecretStoreRef.Name = "main"
	}
	return es
}

// read serves a few secrets by "store/key" and counts.
func read(count *atomic.Int64) Read {
	stored := map[string]string{
		"main/app": `{"k":"v","num":7,"b64":"aGk=","url":"-_8=","bad":"!"}`, "main/odd": `{"a/b":"1","a:b":"2"}`,
		"other/app": `{"k":"from other"}`, "main/zero": "a\x00b", "main/text": "plain",
	}
	return func(_ context.Context, ref v1.SecretStoreRef, req provider.Request) (provider.Value, error) {
		count.Add(1)
		v, ok := stored[ref.Name+"/"+req.Key]
		switch {
		case req.Key == "down":
			return provider.Value{}, errs.New(errs.Unavailable, "sealed")
		case !ok:
			return provider.Value{}, errs.Newf(errs.NotExist, "secret %q does not exist", req.Key)
		case req.Metadata:
			v = `{"owner":"team"}`
		}
		return provider.Value{Data: redact.FromString(v)}, nil
	}
}

func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		spec  string
		want  map[string]string
		reads int64
	}{
		"one read for many keys": {`data:
- {secretKey: a, remoteRef: {key: app, property: k}}
- {secretKey: b, remoteRef: {key: app, property: num}}
- {secretKey: c, remoteRef: {key: app, property: b64, decodingStrategy: Base64}}
- {secretKey: d, remoteRef: {key: app, property: url, decodingStrategy: Base64URL}}
- {secretKey: e, remoteRef: {key: app, property: bad, decodingStrategy: Auto}}`,
			map[string]string{"a": "v", "b": "7", "c": "hi", "d": "\xfb\xff", "e": "!"}, 1},
		"whole":         {"data: [{secretKey: a, remoteRef: {key: text}}]", map[string]string{"a": "plain"}, 1},
		"metadata":      {"data: [{secretKey: a, remoteRef: {key: app, property: owner, metadataPolicy: Fetch}}]", map[string]string{"a": "team"}, 1},
		"another store": {"data: [{secretKey: a, remoteRef: {key: app, property: k}, sourceRef: {storeRef: {name: other}}}]", map[string]string{"a": "from other"}, 1},
		"unicode":       {"dataFrom: [{extract: {key: odd, conversionStrategy: Unicode}}]", map[string]string{"a_U002f_b": "1", "a_U003a_b": "2"}, 1},
		"data over dataFrom": {"dataFrom: [{extract: {key: app}}, {extract: {key: app}, sourceRef: {storeRef: {name: other}}}]\ndata: [{secretKey: num, remoteRef: {key: text}}]",
			map[string]string{"k": "from other", "num": "plain", "b64": "aGk=", "url": "-_8=", "bad": "!"}, 3},
		"missing is skipped": {"target: {deletionPolicy: Merge}\ndata: [{secretKey: a, remoteRef: {key: nope}}, {secretKey: b, remoteRef: {key: text}}, {secretKey: c, remoteRef: {key: app, property: nope}}]",
			map[string]string{"b": "plain"}, 3},
	} {
		var reads atomic.Int64
		got, err := Values(t.Context(), parse(t, c.spec), source(&reads))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Data) != len(c.want) || reads.Load() != c.reads {
			t.Errorf("%s: %d values with %d reads, want %d with %d", name, len(got.Data), reads.Load(), len(c.want), c.reads)
		}
		for k, v := range c.want {
			if got.Data[k].RevealString() != v {
				t.Errorf("%s: %s is %q, want %q", name, k, got.Data[k].Reveal(), v)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for spec, want := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		"data: [{secretKey: a, remoteRef: {key: nope}}]":                                                     {errs.NotExist, `data "a": secret "nope" does not exist`},
		"data: [{secretKey: a, remoteRef: {key: app, property: nope}}]":                                      {errs.NotExist, `property "nope"`},
		"target: {deletionPolicy: Delete}\ndata: [{secretKey: a, remoteRef: {key: down}}]":                   {errs.Unavailable, "sealed"},
		"data: [{secretKey: a, remoteRef: {key: text, property: x}}]":                                        {errs.Invalid, "not a JSON object"},
		"data: [{secretKey: a, remoteRef: {key: app, property: bad, decodingStrategy: Base64}}]":             {errs.Invalid, "not Base64"},
		"data: [{secretKey: a, remoteRef: {key: zero, nullBytePolicy: Fail}}]":                               {errs.Invalid, "zero byte"},
		"dataFrom: [{extract: {key: text}}]":                                                                 {errs.Invalid, "extract needs one"},
		"dataFrom: [{extract: {key: odd}}]":                                                                  {errs.Invalid, `"a/b" and "a:b" of "odd" both become "a_b"`},
		"dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: x}}}]":                                 {errs.Unsupported, "cannot be had here"},
		"target: {creationPolicy: None}\ndataFrom: [{sourceRef: {generatorRef: {kind: Password, name: x}}}]": {errs.Invalid, "creationPolicy None"},
		"dataFrom: [{extract: {key: a}, sourceRef: {generatorRef: {kind: Password, name: x}}}]":              {errs.Invalid, "make two entries"},
		"dataFrom: [{}]": {errs.Invalid, "says nothing"},
		"data: [{secretKey: a, remoteRef: {key: x}, sourceRef: {generatorRef: {kind: Password, name: x}}}]":                         {errs.Unsupported, "generatorRef"},
		"target: {manifest: {apiVersion: v1, kind: ConfigMap}}\ndataFrom: [{sourceRef: {generatorRef: {kind: Password, name: x}}}]": {errs.Unsupported, "is kept in a Secret"},
		"target: {deletionPolicy: Delete}\ndata: [{secretKey: a, remoteRef: {key: app, property: nope}}]":                           {errs.Invalid, "nope"},
		"target: {creationPolicy: CreateOrMerge, immutable: true}\ndata: [{secretKey: a, remoteRef: {key: text}}]":                  {errs.Invalid, "spec.target.immutable cannot be with creationPolicy CreateOrMerge"},
		"target: {creationPolicy: Merge, immutable: true}\ndata: [{secretKey: a, remoteRef: {key: text}}]":                          {errs.Invalid, "others write that Secret too"},
		// A definition that lacks our rules, such as that of the External Secrets Operator, lets these through.
		"target: {template: {type: kubernetes.io/service-account-token}}\ndata: [{secretKey: a, remoteRef: {key: text}}]":   {errs.Invalid, "made by Kubernetes itself"},
		"target: {template: {type: bootstrap.kubernetes.io/token}}\ndata: [{secretKey: a, remoteRef: {key: text}}]":         {errs.Invalid, "made by Kubernetes itself"},
		"syncWindows: {kind: deny, windows: [{schedule: x, duration: 1h}]}\ndata: [{secretKey: a, remoteRef: {key: text}}]": {errs.Invalid, "spec.syncWindows.windows[0].schedule"},
	} {
		var reads atomic.Int64
		_, err := Values(t.Context(), parse(t, spec), source(&reads))
		if !errs.Is(err, want.kind) || !strings.Contains(err.Error(), want.words) {
			t.Errorf("%s: %v (%v), want %v with %q", spec, err, errs.KindOf(err), want.kind, want.words)
		}
	}
}

// Who knows of Secrets only says so of other targets, and no less of the rest.
func TestOnlySecret(t *testing.T) {
	for spec, words := range map[string]string{
		"secretStoreRef: {name: s}\ndata: [{secretKey: a, remoteRef: {key: x}}]":                             "",
		"target: {manifest: {apiVersion: v1, kind: ConfigMap}}\ndata: [{secretKey: a, remoteRef: {key: x}}]": "spec.target.manifest makes a ConfigMap",
		"dataFrom: [{}]": "says nothing",
	} {
		if err := OnlySecret(&parse(t, spec).Spec); (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func FuzzConvertKey(f *testing.F) {
	f.Add("a/b", true)
	f.Add("ü.ok-_", false)
	f.Fuzz(func(t *testing.T, key string, unicode bool) {
		strategy := v1.ConversionDefault
		if unicode {
			strategy = v1.ConversionUnicode
		}
		out := ConvertKey(key, strategy)
		if again := ConvertKey(out, v1.ConversionDefault); again != out {
			t.Errorf("%q becomes %q, which still has characters to convert", key, out)
		}
	})
}

// What generators give goes through rewrite like everything else; who gave the last
// value of a key is known.
func TestGenerated(t *testing.T) {
	var reads atomic.Int64
	src := source(&reads)
	src.Generate = func(_ context.Context, i int) (Generated, error) {
		return Generated{Values: map[string]redact.Secret{"password": redact.FromString(fmt.Sprint("p", i)), "user": redact.FromString("u")}, Final: i == 2}, nil
	}
	got, err := Values(t.Context(), parse(t, `
dataFrom:
- {sourceRef: {generatorRef: {kind: Password, name: a}}}
- {sourceRef: {generatorRef: {kind: Password, name: b}}, rewrite: [{regexp: {source: "^", target: "b_"}}]}
- {sourceRef: {generatorRef: {kind: Password, name: c}}, rewrite: [{regexp: {source: "^", target: "c_"}}]}
data: [{secretKey: user, remoteRef: {key: text}}]`), src)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"b_password": 1, "b_user": 1, "password": 2}; !maps.Equal(got.Generated, want) {
		t.Errorf("%v, want %v", got.Generated, want)
	}
	if got.Made["b_password"].RevealString() != "p1" || got.Data["password"].RevealString() != "p2" || got.Data["user"].RevealString() == "u" || len(got.Made) != 3 {
		t.Error("other values than were given")
	}
}

// GHSA-fq7h-9x26-6j22: whoever may write ExternalSecrets gets no token of a ServiceAccount by
// a Secret that Kubernetes fills in, also where the definitions let such a type pass.
func TestGHSAfq7hTypesThatKubernetesFillsIn(t *testing.T) {
	for _, kind := range []string{"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"} {
		for _, policy := range []v1.CreationPolicy{"", v1.CreateOwner, v1.CreateOrphan, v1.CreateOrMerge} {
			spec := &v1.ExternalSecretSpec{}
			spec.Target.CreationPolicy = policy
			spec.Target.Template = &v1.ExternalSecretTemplate{Type: kind, Metadata: v1.ExternalSecretTemplateMetadata{
				Annotations: map[string]string{"kubernetes.io/service-account.name": "admin"},
			}}
			if err := Supported(spec); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "made by Kubernetes itself") {
				t.Errorf("%s with %q: %v", kind, policy, err)
			}
		}
	}
}
