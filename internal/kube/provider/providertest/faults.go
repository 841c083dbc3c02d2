package providertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Faults are what a backend with Planted can be made to do. Each begins a fault
// and returns what ends it. The suite leaves out those that are nil; a harness
// says beside each why it cannot happen.
type Faults struct {
	// Garbage answers every read and search with status 200 and body.
	Garbage func(body string) (heal func())
	// Bodies are garbage of the backend's own shape, beside the suite's.
	Bodies []string
	// Empty are those of the suite's bodies that are an answer of this backend: that a
	// search found nothing.
	Empty []string
	// Throttle answers as the backend does when it is asked too often.
	Throttle func() (heal func())
	// Outage answers as the backend does when it is broken inside.
	Outage func() (heal func())
	// Refuse answers as the backend does to who may not read.
	Refuse func() (heal func())
	// Expire ends every login made until now; new ones are good.
	Expire func()
}

// RunFaults runs the suite of what a backend does wrong. What it guards above
// all: nothing but the backend's own word makes a secret look deleted.
func RunFaults(t *testing.T, h Harness, f Faults) {
	t.Run("garbage", func(t *testing.T) { testGarbage(t, h, f) })
	for name, c := range map[string]struct {
		begin func() func()
		want  errs.Kind
	}{
		"throttled": {f.Throttle, errs.Exhausted}, "outage": {f.Outage, errs.Unavailable}, "refused": {f.Refuse, errs.Denied},
	} {
		if c.begin == nil {
			continue
		}
		t.Run(name, func(t *testing.T) { testFault(t, h, c.begin, c.want) })
	}
	if f.Expire != nil {
		t.Run("expired", func(t *testing.T) {
			st := h.Open(t)
			works(t, h, st, "with a login")
			f.Expire()
			works(t, h, st, "after the login ended")
		})
	}
}

// works reads a planted secret.
func works(t *testing.T, h Harness, st provider.Store, when string) {
	t.Helper()
	v, err := st.Read(t.Context(), provider.Request{Key: h.key(Planted()[0].Key)})
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	if got, err := v.Property("password"); err != nil || got.RevealString() != Canary {
		t.Errorf("%s: another value was read (%v)", when, err)
	}
}

const search = "a search"

// asked are the calls that a fault must end with an error, and how each is made.
func asked(h Harness, st provider.Store) map[string]func(t *testing.T) error {
	calls := map[string]func(t *testing.T) error{
		"a secret that is there": func(t *testing.T) error {
			_, err := st.Read(t.Context(), provider.Request{Key: h.key(Planted()[0].Key)})
			return err
		},
		"a secret that is not": func(t *testing.T) error {
			_, err := st.Read(t.Context(), provider.Request{Key: h.key("app/absent")})
			return err
		},
	}
	if f, ok := st.(provider.Finder); ok {
		calls[search] = func(t *testing.T) error {
			_, err := f.Find(t.Context(), provider.Query{Name: "."})
			return err
		}
	}
	return calls
}

func testFault(t *testing.T, h Harness, begin func() func(), want errs.Kind) {
	st := h.Open(t)
	works(t, h, st, "before")
	heal := begin()
	for what, call := range asked(h, st) {
		if err := call(t); !errs.Is(err, want) || strings.Contains(err.Error(), Canary) {
			t.Errorf("%s: %v (%v), want %v", what, err, errs.KindOf(err), want)
		}
	}
	heal()
	works(t, h, st, "afterwards")
}

func testGarbage(t *testing.T, h Harness, f Faults) {
	if f.Garbage == nil {
		t.Skip("SKIPPED: this harness cannot replace its backend's answers (Faults.Garbage)")
	}
	st := h.Open(t)
	works(t, h, st, "before")
	bodies := append([]string{
		"", " ", "<html><body>Welcome to the proxy</body></html>", "null", "{}", "[]", "7", `"` + Canary + `"`,
		`{"data":{"data":{"password":"` + Canary, `{"` + Canary + `":"` + Canary + `"}`,
		"\x00\xff\xfe", strings.Repeat("[", 20_000),
	}, f.Bodies...)
	for _, body := range bodies {
		heal := f.Garbage(body)
		for what, call := range asked(h, st) {
			err := call(t)
			switch kind := errs.KindOf(err); {
			case err == nil && what == search && slices.Contains(f.Empty, body):
			case err == nil:
				t.Errorf("200 with %.60q for %s: taken for an answer", body, what)
			case kind != errs.Unavailable && kind != errs.Invalid:
				t.Errorf("200 with %.60q for %s: %v (%v), want unavailable or invalid", body, what, err, kind)
			case strings.Contains(err.Error(), Canary):
				t.Errorf("200 with %.60q for %s: the message quotes it", body, what)
			}
		}
		heal()
	}
	works(t, h, st, "afterwards")
}
