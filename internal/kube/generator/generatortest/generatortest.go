package generatortest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Namespace is the one that uses the generators of tests.
const Namespace = "team"

// Subject is what is tested.
type Subject struct {
	Kind    generator.Kind
	Spec    string // one that works, as JSON
	Cluster Cluster
	// Keys that are given, in any order.
	Keys []string
	// Same: two credentials may be equal.
	Same bool
	// Hidden are texts that no error and no log may hold: credentials to log in with.
	Hidden []string
	// Alive, of a Revoker, reports how many credentials of it there are; nil otherwise.
	Alive func() int
	// Break makes the backend fail until mend is called; nil: there is none.
	Break func() (mend func())
}

// Cluster is the objects of Namespace: "Secret/NAME", "ConfigMap/NAME", or
// "ServiceAccount/NAME" with its annotations.
type Cluster map[string]map[string]string

func (c Cluster) get(kind string, ref provider.Ref) (map[string]string, error) {
	o, ok := c[kind+"/"+ref.Name()]
	if !ok || ref.Namespace() != Namespace {
		return nil, errs.Newf(errs.Unavailable, "%s %q does not exist", kind, ref)
	}
	return o, nil
}

// SecretKey implements provider.Cluster.
func (c Cluster) SecretKey(_ context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	o, err := c.get("Secret", ref)
	if err != nil {
		return redact.Secret{}, err
	}
	if _, ok := o[key]; !ok {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "Secret %q has no key %q", ref, key)
	}
	return redact.FromString(o[key]), nil
}

// LabelledSecret implements provider.Labelled: the entry "label" is the label's value.
func (c Cluster) LabelledSecret(_ context.Context, ref provider.Ref, label, value string) (map[string]redact.Secret, error) {
	o, err := c.get("Secret", ref)
	if err != nil {
		return nil, err
	}
	if o["label"] != value {
		return nil, errs.Newf(errs.Denied, "Secret %q lacks the label %s=%s", ref, label, value)
	}
	out := map[string]redact.Secret{}
	for key, v := range o {
		out[key] = redact.FromString(v)
	}
	return out, nil
}

// ConfigMapKey implements provider.Cluster.
func (c Cluster) ConfigMapKey(_ context.Context, ref provider.Ref, key string) (string, error) {
	o, err := c.get("ConfigMap", ref)
	return o[key], err
}

// ServiceAccountToken implements provider.Cluster.
func (c Cluster) ServiceAccountToken(_ context.Context, ref provider.Ref, _ []string) (redact.Secret, error) {
	o, err := c.get("ServiceAccount", ref)
	return redact.FromString(o["token"]), err
}

// ServiceAccountAnnotations implements provider.Cluster.
func (c Cluster) ServiceAccountAnnotations(_ context.Context, ref provider.Ref) (map[string]string, error) {
	return c.get("ServiceAccount", ref)
}

// run is one test's surroundings.
type run struct {
	*testing.T
	Subject
	mu  sync.Mutex
	log strings.Builder
}

// Write implements io.Writer for the log.
func (r *run) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

// Config returns what Generate is called with for spec.
func Config(c Cluster, spec string) generator.Config {
	return generator.Config{
		Scope: provider.ScopeOfGenerator("Test", "test", Namespace), Spec: json.RawMessage(spec), Cluster: c,
		Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	}
}

func (r *run) config(spec string) generator.Config {
	cfg := Config(r.Cluster, spec)
	cfg.Log = slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return cfg
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	for name, f := range map[string]func(*run){
		"makes": makes, "strict": strict, "revokes": revokes, "note fails": noteFails, "outage": outage, "cancelled": cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{T: t, Subject: s}
			f(r)
			r.hidden(r.log.String())
		})
	}
}

// hidden checks that a text that people may read tells nothing.
func (r *run) hidden(text string) {
	r.Helper()
	for _, word := range r.Hidden {
		if strings.Contains(text, word) {
			r.Errorf("a secret is told: %s", strings.ReplaceAll(text, word, "SECRET"))
		}
	}
}

func (r *run) refused(err error) {
	r.Helper()
	if err == nil {
		r.Error("it worked")
		return
	}
	if errs.Is(err, errs.NotExist) {
		r.Errorf("%v: its kind is NotExist, which would let a deletionPolicy act", err)
	}
	r.hidden(err.Error())
}

