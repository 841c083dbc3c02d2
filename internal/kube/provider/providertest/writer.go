package providertest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Writing is what the suite of writes must know of a backend and can make it do.
// The suite leaves out what is nil; a harness says beside each why.
type Writing struct {
	// Versions returns how many versions of the secret at key were made.
	Versions func(key string) int
	// Put writes a secret as somebody else does, who is no operator. The mark of one
	// that has it stays.
	Put func(key, value string)
	// Before has f run before the backend takes the next write, once.
	Before func(f func())
	// Outage answers as the backend does when it is broken inside.
	Outage func() (heal func())
	// OutageAfter lets n more requests through and then answers as Outage does.
	OutageAfter func(n int) (heal func())
	// NoProperties: the backend's values have no parts.
	NoProperties bool
	// Objects: the backend holds JSON objects and nothing else.
	Objects bool
	// Mark is the part of a secret that the operator's mark is in, where readers see it.
	Mark string
	// Lossy: the backend cannot write on condition, and says not what was replaced.
	Lossy bool
}

// RunWriter runs the suite of writes. What it guards above all: what others wrote
// stays as it is.
func RunWriter(t *testing.T, h Harness, w Writing) {
	run := func(name string, test func(t *testing.T, x *writer)) {
		t.Run(name, func(t *testing.T) {
			st := h.Open(t)
			test(t, &writer{T: t, Writing: w, Writer: st.(provider.Writer), store: st})
		})
	}
	run("whole", testWriteWhole)
	run("foreign", testForeign)
	run("delete", testDeleteWhole)
	run("nothing leaks", testWriteLeaks)
	if !w.NoProperties {
		run("properties", testWriteProperties)
		run("delete properties", testDeleteProperties)
		run("together", testWriteTogether)
	}
	if w.Before != nil && !w.NoProperties && !w.Lossy {
		run("crossed", testCrossed)
		run("made by another meanwhile", testMadeMeanwhile)
	}
	if w.Outage != nil {
		run("outage", testWriteOutage)
	}
	if w.OutageAfter != nil {
		run("ended in the middle", testEndedInTheMiddle)
	}
}

type writer struct {
	*testing.T
	Writing
	provider.Writer
	store provider.Store
}

func (w *writer) try(key, property, value string) error {
	return w.Write(w.Context(), provider.Write{Place: provider.Place{Key: key, Property: property}, Value: redact.FromString(value)})
}

func (w *writer) write(key, property, value string) {
	w.Helper()
	if err := w.try(key, property, value); err != nil {
		w.Fatalf("writing %s %s: %v", key, property, err)
	}
}

func (w *writer) remove(key, property string) {
	w.Helper()
	if err := w.Delete(w.Context(), provider.Place{Key: key, Property: property}); err != nil {
		w.Fatalf("deleting %s %s: %v", key, property, err)
	}
}

// is checks what readers see; "" is nothing.
func (w *writer) is(key, want string) {
	w.Helper()
	v, err := w.store.Read(w.Context(), provider.Request{Key: key})
	if want == "" {
		if !errs.Is(err, errs.NotExist) {
			w.Errorf("%s is there still (%v)", key, err)
		}
		return
	}
	if w.Mark != "" && err == nil {
		v.Data, err = push.Without(v.Data, w.Mark)
	}
	if err != nil || !same(v.Data.RevealString(), want) {
		w.Errorf("%s is %q (%v), want %q", key, v.Data.Reveal(), err, want)
	}
}

// same compares texts, as JSON where both are.
func same(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil {
		return fmt.Sprint(x) == fmt.Sprint(y)
	}
	return a == b
}

func (w *writer) exists(key, property string, want bool) {
	w.Helper()
	got, err := w.Exists(w.Context(), provider.Place{Key: key, Property: property})
	if err != nil || got != want {
		w.Errorf("exists %s %s: %v (%v), want %v", key, property, got, err, want)
	}
}

