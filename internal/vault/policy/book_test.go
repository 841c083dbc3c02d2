package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// What the gate will pass in fits.
var (
	_ Reader = (*store.Txn)(nil)
	_ Writer = (*store.Txn)(nil)
	_ Reader = engine.Tx(nil)
	_ Writer = engine.Tx(nil)
	_ Reader = store.Store(nil)
	_ Params = (*engine.Body)(nil)
)

// shelf is a store in memory that counts reads and remembers what was decoded,
// as the cached decorator does.
type shelf struct {
	store.Store // nil: what is not written here must not be called
	mu          sync.Mutex
	revision    store.Revision
	entries     map[string]store.Entry
	reads       int
	fail        error
}

func newShelf() *shelf { return &shelf{entries: map[string]store.Entry{}} }

func (s *shelf) Get(_ context.Context, key string) (store.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if e, ok := s.entries[key]; ok {
		return e, s.fail
	}
	return store.Entry{Key: key}, s.fail
}

func (s *shelf) List(_ context.Context, folder, _ string, _ int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	for key := range s.entries {
		if rest, ok := strings.CutPrefix(key, folder); ok {
			if head, _, deeper := strings.Cut(rest, "/"); deeper {
				rest = head + "/"
			}
			names[rest] = true
		}
	}
	var list []string
	for name := range names { // in no order, as a store that hides names
		list = append(list, name)
	}
	return list, s.fail
}

func (s *shelf) Put(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	s.entries[key] = store.Entry{Key: key, Value: value, Revision: s.revision}.WithMemo(&store.Memo{})
}

func (s *shelf) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	delete(s.entries, key)
}

func allow(path string) string { return `path "` + path + `" { capabilities = ["read"] }` }

func may(acl *ACL, path string) bool { return acl.Decide(Query{Path: path, Want: Read}).Allowed }

func mustPut(t testing.TB, b *Book, tx Writer, name, text string) {
	t.Helper()
	if _, err := b.Put(tx, Namespace{}, name, text); err != nil {
		t.Fatal(err)
	}
}

func TestBookKeepsPolicies(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	text := "# mine\r\n" + allow("a")
	p, err := b.Put(s, Namespace{}, " Team/App ", text)
	if err != nil || p.Name() != "team/app" {
		t.Fatal(p, err)
	}
	mustPut(t, b, s, "team", allow("b"))
	mustPut(t, b, s, "zoo", allow("c"))
	got, err := b.Get(ctx, s, Namespace{}, "TEAM/app")
	if err != nil || got.Text() != text || got.Name() != "team/app" {
		t.Errorf("%v, %v", got, err)
	}
	names, err := b.List(ctx, s, Namespace{})
	if err != nil || fmt.Sprint(names) != "[team team/app zoo]" {
		t.Errorf("%v, %v", names, err)
	}
	if err := b.Delete(s, Namespace{}, "TEAM"); err != nil {
		t.Error(err)
	}
	if err := b.Delete(s, Namespace{}, "never-was"); err != nil {
		t.Error(err)
	}
	if _, err := b.Get(ctx, s, Namespace{}, "team"); !errs.Is(err, errs.NotExist) {
		t.Errorf("after Delete: %v", err)
	}
	for _, name := range []string{"root", "Response-Wrapping"} {
		if p, err := b.Get(ctx, s, Namespace{}, name); err != nil || p.Name() != strings.ToLower(name) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestBookRefuses(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	mustPut(t, b, s, "default", DefaultText)
	before := s.revision
	for name, err := range map[string]error{
		"put root":       second(b.Put(s, Namespace{}, "ROOT", allow("a"))),
		"put wrapping":   second(b.Put(s, Namespace{}, "response-wrapping", allow("a"))),
		"put bad text":   second(b.Put(s, Namespace{}, "a", "path")),
		"put bad name":   second(b.Put(s, Namespace{}, "a b", allow("a"))),
		"delete root":    b.Delete(s, Namespace{}, "Root"),
		"delete default": b.Delete(s, Namespace{}, "DEFAULT"),
		"delete wrap":    b.Delete(s, Namespace{}, "response-wrapping"),
		"get bad name":   second(b.Get(ctx, s, Namespace{}, "../x")),
		"root and more":  third(b.ACLFor(ctx, s, Subject{Names: []string{"default", " ROOT "}})),
	} {
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	if s.revision != before {
		t.Error("something refused was written")
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

func TestACLFor(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	mustPut(t, b, s, "a", allow("a"))
	mustPut(t, b, s, "b", allow("b"))
	one, missing, err := b.ACLFor(ctx, s, Subject{Names: []string{"a", "b", "gone"}})
	if err != nil || fmt.Sprint(missing) != "[gone]" || !may(one, "a") || !may(one, "b") || may(one, "c") {
		t.Fatalf("%v, %v", missing, err)
	}
	for _, names := range [][]string{{"gone", "b", "a"}, {"A", "b ", "gone", "a"}, {"a", "b", "gone"}} {
		again, missing, err := b.ACLFor(ctx, s, Subject{Names: names})
		if err != nil || again != one || fmt.Sprint(missing) != "[gone]" {
			t.Errorf("%v: compiled anew, or %v, %v", names, missing, err)
		}
	}
	if acl, missing, err := b.ACLFor(ctx, s, Subject{Names: []string{"not a name", "a"}}); err != nil || fmt.Sprint(missing) != "[not a name]" || !may(acl, "a") {
		t.Errorf("%v, %v", missing, err)
	}
	if acl, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"ROOT", "root"}}); err != nil || !acl.IsRoot() {
		t.Errorf("root: %v", err)
	}
	if acl, _, err := b.ACLFor(ctx, s, Subject{}); err != nil || acl.AnyUnder("") {
		t.Errorf("no names: %v", err)
	}
	if acl, missing, err := b.ACLFor(ctx, s, Subject{Names: []string{"response-wrapping"}}); err != nil || missing != nil || !may(acl, "cubbyhole/response") {
		t.Errorf("response-wrapping: %v, %v", missing, err)
	}
	// A stored "root" or "response-wrapping" would be somebody's forgery.
	s.Put("policy/response-wrapping", append([]byte{format}, allow("*")...))
	s.Put("policy/root", append([]byte{format}, allow("*")...))
	if acl, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"response-wrapping", "a"}}); err != nil || may(acl, "z") {
		t.Errorf("a stored response-wrapping is used: %v", err)
	}
}