func makes(r *run) {
	if d, ok := r.Kind.(generator.Drawer); ok {
		keys, err := d.Keys(json.RawMessage(r.Spec))
		if slices.Sort(keys); err != nil || !slices.Equal(keys, slices.Sorted(slices.Values(r.Keys))) {
			r.Errorf("its keys are %v (%v), want %v", keys, err, r.Keys)
		}
	}
	var before generator.Made
	for i := range 2 {
		made, err := r.Kind.Generate(r.Context(), r.config(r.Spec))
		if err != nil {
			r.Fatal(err)
		}
		if len(made.Data) != len(r.Keys) {
			r.Errorf("%d keys, want %d", len(made.Data), len(r.Keys))
		}
		for _, key := range r.Keys {
			if made.Data[key].Empty() {
				r.Errorf("key %q is empty", key)
			}
			if i > 0 && !r.Same && len(r.Keys) == 1 && made.Data[key].Equal(before.Data[key]) {
				r.Errorf("key %q is the same twice", key)
			}
			if v := made.Data[key].RevealString(); len(v) >= 8 && (strings.Contains(string(made.Known), v) || strings.Contains(fmt.Sprintf("%+v", made.Known), v)) {
				r.Errorf("what is known holds the value of %q", key)
			}
		}
		if !made.Expires.IsZero() && made.Expires.Before(time.Now()) {
			r.Errorf("it ended at %s", made.Expires)
		}
		before = made
	}
}

func strict(r *run) {
	spec := strings.Replace(r.Spec, "{", `{"noSuchField":1,`, 1)
	_, err := r.Kind.Generate(r.Context(), r.config(strings.Replace(spec, ",}", "}", 1)))
	r.refused(err)
	if err != nil && (!errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "noSuchField")) {
		r.Errorf("%v: the field is not named", err)
	}
}

func revokes(r *run) {
	k, ok := r.Kind.(generator.Revoker)
	if !ok {
		if r.Alive != nil {
			r.Error("it is no Revoker")
		}
		return
	}
	before := r.Alive()
	made, err := k.Generate(r.Context(), r.config(r.Spec))
	if err != nil {
		r.Fatal(err)
	}
	if made.Known == nil || r.Alive() != before+1 {
		r.Fatalf("there are %d, %d before, known %s", r.Alive(), before, made.Known)
	}
	if renewer, ok := r.Kind.(generator.Renewer); ok && made.Renewable {
		if expires, err := renewer.Renew(r.Context(), r.config(r.Spec), made.Known); err != nil || !expires.IsZero() && expires.Before(time.Now()) {
			r.Errorf("renewing: %v, ends %s", err, expires)
		}
	}
	for range 2 { // the second time it is gone
		if err := k.Revoke(r.Context(), r.config(r.Spec), made.Known); err != nil {
			r.Errorf("revoking: %v", err)
		}
		if r.Alive() != before {
			r.Errorf("%d are left, %d before", r.Alive(), before)
		}
	}
	if renewer, ok := r.Kind.(generator.Renewer); ok && made.Renewable {
		if _, err := renewer.Renew(r.Context(), r.config(r.Spec), made.Known); !errs.Is(err, errs.NotExist) {
			r.Errorf("renewing what is gone: %v", err)
		}
	}
}

// Nothing is made that nobody could take back.
func noteFails(r *run) {
	if _, ok := r.Kind.(generator.Revoker); !ok {
		return
	}
	before := r.Alive()
	cfg := r.config(r.Spec)
	cfg.Note = func(context.Context, json.RawMessage) error {
		return errs.New(errs.Unavailable, "the API server is away")
	}
	if _, err := r.Kind.Generate(r.Context(), cfg); err != nil && r.Alive() != before {
		r.Errorf("%v, and %d are left", err, r.Alive()-before)
	}
}

func outage(r *run) {
	if r.Break == nil {
		return
	}
	mend := r.Break()
	_, err := r.Kind.Generate(r.Context(), r.config(r.Spec))
	r.refused(err)
	mend()
	if _, err := r.Kind.Generate(r.Context(), r.config(r.Spec)); err != nil {
		r.Errorf("after the outage: %v", err)
	}
}

func cancelled(r *run) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	if _, err := r.Kind.Generate(ctx, r.config(r.Spec)); err != nil {
		r.refused(err)
	}
}
