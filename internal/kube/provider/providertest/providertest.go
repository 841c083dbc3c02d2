package providertest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Secret is what a harness must have put into its backend.
type Secret struct{ Key, Value string }

// Canary stands in every planted value, so that leaks can be searched for.
const Canary = "canary-7f3a91"

// Planted returns the secrets the suite reads. A harness that cannot store a
// value as given (a string where only objects are stored) leaves it out of Has.
func Planted() []Secret {
	return []Secret{
		{"app/config", `{"user":"app","password":"` + Canary + `","port":5432,"on":true,"none":null,"nested":{"a":["x","y"]},"dotted.key":"literal"}`},
		{"app/other", `{"token":"` + Canary + `-other"}`},
	}
}

// Harness is one provider with a backend that has Planted.
type Harness struct {
	Provider provider.Provider
	Settings any
	Cluster  provider.Cluster // may be nil when Settings refer to nothing
	// Key writes a key of the suites, such as "app/config", as the store has it; nil:
	// as it is. It must keep the order.
	Key func(key string) string
	// Literal: a key is a name as it stands; with slashes around it it is another's.
	Literal bool
}

func (h Harness) key(key string) string {
	if h.Key == nil {
		return key
	}
	return h.Key(key)
}

// Open opens the harness's store as a SecretStore of namespace "team".
func (h Harness) Open(t *testing.T) provider.Store {
	t.Helper()
	st, err := h.open(t.Context(), h.Settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return st
}

func (h Harness) open(ctx context.Context, settings any) (provider.Store, error) {
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	none := 0
	object := &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "store"}}
	return h.Provider.Open(ctx, provider.Config{
		Scope:    provider.ScopeOf(object),
		Settings: raw,
		Retry:    provider.Retry{Max: &none}, // the suites count
		Cluster:  h.Cluster,
		Clock:    clock.RealClock{},
		Log:      slog.New(slog.DiscardHandler),
	})
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Run("check", func(t *testing.T) {
		if err := h.Open(t).Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("read", func(t *testing.T) { testRead(t, h) })
	t.Run("absent", func(t *testing.T) { testAbsent(t, h) })
	t.Run("concurrent", func(t *testing.T) { testConcurrent(t, h) })
	t.Run("strict settings", func(t *testing.T) { testStrict(t, h) })
	t.Run("nothing leaks", func(t *testing.T) { testPrinting(t, h) })
	st := h.Open(t)
	if l, ok := st.(provider.Locator); ok {
		t.Run("locations", func(t *testing.T) { testLocations(t, h, l) })
	}
	if c, ok := st.(provider.Caller); ok {
		t.Run("calls", func(t *testing.T) { testCalls(t, c) })
	}
}

// A location is one name for one secret, however its key is written, and never
// that of another one.
func testLocations(t *testing.T, h Harness, l provider.Locator) {
	if h.Literal {
		testLiteral(t, h, l)
		return
	}
	seen := map[string]string{}
	for _, key := range []string{"app/config", "app/other"} {
		name := l.LocateKey(key)
		if name == "" || name != l.LocateKey("/"+key+"/") {
			t.Errorf("key %q is at %q, with slashes around it at %q", key, name, l.LocateKey("/"+key+"/"))
		}
		if other, twice := seen[name]; twice {
			t.Errorf("keys %q and %q are both at %q", key, other, name)
		}
		seen[name] = key
	}
	for _, key := range []string{"", "a/../b", "a//b"} {
		if name := l.LocateKey(key); name != "" {
			t.Errorf("%q is no key, and at %q", key, name)
		}
	}
	if l.Locate("a/b") == l.Locate("a/c") || l.Locate("a/b") != l.Locate("/a/b/") {
		t.Error("paths and their names do not fit together")
	}
}

// Where a key is a name as it stands, others are other secrets.
func testLiteral(t *testing.T, h Harness, l provider.Locator) {
	one, two := l.LocateKey(h.key("app/config")), l.LocateKey(h.key("app/other"))
	if one == "" || two == "" || one == two || one != l.LocateKey(h.key("app/config")) {
		t.Errorf("two keys are at %q and %q", one, two)
	}
	if name := l.LocateKey(""); name != "" {
		t.Errorf("no key is at %q", name)
	}
	if l.Locate(h.key("a/b")) == l.Locate(h.key("a/c")) {
		t.Error("two paths have one name")
	}
}

// What cannot be a request is refused before it is one, and quotes no body.
func testCalls(t *testing.T, c provider.Caller) {
	for _, bad := range []struct{ method, path string }{
		{"GET", ""}, {"GET", "a/../b"}, {"GET", "a//b"}, {"GET", "https://elsewhere.example/x"}, {"GET", "//elsewhere.example/x"},
		{"BREW", "app/config"}, {"POST", "app/config?version=1"},
	} {
		_, err := c.Call(t.Context(), bad.method, bad.path, map[string]string{"password": Canary})
		if err == nil || strings.Contains(err.Error(), Canary) {
			t.Errorf("%s %q: %v, want a refusal that quotes nothing", bad.method, bad.path, err)
		}
	}
	if _, err := c.Call(t.Context(), "POST", "app/config", func() string { return Canary }); err == nil || strings.Contains(err.Error(), Canary) {
		t.Errorf("a body that is no JSON: %v", err)
	}
}

func testRead(t *testing.T, h Harness) {
	st := h.Open(t)
	v, err := st.Read(t.Context(), provider.Request{Key: h.key("app/config")})
	if err != nil {
		t.Fatal(err)
	}
	for property, want := range map[string]string{
		"user": "app", "password": Canary, "port": "5432", "on": "true", "none": "",
		"nested": `{"a":["x","y"]}`, "nested.a.1": "y", "dotted.key": "literal",
	} {
		got, err := v.Property(property)
		if err != nil {
			t.Errorf("property %s: %v", property, err)
		} else if got.RevealString() != want {
			t.Errorf("property %s is %q, want %q", property, got.Reveal(), want)
		}
	}
	whole, err := v.Map()
	if err != nil || len(whole) != 7 {
		t.Errorf("the whole has %d keys (%v), want 7", len(whole), err)
	}
	again, err := st.Read(t.Context(), provider.Request{Key: h.key("app/config")})
	if err != nil || !again.Data.Equal(v.Data) || again.Version != v.Version {
		t.Errorf("a second read of an unchanged secret differs (%v)", err)
	}
}

func testAbsent(t *testing.T, h Harness) {
	st := h.Open(t)
	if _, err := st.Read(t.Context(), provider.Request{Key: h.key("app/absent")}); !errs.Is(err, errs.NotExist) {
		t.Errorf("an absent secret gives %v (%v), want not found", err, errs.KindOf(err))
	} else if !strings.Contains(err.Error(), h.key("app/absent")) {
		t.Errorf("the message does not name the secret: %v", err)
	}
	if _, err := st.Read(t.Context(), provider.Request{Key: h.key("app/config"), Version: "4711"}); !errs.Is(err, errs.NotExist) {
		t.Errorf("an absent version gives %v (%v), want not found", err, errs.KindOf(err))
	}
	v, err := st.Read(t.Context(), provider.Request{Key: h.key("app/config")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Property("nope"); !errs.Is(err, errs.NotExist) {
		t.Errorf("an absent property gives %v, want not found", err)
	}
}

func testConcurrent(t *testing.T, h Harness) {
	st := h.Open(t)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			want := Planted()[i%2]
			v, err := st.Read(t.Context(), provider.Request{Key: h.key(want.Key)})
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := v.Map(); err != nil || (i%2 == 1 && got["token"].RevealString() != Canary+"-other") {
				t.Errorf("reading %s beside other readers: wrong value (%v)", want.Key, err)
			}
		})
	}
	wg.Wait()
}

func testStrict(t *testing.T, h Harness) {
	raw, err := json.Marshal(h.Settings)
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := json.Unmarshal(raw, &settings); err != nil {
		t.Fatal(err)
	}
	settings["notAField"] = true
	if st, err := h.open(t.Context(), settings); err == nil {
		_ = st.Close(t.Context())
		t.Error("an unknown field was accepted in silence")
	} else if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "notAField") {
		t.Errorf("an unknown field gives %v (%v), want invalid, naming it", err, errs.KindOf(err))
	}
}

func testPrinting(t *testing.T, h Harness) {
	v, err := h.Open(t).Read(t.Context(), provider.Request{Key: h.key("app/config")})
	if err != nil {
		t.Fatal(err)
	}
	_, missing := v.Property("password.nope.#(")
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", v, v, v, v.Data), fmt.Sprint(missing)} {
		if strings.Contains(text, Canary) {
			t.Errorf("a value was printed: %s", strings.ReplaceAll(text, Canary, "CANARY"))
		}
	}
}
