package aws_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// writing is a store that is written to, of either service.
type writing struct {
	*world
	service string
	provider.Writer
	store provider.Store
	state func(name string) (awstest.State, bool)
	put   func(name, value string)
	puts  string // the action that makes a version
}

func newWriting(t *testing.T, service string, change func(*aws.Settings)) *writing {
	w := &writing{world: newWorld(t), service: service}
	w.store = w.Open(settings(service, func(s *aws.Settings) {
		s.Prefix = ""
		if change != nil {
			change(s)
		}
	}))
	w.Writer = w.store.(provider.Writer)
	w.state, w.put, w.puts = w.server.Secret, func(name, value string) { w.server.Put(name, value) }, "PutSecretValue"
	if service == aws.ParameterStore {
		w.state, w.put, w.puts = w.server.Parameter, w.server.PutParameter, "PutParameter"
	}
	return w
}

func (w *writing) write(key, property, value, metadata string) {
	w.Helper()
	if err := w.tryWrite(key, property, value, metadata); err != nil {
		w.Fatal(err)
	}
}

func (w *writing) tryWrite(key, property, value, metadata string) error {
	return w.Write(w.Context(), provider.Write{
		Place: provider.Place{Key: key, Property: property}, Value: redact.FromString(value), Metadata: json.RawMessage(metadata),
	})
}

func (w *writing) is(key, want string, versions int) awstest.State {
	w.Helper()
	s, ok := w.state(key)
	if !ok || s.Text != want || s.Versions != versions {
		w.Errorf("%s is %q in %d versions (%v), want %q in %d", key, s.Text, s.Versions, ok, want, versions)
	}
	return s
}

func (w *writing) exists(key, property string, want bool) {
	w.Helper()
	got, err := w.Exists(w.Context(), provider.Place{Key: key, Property: property})
	if err != nil || got != want {
		w.Errorf("exists %s %s: %v (%v), want %v", key, property, got, err, want)
	}
}

// The suite of writes, for both services.
func TestWriter(t *testing.T) {
	services(t, func(t *testing.T, service string) {
		s := awstest.New(t)
		name := func(key string) string { return map[string]string{aws.ParameterStore: "/"}[service] + key }
		w := providertest.Writing{
			Versions: func(key string) int { st, _ := s.Secret(key); return st.Versions },
			Put:      func(key, value string) { s.Put(key, value) },
			Before: func(f func()) {
				f = sync.OnceFunc(f)
				for _, action := range []string{"CreateSecret", "PutSecretValue", "PutParameter"} {
					s.Before(action, f)
				}
			},
			Outage: func() func() {
				s.Fail("", awstest.Fault{Status: 500, Code: "InternalServiceError"})
				return s.Mend
			},
			OutageAfter: func(n int) func() {
				s.Fail("", awstest.Fault{Status: 500, Code: "InternalServiceError", After: n})
				return s.Mend
			},
		}
		if service == aws.ParameterStore {
			w.Versions = func(key string) int { st, _ := s.Parameter(name(key)); return st.Versions }
			w.Put = func(key, value string) { s.PutParameter(name(key), value) }
		}
		providertest.RunWriter(t, providertest.Harness{Provider: aws.Provider{Getenv: s.Getenv}, Cluster: newCluster(), Settings: settings(service, nil)}, w)
	})
}

// facts §1.4: a push makes, replaces and merges; what is there already makes no
// version; what others wrote stays.
func TestWrite(t *testing.T) {
	services(t, func(t *testing.T, service string) {
		w := newWriting(t, service, nil)
		w.exists("whole", "", false)
		w.write("whole", "", "canary one", "")
		if s := w.is("whole", "canary one", 1); s.Tags["managed-by"] != "external-secrets" {
			t.Errorf("tags %v", s.Tags)
		}
		w.write("whole", "", "canary one", "")
		w.is("whole", "canary one", 1)
		w.write("whole", "", "canary two", `{"apiVersion":"kubernetes.external-secrets.io/v1alpha1","kind":"PushSecretMetadata","spec":{"tags":{"team":"a"}}}`)
		if s := w.is("whole", "canary two", 2); s.Tags["team"] != "a" {
			t.Errorf("tags %v", s.Tags)
		}
		w.exists("whole", "", true)

		w.write("parts", "user", "<app>", "")
		w.write("parts", "password", "canary", "")
		w.write("parts", "a.b", "dotted", "")
		w.is("parts", `{"a.b":"dotted","password":"canary","user":"<app>"}`, 3)
		w.write("parts", "password", "canary", "")
		w.is("parts", `{"a.b":"dotted","password":"canary","user":"<app>"}`, 3)
		w.exists("parts", "password", true)
		w.exists("parts", "other", false)

		w.put("foreign", "mine")
		w.Refused(w.tryWrite("foreign", "", "canary", ""), errs.Conflict, "was not written by an operator")
		if err := w.Delete(t.Context(), provider.Place{Key: "foreign"}); err != nil {
			t.Error(err)
		}
		w.is("foreign", "mine", 1)
		w.Refused(w.tryWrite("whole", "x", "canary", ""), errs.Invalid, "not a JSON object")
		w.Refused(w.tryWrite("parts", "x", "canary\xff", ""), errs.Invalid, "not text")
		w.Refused(w.tryWrite("big", "", strings.Repeat("canary", 20_000), ""), errs.TooLarge)
		for metadata, words := range map[string]string{
			`{"spec":{"nope":1}}`:                     "nope",
			`{"spec":{"tags":{"managed-by":"me"}}}`:   "operator's own",
			`7`:                                       "metadata of the PushSecret",
			`{"spec":{"secretPushFormat":"other"}}`:   "",
			`{"spec":{"secretType":"Other"}}`:         "",
			`{"spec":{"replicationLocations":["x"]}}`: "",
			`{"spec":{"resourcePolicy":{"policySourceRef":{"kind":"ConfigMap","name":"p","key":"k","namespace":"other"}}}}`: "unknown field",
			`{"spec":{"tier":{"type":"Huge"}}}`: "",
		} {
			if err := w.tryWrite("new", "", "canary", metadata); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "PushSecret") {
				t.Errorf("%s: %v", metadata, err)
			}
		}
	})
}

