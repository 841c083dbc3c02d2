package adoption

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-c3d1-Zk4" // in every value

// kv is a vault of one mount.
type kv struct {
	mount string
	at    map[string]map[string]redact.Secret
	// before is called when a value is to be created.
	before func()
}

func (k *kv) Mount(context.Context, string) (string, error) { return k.mount, nil }

func (k *kv) Read(_ context.Context, path string) (map[string]redact.Secret, error) {
	return k.at[path], nil
}

func (k *kv) Create(_ context.Context, path string, fields map[string]redact.Secret) error {
	if k.before != nil {
		k.before()
	}
	if k.at[path] != nil {
		return errs.New(errs.Exist, "somebody wrote it meanwhile")
	}
	k.at[path] = fields
	return nil
}

// gives makes the Secret that a store would.
type gives func(es *v1.ExternalSecret) map[string][]byte

func (g gives) Secret(_ context.Context, es *v1.ExternalSecret) (preview.Made, error) {
	return preview.Made{Secret: &target.Secret{Data: g(es)}}, nil
}

type fixture struct {
	*testing.T
	*Adopter
	vault *kv
}

// world has a store of mount in team, and Secrets.
func world(t *testing.T, mount string, secrets ...*corev1.Secret) *fixture {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	p, err := v1.NewProvider("vault", map[string]any{"server": "https://vault.example:8200", "path": mount})
	if err != nil {
		t.Fatal(err)
	}
	objects := []client.Object{&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "s"}, Spec: v1.SecretStoreSpec{Provider: p}}}
	seen := &snapshot.Snapshot{}
	for _, s := range secrets {
		objects = append(objects, s)
		seen.Secrets = append(seen.Secrets, snapshot.Secret{Meta: snapshot.Meta{Namespace: s.Namespace, Name: s.Name}, Type: "Opaque"})
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	k := &kv{mount: "secret", at: map[string]map[string]redact.Secret{}}
	now := time.Unix(1e9, 0)
	a := &Adopter{Client: c, Vault: k, Seen: check.NewInput(seen, now, check.Settings{}), Now: func() time.Time { return now }}
	a.Maker = gives(func(es *v1.ExternalSecret) map[string][]byte {
		out := map[string][]byte{}
		for _, d := range es.Spec.Data {
			out[d.SecretKey] = k.at["secret/team/db"][d.RemoteRef.Property].Reveal()
		}
		return out
	})
	return &fixture{t, a, k}
}

