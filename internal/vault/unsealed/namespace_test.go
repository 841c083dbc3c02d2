package unsealed

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// lower is the canonical spelling of the lab's "twice" paths.
func lower(path string) string { return strings.ToLower(path) }

// namespaces makes them, parents first, and returns them by path; "" is the root.
func (b *bench) namespaces(paths ...string) map[string]engine.Namespace {
	b.t.Helper()
	made := map[string]engine.Namespace{"": namespace.Root}
	for _, path := range paths {
		err := b.takeUp(func(tx *Tx) error {
			e, err := b.v.Namespaces.Add(b.t.Context(), tx, path, nil)
			if err == nil {
				made[path] = e.Namespace()
			}
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return made
}

// lock locks or unlocks a namespace.
func (b *bench) lock(ns engine.Namespace, locked bool) {
	b.t.Helper()
	l, _, err := b.v.Namespaces.NewLock()
	if err != nil {
		b.t.Fatal(err)
	}
	if !locked {
		l = nil
	}
	err = b.takeUp(func(tx *Tx) error {
		return b.v.Namespaces.Update(b.t.Context(), tx, ns.ID, func(e *namespace.Entry) error { e.Lock = l; return nil })
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// policy stores a policy of ns.
func (b *bench) policy(ns engine.Namespace, name, text string) {
	b.t.Helper()
	b.commit(func(tx *Tx) error {
		_, err := b.v.Policies.Put(tx, policy.Namespace(ns), name, text)
		return err
	})
}

// A request reaches its own namespace, and below that those where policy allows
// the caller the same request: in every spelling, wrapped as it is, and unlocked.
func TestReach(t *testing.T) {
	b := newBench(t, nil)
	ns := b.namespaces("a/", "a/b/", "a/b/c/", "other/")
	b.policy(ns["a/"], "p", `
		path "b/sys/plain/*"     { capabilities = ["update"] }
		path "b/c/sys/plain/*"   { capabilities = ["update"] }
		path "b/sys/plain/param" { capabilities = ["update"] allowed_parameters = { "good" = [] } }
		path "b/sys/plain/wrap"  { capabilities = ["update"] min_wrapping_ttl = "10s" max_wrapping_ttl = "1h" }
		path "b/sys/sudo/no"     { capabilities = ["update"] }
		path "b/sys/sudo/yes"    { capabilities = ["update", "sudo"] }
		path "b/sys/twice/*"     { capabilities = ["update"] }
		path "b/sys/twice/x"     { capabilities = ["deny"] }
		path "b/sys/twice/Y"     { capabilities = ["deny"] }`)
	for name, c := range map[string]struct {
		path   string
		in     string // the request's namespace; "" = a/
		to     string
		op     engine.Operation // 0 = Update
		root   bool
		body   string
		wrap   time.Duration
		locked string
		kind   errs.Kind // 0 = it reaches
	}{
		"its own":                 {path: "no/such", to: "a/"},
		"its own, without rights": {path: "plain/x", in: "a/b/c/", to: "a/b/c/"},
		"below":                   {path: "plain/x", to: "a/b/"},
		"two below":               {path: "plain/x", to: "a/b/c/"},
		"above":                   {path: "plain/x", in: "a/b/", to: "a/", kind: errs.Denied},
		"the root":                {path: "plain/x", to: "", kind: errs.Denied},
		"beside":                  {path: "plain/x", to: "other/", kind: errs.Denied},
		"not there":               {path: "plain/x", to: "nowhere", kind: errs.Denied},
		"no route":                {path: "none/x", to: "a/b/", kind: errs.Denied},
		"another operation":       {path: "plain/x", to: "a/b/", op: engine.Read, kind: errs.Denied},
		"root":                    {path: "none/x", to: "a/b/", root: true},
		"root, above":             {path: "plain/x", in: "a/b/", to: "a/", root: true, kind: errs.Denied},
		"sudo missing":            {path: "sudo/no", to: "a/b/", kind: errs.Denied},
		"sudo":                    {path: "sudo/yes", to: "a/b/"},
		"a parameter":             {path: "plain/param", to: "a/b/", body: "good"},
		"a parameter refused":     {path: "plain/param", to: "a/b/", body: "bad", kind: errs.Denied},

		"not wrapped":      {path: "plain/wrap", to: "a/b/", kind: errs.Denied},
		"wrapped":          {path: "plain/wrap", to: "a/b/", wrap: time.Minute},
		"wrapped too long": {path: "plain/wrap", to: "a/b/", wrap: 2 * time.Hour, kind: errs.Denied},

		"denied":                        {path: "twice/x", to: "a/b/", kind: errs.Denied},
		"denied in another spelling":    {path: "twice/X", to: "a/b/", kind: errs.Denied},
		"denied as it is written":       {path: "twice/Y", to: "a/b/", kind: errs.Denied},
		"the spelling that is not":      {path: "twice/y", to: "a/b/"},
		"allowed in another spelling":   {path: "twice/Z", to: "a/b/"},
		"locked":                        {path: "plain/x", to: "a/b/", locked: "a/b/", kind: errs.Unavailable},
		"locked in between":             {path: "plain/x", to: "a/b/c/", locked: "a/b/", kind: errs.Unavailable},
		"a lock further down":           {path: "plain/x", to: "a/b/", locked: "a/b/c/"},
		"a lock elsewhere":              {path: "plain/x", to: "a/b/", locked: "other/"},
		"locked for root":               {path: "plain/x", to: "a/b/", root: true, locked: "a/b/", kind: errs.Unavailable},
		"no word of the lock otherwise": {path: "none/x", to: "a/b/", locked: "a/b/", kind: errs.Denied},
		"its own lock is the gate's":    {path: "plain/x", in: "a/b/", to: "a/b/", locked: "a/b/"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.locked != "" {
				b.lock(ns[c.locked], true)
				defer b.lock(ns[c.locked], false)
			}
			in, id := ns["a/"], c.to
			if c.in != "" {
				in = ns[c.in]
			}
			if to, ok := ns[c.to]; ok {
				id = namespace.Key(to)
			}
			req := &engine.Request{
				Namespace: in, Mount: "sys/", Path: c.path, Operation: engine.Update, WrapTTL: c.wrap,
				Caller: engine.Caller{Namespace: ns["a/"], Policies: []string{"p"}, Root: c.root},
			}
			if c.op != 0 {
				req.Operation = c.op
			}
			if c.body != "" {
				req.Body = engine.NewBody(map[string]jsontext.Value{c.body: []byte("1")})
			}
			got, err := b.v.Reach(t.Context(), b.v.Begin(), req, id)
			if c.kind == 0 && (err != nil || got != ns[c.to]) {
				t.Errorf("reached %+v, %v", got, err)
			}
			if c.kind != 0 && (!errs.Is(err, c.kind) || got != (engine.Namespace{})) {
				t.Errorf("reached %+v, %v; want %v", got, err, c.kind)
			}
		})
	}
}

// A token is of use in its own namespace and below, until that is deleted.
func TestUsable(t *testing.T) {
	b := newBench(t, nil)
	ns := b.namespaces("a/", "a/b/", "ab/")
	for _, c := range []struct {
		home, in string
		want     bool
	}{
		{"", "", true}, {"", "a/b/", true}, {"a/", "a/", true}, {"a/", "a/b/", true},
		{"a/", "", false}, {"a/b/", "a/", false}, {"a/", "ab/", false},
	} {
		e := &token.Entry{Namespace: namespace.Key(ns[c.home])}
		if got := b.v.Usable(e, ns[c.in]); got != c.want {
			t.Errorf("a token of %q in %q: %v", c.home, c.in, got)
		}
	}
	lost := &token.Entry{Namespace: "gone", Policies: []string{"p"}}
	if _, ok := b.v.Home(lost); ok || b.v.Usable(lost, namespace.Root) {
		t.Error("a token of a deleted namespace is of use")
	}
	if s := b.v.SubjectWith(lost, nil); s.Names != nil {
		t.Errorf("a token of a deleted namespace has policies: %v", s.Names)
	}
}