// A change holds from the next call on.
func TestACLForFollowsChanges(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	names := []string{"a", "b"}
	acl := func() *ACL {
		t.Helper()
		acl, _, err := b.ACLFor(ctx, s, Subject{Names: names})
		if err != nil {
			t.Fatal(err)
		}
		return acl
	}
	if may(acl(), "x") {
		t.Error("missing policies grant something")
	}
	mustPut(t, b, s, "a", allow("x"))
	if !may(acl(), "x") {
		t.Error("a new policy is not seen")
	}
	mustPut(t, b, s, "b", `path "x" { capabilities = ["deny"] }`)
	if may(acl(), "x") {
		t.Error("a new deny is not seen")
	}
	if err := b.Delete(s, Namespace{}, "b"); err != nil {
		t.Fatal(err)
	}
	if !may(acl(), "x") {
		t.Error("a deletion is not seen")
	}
	mustPut(t, b, s, "a", allow("y"))
	if a := acl(); may(a, "x") || !may(a, "y") {
		t.Error("a change is not seen")
	}
}

// What a transaction wrote is seen by it, and by nobody else: all uncommitted
// entries have one revision, so none may be kept.
func TestACLForInTransaction(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	mustPut(t, b, s, "a", allow("old"))
	for _, path := range []string{"first", "second"} {
		tx := store.Begin(s)
		mustPut(t, b, tx, "a", allow(path))
		acl, _, err := b.ACLFor(ctx, tx, Subject{Names: []string{"a"}})
		if err != nil || !may(acl, path) || may(acl, "old") {
			t.Errorf("the transaction that wrote %q does not see it: %v", path, err)
		}
		outside, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"a"}})
		if err != nil || !may(outside, "old") || may(outside, path) {
			t.Errorf("outside, %q is seen before it was committed: %v", path, err)
		}
	}
}

func TestACLForFailsClosed(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	mustPut(t, b, s, "good", allow("x"))
	for name, value := range map[string]string{"empty": "", "format": "\x02" + allow("x"), "text": "\x01path"} {
		s.Put("policy/bad", []byte(value))
		acl, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"bad", "good"}})
		if acl != nil || !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), `"bad"`) {
			t.Errorf("%s: %v, %v; a damaged policy may have denied something", name, acl, err)
		}
		if _, err := b.Get(ctx, s, Namespace{}, "bad"); !errs.Is(err, errs.Internal) {
			t.Errorf("%s: Get: %v", name, err)
		}
	}
	mustPut(t, b, s, "bad", allow("y"))
	if acl, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"bad", "good"}}); err != nil || !may(acl, "y") {
		t.Errorf("after repair: %v", err)
	}
	s.fail = errs.New(errs.Sealed, "sealed")
	for what, err := range map[string]error{
		"hit":  third(b.ACLFor(ctx, s, Subject{Names: []string{"bad", "good"}})),
		"miss": third(b.ACLFor(ctx, s, Subject{Names: []string{"other"}})),
		"get":  second(b.Get(ctx, s, Namespace{}, "good")),
		"list": second(b.List(ctx, s, Namespace{})),
	} {
		if !errs.Is(err, errs.Sealed) || !errors.Is(err, s.fail) {
			t.Errorf("%s: %v, want the reader's error", what, err)
		}
	}
}

// The number of compiled ACLs is bounded, and the ones in use stay.
func TestBookIsBounded(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{ACLs: 8})
	mustPut(t, b, s, "hot", allow("hot"))
	hot, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"hot"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, _, err := b.ACLFor(ctx, s, Subject{Names: []string{fmt.Sprint("p", i)}}); err != nil {
			t.Fatal(err)
		}
		if again, _, _ := b.ACLFor(ctx, s, Subject{Names: []string{"hot"}}); again != hot {
			t.Fatalf("the ACL in use was dropped after %d others", i)
		}
	}
	kept := 0
	for i := range b.buckets {
		for j := range b.buckets[i] {
			if b.buckets[i][j].Load() != nil {
				kept++
			}
		}
	}
	if kept > 8 || kept < 4 {
		t.Errorf("%d ACLs are kept, the limit is 8", kept)
	}
}

// Readers race with a writer; every ACL must be one that was true at some time
// between the call and its return.
func TestACLForConcurrently(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{ACLs: 4})
	mustPut(t, b, s, "a", allow("v0"))
	const last = 200
	var done sync.WaitGroup
	for g := range 4 {
		done.Go(func() {
			seen := 0
			for i := 0; seen < last; i++ {
				acl, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"a"}})
				if err != nil {
					t.Error(err)
					return
				}
				at := seen
				for at <= last && !may(acl, fmt.Sprint("v", at)) {
					at++
				}
				if at > last {
					t.Errorf("goroutine %d: after version %d came an older one", g, seen)
					return
				}
				seen = at
				if _, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"a", fmt.Sprint("other", i%9)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for v := 1; v <= last; v++ {
		mustPut(t, b, s, "a", allow(fmt.Sprint("v", v)))
	}
	done.Wait()
}