func db(name string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func (f *fixture) plan(o Options) (*Adoption, error) {
	f.Helper()
	if o.Store == "" {
		o.Store = "s"
	}
	o.Path = "secret/team/db"
	p, err := f.Plan(f.Context(), remedy.Target{Namespace: "team", Name: "db"}, o)
	text := ""
	if err != nil {
		text = err.Error()
	} else if text, err = p.YAML(); err == nil {
		text += p.Does + p.Writes + strings.Join(p.Risks, "\n")
	}
	if strings.Contains(text, canary) {
		f.Errorf("it tells a value: %s", text)
	}
	return p, err
}

func (f *fixture) externals() int {
	f.Helper()
	var list v1.ExternalSecretList
	if err := f.Client.List(f.Context(), &list); err != nil {
		f.Fatal(err)
	}
	return len(list.Items)
}

// The key is what the store takes, whichever mount it names.
func TestKeys(t *testing.T) {
	for mount, want := range map[string]string{"secret": "key: team/db\n", "": "key: secret/data/team/db\n", "other": ""} {
		p, err := world(t, mount, db("db", map[string]string{"password": canary})).plan(Options{})
		if want == "" {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "reads below other") {
				t.Errorf("%q: %v", mount, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, err := p.YAML(); err != nil || !strings.Contains(text, want) || !strings.Contains(text, "creationPolicy: Merge") {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// What has changed since it was looked at is left alone, on either side.
func TestChangedMeanwhile(t *testing.T) {
	f := world(t, "secret", db("db", map[string]string{"password": canary}))
	p, err := f.plan(Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := db("db", map[string]string{"password": canary + "-new"})
	if err := f.Client.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := f.Apply(t.Context(), p); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "nothing was done") || len(f.vault.at) > 0 {
		t.Errorf("the Secret changed: %v", err)
	}
	if p, err = f.plan(Options{}); err != nil {
		t.Fatal(err)
	}
	f.vault.before = func() {
		f.vault.at["secret/team/db"] = map[string]redact.Secret{"password": redact.FromString(canary + "-theirs")}
	}
	if err := f.Apply(t.Context(), p); !errs.Is(err, errs.Exist) || f.externals() > 0 {
		t.Errorf("somebody wrote the vault: %v", err)
	}
}

// A store that would give something else is found out before anything is created.
func TestProof(t *testing.T) {
	for name, give := range map[string]gives{
		"another value": func(*v1.ExternalSecret) map[string][]byte { return map[string][]byte{"password": []byte(canary + "x")} },
		"another key":   func(*v1.ExternalSecret) map[string][]byte { return map[string][]byte{"pass": []byte(canary)} },
		"no keys":       func(*v1.ExternalSecret) map[string][]byte { return nil },
	} {
		f := world(t, "secret", db("db", map[string]string{"password": canary}))
		f.Maker = give
		p, err := f.plan(Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = f.Apply(t.Context(), p)
		if !errs.Is(err, errs.Conflict) || f.externals() > 0 || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Which Secrets are copies: all of their values are the source's, one of them a credential.
func TestCopies(t *testing.T) {
	f := world(t, "secret",
		db("db", map[string]string{"password": canary, "user": "app", "port": "5432"}),
		db("same", map[string]string{"pw": canary}),
		db("both", map[string]string{"user": canary, "login": "app"}),
		db("mixed", map[string]string{"password": canary, "host": "db.example"}),
		db("chance", map[string]string{"user": "app"}),
		db("empty", nil))
	p, err := f.plan(Options{Copies: true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range p.Also {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, " "); got != "both same" {
		t.Errorf("copies are %q", got)
	}
	if all := strings.Join(p.Risks, "\n"); !strings.Contains(all, "team/mixed") || strings.Contains(all, "team/chance") {
		t.Error(all)
	}
	if text, err := p.YAML(); err != nil || !strings.Contains(text, "property: password\n    secretKey: pw") || !strings.Contains(text, "property: password\n    secretKey: user") {
		t.Errorf("%v: %s", err, text)
	}
	if _, err := world(t, "secret", db("db", map[string]string{"a": "b"})).plan(Options{Copies: true}); !errs.Is(err, errs.Invalid) {
		t.Errorf("nothing in it is a credential: %v", err)
	}
}

// A key that may be of several fields is bound to none of them by chance.
func TestCopiesUnclear(t *testing.T) {
	f := world(t, "secret",
		db("db", map[string]string{"database": "app", "username": "app", "password": canary}),
		db("guess", map[string]string{"user": "app", "pass": canary}),
		db("called", map[string]string{"username": "app", "pass": canary}))
	p, err := f.plan(Options{Copies: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Also) != 1 || p.Also[0].Name != "called" {
		t.Errorf("copies are %v", p.Also)
	}
	if all, want := strings.Join(p.Risks, "\n"), "Secret team/guess, which has the credential too, is left as it is: which field user is of cannot be told"; !strings.Contains(all, want) || strings.Contains(all, "team/called") {
		t.Error(all)
	}
	if text, err := p.YAML(); err != nil || !strings.Contains(text, "property: username\n    secretKey: username") || strings.Contains(text, "secretKey: user\n") {
		t.Errorf("%v: %s", err, text)
	}
}

// ready has every ExternalSecret taken up, as an operator says it.
func (f *fixture) ready() {
	f.Helper()
	var list v1.ExternalSecretList
	if err := f.Client.List(f.Context(), &list); err != nil {
		f.Fatal(err)
	}
	for i := range list.Items {
		es := &list.Items[i]
		es.Status.Conditions = []v1.Condition{{Type: v1.ConditionReady, Status: "True"}}
		es.Status.SyncedResourceVersion = "1-x"
		if err := f.Client.Update(f.Context(), es); err != nil {
			f.Fatal(err)
		}
	}
}

// What an earlier run did is found and gone on with, wherever that run stopped: the same
// plan again, and a plan made anew, for which the Secret is filled by a store meanwhile.
func TestGoesOn(t *testing.T) {
	f := world(t, "secret", db("db", map[string]string{"password": canary}))
	p, err := f.plan(Options{})
	if err != nil {
		t.Fatal(err)
	}
	// The vault has it, and its answer was lost.
	f.vault.before = func() { f.vault.at["secret/team/db"] = map[string]redact.Secret{"password": redact.FromString(canary)} }
	late := func(p *Adoption) {
		t.Helper()
		if err := f.Apply(t.Context(), p); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "no operator has looked at it") || !strings.Contains(err.Error(), "looked at once more and are as they were") {
			t.Errorf("no operator: %v", err)
		}
		if n := f.externals(); n != 1 {
			t.Errorf("there are %d ExternalSecrets", n)
		}
	}
	late(p)
	late(p)
	f.Seen.Snapshot.Sources = []snapshot.Source{{Group: "external-secrets.io", Kind: "ExternalSecret", Meta: snapshot.Meta{Namespace: "team", Name: "db"},
		Store: snapshot.Ref{Kind: "SecretStore", Name: "s"}, Makes: []snapshot.Ref{{Kind: "Secret", Namespace: "team", Name: "db"}}}}
	f.Seen = check.NewInput(f.Seen.Snapshot, f.Now(), check.Settings{})
	if p, err = f.plan(Options{}); err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) > 0 || !strings.Contains(strings.Join(p.Risks, "\n"), "is there already, and is to read the same") {
		t.Errorf("a plan of what is done: %v %v", p.Steps, p.Risks)
	}
	late(p)
	f.ready()
	if err := f.Apply(t.Context(), p); err != nil {
		t.Error(err)
	}
	if _, err = f.plan(Options{}); !errs.Is(err, errs.NotExist) || !strings.Contains(err.Error(), "nothing else to adopt") {
		t.Errorf("all is done: %v", err)
	}
}

// A plan that was committed first is proven and filled by -apply; an ExternalSecret for
// something else is not taken for it.
func TestCommittedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1.ExternalSecret)
		want   errs.Kind
	}{
		"the same":      {func(*v1.ExternalSecret) {}, errs.Unavailable},
		"defaults":      {func(es *v1.ExternalSecret) { es.Spec.Data[0].RemoteRef.ConversionStrategy = v1.ConversionDefault }, errs.Unavailable},
		"another key":   {func(es *v1.ExternalSecret) { es.Spec.Data[0].RemoteRef.Key = "other" }, errs.Exist},
		"more":          {func(es *v1.ExternalSecret) { es.Spec.Data = append(es.Spec.Data, es.Spec.Data[0]) }, errs.Exist},
		"another store": {func(es *v1.ExternalSecret) { es.Spec.SecretStoreRef.Name = "t" }, errs.Exist},
		"a template":    {func(es *v1.ExternalSecret) { es.Spec.Target.Template = &v1.ExternalSecretTemplate{} }, errs.Exist},
	} {
		f := world(t, "secret", db("db", map[string]string{"password": canary}))
		p, err := f.plan(Options{})
		if err != nil {
			t.Fatal(err)
		}
		es := p.taken[0].es.DeepCopy()
		c.change(es)
		if err := f.Client.Create(t.Context(), es); err != nil {
			t.Fatal(err)
		}
		if p, err = f.plan(Options{}); err == nil {
			err = f.Apply(t.Context(), p)
		}
		if !errs.Is(err, c.want) || (f.vault.at["secret/team/db"] != nil) != (c.want == errs.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// of puts a Secret into another namespace.
func of(namespace string, s *corev1.Secret) *corev1.Secret {
	s.Namespace = namespace
	return s
}

// clusterStore adds one that all namespaces may use.
func (f *fixture) clusterStore() Options {
	f.Helper()
	p, err := v1.NewProvider("vault", map[string]any{"server": "https://vault.example:8200", "path": "secret"})
	if err == nil {
		err = f.Client.Create(f.Context(), &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Spec: v1.SecretStoreSpec{Provider: p}})
	}
	if err != nil {
		f.Fatal(err)
	}
	return Options{Store: "ClusterSecretStore/all", Copies: true}
}

// begun makes the ExternalSecret of a Secret, as a run did that stopped.
func (f *fixture) begun(p *Adoption, i int) {
	f.Helper()
	if err := f.Client.Create(f.Context(), p.taken[i].es.DeepCopy()); err != nil {
		f.Fatal(err)
	}
}

// A run stopped amid Secrets of several namespaces: what is left gets one of its own,
// which names no namespace that has one; what is on its way to all is waited for.
func TestBegunInPart(t *testing.T) {
	data := map[string]string{"password": canary}
	f := world(t, "secret", db("db", data), of("b", db("db", data)), of("c", db("db", data)))
	o := f.clusterStore()
	plan := func(want string) *Adoption {
		t.Helper()
		p, err := f.plan(o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range p.Steps {
			one := p.Steps[i].Ref().String()
			if spec := p.Steps[i].Object["spec"].(map[string]any); spec["namespaceSelectors"] != nil {
				chosen := spec["namespaceSelectors"].([]any)[0].(map[string]any)["matchExpressions"].([]any)[0].(map[string]any)["values"]
				one += fmt.Sprint(" in ", chosen)
			}
			got = append(got, one)
		}
		if all := strings.Join(got, ", "); all != want {
			t.Errorf("steps: %s, not %s", all, want)
		}
		return p
	}
	all := plan("ClusterExternalSecret team-db in [team b c]")
	f.begun(all, 0)
	plan("ClusterExternalSecret b-db in [b c]")
	f.begun(all, 1)
	plan("ExternalSecret c/db")
	if err := f.Client.Create(t.Context(), &unstructured.Unstructured{Object: plain(all.Steps[0].Object).(map[string]any)}); err != nil {
		t.Fatal(err)
	}
	plan("")
}

// What came since it was looked at, and would give the Secret anything else, is not taken
// for what was to be created.
func TestForeignMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1.ExternalSecretSpec)
		want   errs.Kind
	}{
		"the same":   {func(*v1.ExternalSecretSpec) {}, errs.Unavailable},
		"a template": {func(s *v1.ExternalSecretSpec) { s.Target.Template = &v1.ExternalSecretTemplate{} }, errs.Exist},
		"more by dataFrom": {func(s *v1.ExternalSecretSpec) {
			s.DataFrom = []v1.ExternalSecretDataFrom{{Extract: &v1.RemoteRef{Key: "x"}}}
		}, errs.Exist},
		"another source": {func(s *v1.ExternalSecretSpec) {
			s.Data[0].SourceRef = &v1.SourceRef{SecretStoreRef: &v1.SecretStoreRef{Name: "other"}}
		}, errs.Exist},
		"an old version": {func(s *v1.ExternalSecretSpec) { s.Data[0].RemoteRef.Version = "1" }, errs.Exist},
		"its metadata":   {func(s *v1.ExternalSecretSpec) { s.Data[0].RemoteRef.MetadataPolicy = v1.MetadataFetch }, errs.Exist},
	} {
		for _, cluster := range []bool{false, true} {
			data := map[string]string{"password": canary}
			f, o := world(t, "secret", db("db", data)), Options{}
			if cluster {
				f = world(t, "secret", db("db", data), of("b", db("db", data)))
				o = f.clusterStore()
			}
			p, err := f.plan(o)
			if err != nil {
				t.Fatal(err)
			}
			es := p.taken[0].es.DeepCopy()
			c.change(&es.Spec)
			var other client.Object = es
			if cluster {
				ces := &unstructured.Unstructured{Object: plain(p.Steps[0].Object).(map[string]any)}
				ces.Object["spec"].(map[string]any)["externalSecretSpec"] = plain(es.Spec)
				other = ces
			}
			f.vault.before = func() {
				if err := f.Client.Create(t.Context(), other); err != nil {
					t.Error(err)
				}
			}
			if err := f.Apply(t.Context(), p); !errs.Is(err, c.want) {
				t.Errorf("%s, of all namespaces %v: %v", name, cluster, err)
			}
		}
	}
}

// A Secret that a store fills is said to be filled by one, whichever stores there are
// beside it, and wherever they read.
func TestManaged(t *testing.T) {
	data := map[string]string{"password": canary}
	f := world(t, "secret", db("db", data), of("b", db("db", data)), db("other", data))
	for _, name := range []snapshot.Ref{{Kind: "Secret", Namespace: "b", Name: "db"}, {Kind: "Secret", Namespace: "team", Name: "other"}} {
		f.Seen.Snapshot.Sources = append(f.Seen.Snapshot.Sources, snapshot.Source{Group: "external-secrets.io", Kind: "ExternalSecret", Meta: snapshot.Meta{Namespace: name.Namespace, Name: name.Name},
			Store: snapshot.Ref{Kind: "SecretStore", Name: "theirs"}, Makes: []snapshot.Ref{name}})
	}
	f.Seen = check.NewInput(f.Seen.Snapshot, f.Now(), check.Settings{})
	p, err := f.plan(Options{Copies: true})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(p.Risks, "\n")
	for _, name := range []string{"b/db", "team/other"} {
		if want := "Secret " + name + ", which has the credential too, is left as it is: a store fills it already"; !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
	// The source itself, where the store that is named is another.
	f.Seen.Snapshot.Sources[0].Makes[0] = snapshot.Ref{Kind: "Secret", Namespace: "team", Name: "db"}
	f.Seen = check.NewInput(f.Seen.Snapshot, f.Now(), check.Settings{})
	f.vault.at["secret/team/db"] = map[string]redact.Secret{"password": redact.FromString(canary)}
	if _, err := f.plan(Options{Store: "none"}); !errs.Is(err, errs.NotExist) || !strings.Contains(err.Error(), "is filled from a store already") {
		t.Errorf("the source is filled by another store: %v", err)
	}
}
