package gcp_test

import (
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"testing"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func TestWriter(t *testing.T) {
	w := newWorld(t)
	outage := func(n int) func() { w.server.FailAfter(n); return w.server.Mend }
	h := providertest.Harness{Provider: gcp.Provider{Getenv: w.getenv}, Cluster: w.Cluster, Settings: settings(nil)}
	providertest.RunWriter(t, h, providertest.Writing{
		Versions: func(key string) int { s, _ := w.server.Secret(key); return s.Versions },
		Put:      func(key, value string) { w.server.Put(key, value) },
		Before: func(f func()) {
			once := sync.OnceFunc(f)
			w.server.Before("CreateSecret", once)
			w.server.Before("AddSecretVersion", once)
		},
		Outage: func() func() { return outage(0) }, OutageAfter: outage,
	})
}

// writing is a store that is written to.
type writing struct {
	*world
	provider.Writer
}

func newWriting(t *testing.T) *writing {
	w := newWorld(t)
	return &writing{w, w.Open(settings(nil)).(provider.Writer)}
}

func (w *writing) tryWrite(key, property, value, metadata string) error {
	return w.Write(w.Context(), provider.Write{
		Place: provider.Place{Key: key, Property: property}, Value: redact.FromString(value), Metadata: json.RawMessage(metadata),
	})
}

func (w *writing) write(key, property, value, metadata string) {
	w.Helper()
	if err := w.tryWrite(key, property, value, metadata); err != nil {
		w.Fatal(err)
	}
}

func (w *writing) is(key, want string, versions int) *pb.Secret {
	w.Helper()
	s, ok := w.server.Secret(key)
	if !ok || s.Data != want || s.Versions != versions {
		w.Errorf("%s is %q in %d versions (%v), want %q in %d", key, s.Data, s.Versions, ok, want, versions)
	}
	return s.About
}

func (w *writing) exists(key, property string, want bool) {
	w.Helper()
	got, err := w.Exists(w.Context(), provider.Place{Key: key, Property: property})
	if err != nil || got != want {
		w.Errorf("exists %s %s: %v (%v), want %v", key, property, got, err, want)
	}
}

func (w *writing) remove(key, property string) {
	w.Helper()
	if err := w.Delete(w.Context(), provider.Place{Key: key, Property: property}); err != nil {
		w.Error(err)
	}
}

// facts §1.4: a push makes, replaces and merges; what is there already makes no
// version; what others wrote stays.
func TestWrite(t *testing.T) {
	w := newWriting(t)
	w.exists("whole", "", false)
	w.write("whole", "", "canary one", "")
	about := w.is("whole", "canary one", 1)
	if about.GetLabels()["managed-by"] != "external-secrets" || about.GetReplication().GetAutomatic() == nil {
		t.Errorf("%v", about)
	}
	w.write("whole", "", "canary one", "")
	w.is("whole", "canary one", 1)
	w.write("whole", "", "canary two\xff", "")
	w.is("whole", "canary two\xff", 2)
	w.exists("whole", "", true)

	w.write("parts", "user", "<app>", "")
	w.write("parts", "password", "canary", "")
	w.write("parts", "a.b", "dotted", "")
	w.is("parts", `{"a.b":"dotted","password":"canary","user":"<app>"}`, 3)
	w.write("parts", "password", "canary", "")
	w.is("parts", `{"a.b":"dotted","password":"canary","user":"<app>"}`, 3)
	w.exists("parts", "password", true)
	w.exists("parts", "other", false)

	w.server.Put("foreign", "mine")
	w.Refused(w.tryWrite("foreign", "", "canary", ""), errs.Conflict, "was not written by an operator")
	w.remove("foreign", "")
	w.is("foreign", "mine", 1)
	w.Refused(w.tryWrite("whole", "x", "canary", ""), errs.Invalid, "not a JSON object")
	w.Refused(w.tryWrite("big", "", strings.Repeat("canary", 20_000), ""), errs.TooLarge, "65536")
	w.Refused(w.tryWrite("big", "x", strings.Repeat("canary", 20_000), ""), errs.TooLarge)
	w.Refused(w.tryWrite("empty", "", "", ""), errs.Invalid, "empty")
	w.Refused(w.tryWrite("a/b", "", "canary", ""), errs.Invalid, "no name of a secret")
	w.server.Fail("AddSecretVersion", gcptest.Fault{Code: codes.InvalidArgument, Message: "what was sent: canary"})
	w.Refused(w.tryWrite("whole", "", "canary", ""), errs.Invalid, "InvalidArgument")
}

func metadata(spec string) string {
	return `{"apiVersion":"kubernetes.external-secrets.io/v1alpha1","kind":"PushSecretMetadata","spec":` + spec + `}`
}

// facts §1.4, metadata of a PushSecret: the fields of the original; labels and
// annotations of others stay, unless they are to be replaced.
func TestWriteMetadata(t *testing.T) {
	w := newWriting(t)
	w.write("a", "", "1", metadata(`{"labels":{"team":"a"},"annotations":{"x":"1"},"topics":["projects/p/topics/t"],
		"cmekKeyName":"k","replicationLocations":["europe-west3","europe-west4"]}`))
	about := w.is("a", "1", 1)
	replicas := about.GetReplication().GetUserManaged().GetReplicas()
	if len(replicas) != 2 || replicas[1].GetLocation() != "europe-west4" || replicas[1].GetCustomerManagedEncryption().GetKmsKeyName() != "k" ||
		about.GetTopics()[0].GetName() != "projects/p/topics/t" || about.GetAnnotations()["x"] != "1" {
		t.Errorf("%v", about)
	}
	labels := func(spec string, want map[string]string) {
		t.Helper()
		w.write("a", "", "1", metadata(spec))
		want["managed-by"] = "external-secrets"
		if got := w.is("a", "1", 1).GetLabels(); !maps.Equal(got, want) {
			t.Errorf("%s: labels %v, want %v", spec, got, want)
		}
	}
	labels(`{"labels":{"unit":"b"}}`, map[string]string{"team": "a", "unit": "b"})
	labels(`{"labels":{"unit":"c"},"mergePolicy":"Replace"}`, map[string]string{"unit": "c"})
	before := w.server.Count("UpdateSecret")
	labels(`{"labels":{"unit":"c"}}`, map[string]string{"unit": "c"})
	if w.server.Count("UpdateSecret") != before {
		t.Error("what is there already was written")
	}
	w.write("single", "", "1", metadata(`{"replicationLocation":"europe-west3"}`))
	if r := w.is("single", "1", 1).GetReplication().GetUserManaged().GetReplicas(); len(r) != 1 || r[0].GetLocation() != "europe-west3" {
		t.Errorf("%v", r)
	}
	for spec, words := range map[string]string{
		metadata(`{"nope":1}`):                     "nope",
		metadata(`{"labels":{"managed-by":"me"}}`): "operator's own",
		metadata(`{"mergePolicy":"Sometimes"}`):    "Merge or Replace",
		`7`:                                        "metadata of the PushSecret",
	} {
		w.Refused(w.tryWrite("new", "", "canary", spec), errs.Invalid, words)
	}
	regional := w.Open(settings(func(s *gcp.Settings) { s.Location = "europe-west3" })).(provider.Writer)
	write := func(spec string) error {
		return regional.Write(t.Context(), provider.Write{Place: provider.Place{Key: "r"}, Value: redact.FromString("1"), Metadata: json.RawMessage(metadata(spec))})
	}
	if err := write(`{"cmekKeyName":"k"}`); err != nil {
		t.Error(err)
	}
	w.Refused(write(`{"replicationLocation":"x"}`), errs.Invalid, "location")
}

func TestDelete(t *testing.T) {
	w := newWriting(t)
	w.write("parts", "a", "1", "")
	w.write("parts", "b", "2", "")
	w.remove("parts", "a")
	w.is("parts", `{"b":"2"}`, 3)
	w.remove("parts", "a")
	w.is("parts", `{"b":"2"}`, 3)
	other := &writing{w.world, w.Open(settings(nil)).(provider.Writer)}
	w.server.Before("DeleteSecret", func() { other.write("parts", "", `{"b":"2"}`, metadata(`{"labels":{"team":"a"}}`)) })
	w.Refused(w.Delete(t.Context(), provider.Place{Key: "parts", Property: "b"}), errs.Conflict) // it changed meanwhile
	w.remove("parts", "b")
	if _, ok := w.server.Secret("parts"); ok {
		t.Error("the secret stayed without a property")
	}
	w.remove("parts", "b")
	w.remove("parts", "")
	w.exists("parts", "", false)
}

// A version that is disabled or destroyed holds nothing back: the next takes its place.
func TestWriteOverWhatIsOff(t *testing.T) {
	w := newWriting(t)
	w.write("a", "x", "1", "")
	w.write("a", "x", "2", "")
	w.server.State("a", 2, pb.SecretVersion_DESTROYED)
	w.exists("a", "x", true) // of version 1
	w.server.State("a", 1, pb.SecretVersion_DISABLED)
	w.exists("a", "x", false)
	w.write("a", "y", "3", "")
	w.is("a", `{"y":"3"}`, 3)
}

// What another writes between our reading and our writing is taken in.
func TestCrossingWrites(t *testing.T) {
	w := newWriting(t)
	w.write("x", "a", "1", "")
	w.server.Before("AddSecretVersion", func() { w.server.Put("x", `{"a":"1","theirs":"2"}`) })
	w.write("x", "ours", "3", "")
	if s, _ := w.server.Secret("x"); s.Data != `{"a":"1","ours":"3","theirs":"2"}` {
		t.Errorf("%q: a write was lost", s.Data)
	}
}