// quiet checks that f makes no version of key.
func (w *writer) quiet(key string, f func()) {
	w.Helper()
	if w.Versions == nil {
		f()
		return
	}
	before := w.Versions(key)
	f()
	if after := w.Versions(key); after != before {
		w.Errorf("%s had %d versions and has %d, though nothing changed", key, before, after)
	}
}

func testWriteWhole(t *testing.T, w *writer) {
	one, two := `{"a":"<`+Canary+`>","n":1}`, `{"a":"other"}`
	w.exists("push-whole", "", false)
	w.write("push-whole", "", one)
	w.is("push-whole", one)
	w.exists("push-whole", "", true)
	w.quiet("push-whole", func() { w.write("push-whole", "", one) })
	w.write("push-whole", "", two)
	w.is("push-whole", two)
	err := w.try("push-text", "", Canary+" text")
	switch {
	case w.Objects && (!errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), Canary)):
		t.Errorf("a value that is no object: %v, want invalid", err)
	case !w.Objects && err != nil:
		t.Error(err)
	case !w.Objects:
		w.is("push-text", Canary+" text")
	}
}

func testForeign(t *testing.T, w *writer) {
	w.Put("push-foreign", `{"mine":"1"}`)
	if err := w.try("push-foreign", "", `{"a":"1"}`); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "push-foreign") {
		t.Errorf("writing over another's secret: %v, want a conflict that names it", err)
	}
	if !w.NoProperties {
		if err := w.try("push-foreign", "a", "1"); !errs.Is(err, errs.Conflict) {
			t.Errorf("writing into another's secret: %v, want conflict", err)
		}
		w.remove("push-foreign", "mine")
	}
	w.exists("push-foreign", "", true)
	w.quiet("push-foreign", func() { w.remove("push-foreign", "") })
	w.is("push-foreign", `{"mine":"1"}`)
}

func testDeleteWhole(t *testing.T, w *writer) {
	w.remove("push-absent", "")
	w.write("push-gone", "", `{"a":"1"}`)
	w.remove("push-gone", "")
	w.is("push-gone", "")
	w.exists("push-gone", "", false)
	w.remove("push-gone", "")
	w.write("push-gone", "", `{"a":"2"}`)
	w.is("push-gone", `{"a":"2"}`)
}

func testWriteProperties(t *testing.T, w *writer) {
	w.write("push-parts", "user", "app")
	w.write("push-parts", "password", "<"+Canary+">")
	w.write("push-parts", "dotted.key", "1")
	want := `{"user":"app","password":"<` + Canary + `>","dotted.key":"1"}`
	w.is("push-parts", want)
	w.quiet("push-parts", func() { w.write("push-parts", "user", "app") })
	w.exists("push-parts", "dotted.key", true)
	w.exists("push-parts", "other", false)
	w.exists("push-absent", "other", false)
	w.write("push-parts", "user", "other")
	w.is("push-parts", strings.Replace(want, `"app"`, `"other"`, 1))
}

func testDeleteProperties(t *testing.T, w *writer) {
	w.write("push-less", "a", "1")
	w.write("push-less", "b", "2")
	w.remove("push-less", "a")
	w.is("push-less", `{"b":"2"}`)
	w.quiet("push-less", func() { w.remove("push-less", "a") })
	w.remove("push-less", "b")
	w.is("push-less", "")
	w.remove("push-less", "b")
}