func TestDelete(t *testing.T) {
	services(t, func(t *testing.T, service string) {
		w := newWriting(t, service, func(s *aws.Settings) { s.SecretsManager.RecoveryWindowInDays = 8 })
		w.write("parts", "a", "1", "")
		w.write("parts", "b", "2", "")
		remove := func(property string) {
			t.Helper()
			if err := w.Delete(t.Context(), provider.Place{Key: "parts", Property: property}); err != nil {
				t.Error(err)
			}
		}
		remove("a")
		w.is("parts", `{"b":"2"}`, 3)
		remove("a")
		w.is("parts", `{"b":"2"}`, 3)
		remove("b")
		s, ok := w.state("parts")
		if service == aws.SecretsManager && (!s.Deleted || s.Window != 8) || service == aws.ParameterStore && ok {
			t.Errorf("%+v, %v: not deleted with the last property", s, ok)
		}
		w.exists("parts", "", false)
		remove("b")
		remove("")
		// What awaits its deletion comes back when it is pushed again.
		w.write("parts", "c", "3", "")
		if s, ok := w.state("parts"); !ok || s.Deleted || !strings.Contains(s.Text, `"c":"3"`) {
			t.Errorf("%+v, %v", s, ok)
		}
	})
	w := newWriting(t, aws.SecretsManager, func(s *aws.Settings) { s.SecretsManager.ForceDeleteWithoutRecovery = true })
	w.write("x", "", "1", "")
	if err := w.Delete(t.Context(), provider.Place{Key: "x"}); err != nil {
		t.Error(err)
	}
	if _, ok := w.state("x"); ok {
		t.Error("it can still be restored")
	}
}

// A value keeps the shape that it has; a new one has the one that is asked for.
func TestShapes(t *testing.T) {
	w := newWriting(t, aws.SecretsManager, nil)
	w.write("b", "", "\xff", "")
	w.write("s", "", "1", `{"spec":{"secretPushFormat":"string","description":"d","kmsKeyId":"alias/x"}}`)
	w.write("s", "", "2", "")
	if b, _ := w.state("b"); !b.Binary || b.Text != "\xff" {
		t.Errorf("%+v", b)
	}
	if s, _ := w.state("s"); s.Binary || s.Text != "2" {
		t.Errorf("%+v", s)
	}
	p := newWriting(t, aws.ParameterStore, nil)
	p.write("new", "", "1", "")
	p.write("plain", "", "1", `{"spec":{"secretType":"String","tier":{"type":"Advanced","policies":[{"Type":"Expiration"}]},"encodeAsDecoded":true}}`)
	p.write("plain", "", "2", "")
	for name, want := range map[string]string{"new": "SecureString", "plain": "String"} {
		if s, _ := p.state(name); s.Type != want {
			t.Errorf("%s is a %s, want %s", name, s.Type, want)
		}
	}
	p.Refused(p.tryWrite("bytes", "", "\xff", ""), errs.Invalid, "not text")
	p.Refused(p.tryWrite("empty", "", "", ""), errs.Invalid, "empty")
	// What AWS says of a value that it does not take quotes the value.
	p.server.Fail("PutParameter", awstest.Fault{Status: 400, Code: "ValidationException"})
	p.Refused(p.tryWrite("x", "", "canary", ""), errs.Invalid, "ValidationException")
}

// Two who write different properties of one secret at the same time lose neither.
func TestCrossingWrites(t *testing.T) {
	services(t, func(t *testing.T, service string) {
		w := newWriting(t, service, nil)
		w.write("x", "a", "1", "")
		w.server.Before(w.puts, func() { w.put("x", `{"a":"1","theirs":"2"}`) })
		w.write("x", "ours", "3", "")
		if s, _ := w.state("x"); s.Text != `{"a":"1","ours":"3","theirs":"2"}` {
			t.Errorf("%q: a write was lost", s.Text)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 20 { // as the controller does
					if err := w.tryWrite("x", fmt.Sprint("p", i), "v", ""); err == nil {
						return
					} else if !errs.Is(err, errs.Conflict) {
						t.Error(err)
						return
					}
				}
				t.Error("never written")
			})
		}
		wg.Wait()
	})
}