func testWriteTogether(t *testing.T, w *writer) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 { // as the controller does
				if err := w.try("push-together", fmt.Sprint("p", i), "v"); err == nil {
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
	w.is("push-together", `{"p0":"v","p1":"v","p2":"v","p3":"v"}`)
}

func testCrossed(t *testing.T, w *writer) {
	w.write("push-crossed", "a", "1")
	w.Before(func() { w.Put("push-crossed", `{"a":"1","theirs":"2"}`) })
	w.settle("push-crossed", "ours", "3")
	w.is("push-crossed", `{"a":"1","theirs":"2","ours":"3"}`)
}

// settle writes until it is no conflict.
func (w *writer) settle(key, property, value string) {
	w.Helper()
	for range 20 {
		err := w.try(key, property, value)
		if err == nil {
			return
		}
		if !errs.Is(err, errs.Conflict) {
			w.Fatal(err)
		}
	}
	w.Fatalf("%s was never written", key)
}

// Whoever makes the secret first has it.
func testMadeMeanwhile(t *testing.T, w *writer) {
	w.Before(func() { w.Put("push-raced", `{"theirs":"1"}`) })
	err := w.try("push-raced", "a", "1")
	if !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Exist) {
		t.Errorf("a secret that another made in the same instant: %v, want conflict", err)
	}
	w.is("push-raced", `{"theirs":"1"}`)
	if err := w.try("push-raced", "a", "1"); !errs.Is(err, errs.Conflict) {
		t.Errorf("a second try: %v, want conflict", err)
	}
	w.is("push-raced", `{"theirs":"1"}`)
}

func testWriteOutage(t *testing.T, w *writer) {
	w.write("push-out", "", `{"a":"1"}`)
	heal := w.Outage()
	_, existsErr := w.Exists(t.Context(), provider.Place{Key: "push-out"})
	for what, err := range map[string]error{
		"writing": w.try("push-out", "", `{"a":"`+Canary+`"}`), "making": w.try("push-out-new", "", `{"a":"`+Canary+`"}`),
		"deleting": w.Delete(t.Context(), provider.Place{Key: "push-out"}), "asking": existsErr,
	} {
		if !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), Canary) {
			t.Errorf("%s during an outage: %v (%v), want unavailable", what, err, errs.KindOf(err))
		}
	}
	heal()
	w.is("push-out", `{"a":"1"}`)
	w.write("push-out", "", `{"a":"2"}`)
	w.is("push-out", `{"a":"2"}`)
}

// Wherever a write ends, the next one finishes it, also the first of a secret.
func testEndedInTheMiddle(t *testing.T, w *writer) {
	for n := range 8 {
		key := fmt.Sprint("push-ended-", n)
		heal := w.OutageAfter(n)
		err := w.try(key, "", `{"a":"1"}`)
		heal()
		if err == nil {
			if n == 0 {
				t.Error("the outage was none")
			}
			return
		}
		w.write(key, "", `{"a":"2"}`)
		w.is(key, `{"a":"2"}`)
		heal = w.OutageAfter(n)
		_ = w.Delete(t.Context(), provider.Place{Key: key})
		heal()
		w.remove(key, "")
		w.is(key, "")
	}
	t.Error("it never came to the end")
}

func testWriteLeaks(t *testing.T, w *writer) {
	w.Put("push-leaks", `{"mine":"1"}`)
	errors := []error{w.try("push-leaks", "", `{"a":"`+Canary+`"}`), w.try("a/../b", "", `{"a":"`+Canary+`"}`), w.try("", "", `{"a":"`+Canary+`"}`)}
	if !w.NoProperties {
		errors = append(errors, w.try("push-leaks-2", "p", Canary+"\xff"))
	}
	metadata := w.Write(t.Context(), provider.Write{
		Place: provider.Place{Key: "push-leaks-3"}, Value: redact.FromString(`{"a":"` + Canary + `"}`), Metadata: json.RawMessage(`{"spec":{"notAField":1}}`),
	})
	if metadata == nil || !strings.Contains(metadata.Error(), "notAField") {
		t.Errorf("metadata with an unknown field: %v, want a refusal that names it", metadata)
	}
	for _, err := range append(errors, metadata) {
		if err != nil && strings.Contains(err.Error(), Canary) {
			t.Errorf("a message quotes the value: %s", strings.ReplaceAll(err.Error(), Canary, "CANARY"))
		}
	}
}
