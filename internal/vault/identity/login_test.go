package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Facts §4.2.1: an identity that did not change costs a login no write, but one a day.
func TestUnchangedLoginWritesNothing(t *testing.T) {
	w := newWorld(t)
	l := Login{Accessor: k8s, Name: "uid-1", Metadata: map[string]string{"a": "b"}, Ephemeral: true, Origin: "web/app"}
	first, n := w.login(l)
	if n != 6 { // entity, name, alias, its ID, origin, due time
		t.Errorf("a first login writes %d keys", n)
	}
	if _, n := w.login(l); n != 0 {
		t.Errorf("a second login writes %d keys", n)
	}
	w.now = w.now.Add(24 * hour)
	if _, n := w.login(l); n != 1 {
		t.Errorf("a login on the next day writes %d keys", n)
	}
	if _, n := w.login(l); n != 0 {
		t.Errorf("another on that day writes %d keys", n)
	}
	l.Metadata = map[string]string{"a": "c"}
	again, n := w.login(l)
	if n != 1 || again.EntityID != first.EntityID || w.entity(first.EntityID).Aliases[0].Metadata["a"] != "c" {
		t.Errorf("new metadata: %d keys", n)
	}
}

func TestLoginRefuses(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", " a", "a ", "a\n", "\xff", "a\x00b", strings.Repeat("x", record.MaxAliasName+1)} {
		_, err := w.try(func(tx *store.Txn) error {
			_, err := w.m.Login(context.Background(), tx, ns, Login{Accessor: k8s, Name: name})
			return err
		})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// Capitals do not make another identity; letters that only look alike do not
// make the same one.
func TestAliasNames(t *testing.T) {
	w := newWorld(t)
	a, _ := w.login(Login{Accessor: k8s, Name: "Kim"})
	if b, _ := w.login(Login{Accessor: k8s, Name: "kIM"}); b.EntityID != a.EntityID {
		t.Error("capitals made a second entity")
	}
	if b, _ := w.login(Login{Accessor: k8s, Name: "\u212aim"}); b.EntityID == a.EntityID { // the Kelvin sign
		t.Error("a sign that looks like K took over the entity of kim")
	}
	if b, _ := w.login(Login{Accessor: "other", Name: "kim"}); b.EntityID == a.EntityID {
		t.Error("the same name on another mount is another identity")
	}
}

// Logins that leave nothing behind use an entity that is there and make none.
func TestKnownOnly(t *testing.T) {
	w := newWorld(t)
	l := Login{Accessor: k8s, Name: "uid-1", KnownOnly: true}
	n := w.must(func(tx *store.Txn) error {
		s, err := w.m.Login(context.Background(), tx, ns, l)
		if s != nil || s.ID() != "" || s.Names([]string{"a"})[0] != "a" || s.Own() != nil {
			t.Errorf("%+v", s)
		}
		if err != nil {
			return err
		}
		return s.Finish(context.Background(), w.now)
	})
	if n != 0 {
		t.Errorf("wrote %d keys", n)
	}
	l.KnownOnly = false
	made, _ := w.login(l)
	w.now = w.now.Add(48 * hour)
	l.KnownOnly, l.Metadata = true, map[string]string{"new": "x"}
	if s, n := w.login(l); n != 0 || s.EntityID != made.EntityID {
		t.Errorf("%d keys, entity %s", n, s.EntityID)
	}
}

// The external groups of an entity are those its method names at login and renewal.
func TestExternalGroups(t *testing.T) {
	w := newWorld(t)
	ids := map[string]string{}
	for _, name := range []string{"dev", "ops", "all"} {
		g := w.group("g-"+name, func(g *Group) { g.Type, g.Policies = Outside, []string{"p-" + name} })
		w.edit(func(ctx context.Context, x Edit) error {
			_, err := x.SetGroupAlias(ctx, g, &Alias{Accessor: k8s, Name: name})
			return err
		})
		ids[name] = g.ID
	}
	members := func(group string) int {
		m, err := In(w.store, ns).Members(context.Background(), ids[group], "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(m)
	}
	s, _ := w.login(Login{Accessor: k8s, Name: "ann", Groups: []string{"DEV", "all", "unknown"}})
	if !slices.Equal(s.Policies, []string{"p-all", "p-dev"}) || members("dev") != 1 || members("ops") != 0 {
		t.Errorf("%v", s.Policies)
	}
	if _, n := w.login(Login{Accessor: k8s, Name: "ann", Groups: []string{"all", "dev"}}); n != 0 {
		t.Errorf("the same groups again: %d keys", n)
	}
	many := []string{"ops"}
	for i := range 1000 {
		many = append(many, fmt.Sprint("other-", i))
	}
	s, _ = w.login(Login{Accessor: k8s, Name: "ann", Groups: many})
	if !slices.Equal(s.Policies, []string{"p-ops"}) || members("dev") != 0 || members("all") != 0 || members("ops") != 1 {
		t.Errorf("%v", s.Policies)
	}
	renew := func(groups []string) *Session {
		var r *Session
		w.must(func(tx *store.Txn) (err error) {
			r, err = w.m.Renewal(context.Background(), tx, ns, Renewed{EntityID: s.EntityID, Accessor: k8s, Groups: groups})
			if err != nil {
				return err
			}
			return r.Finish(context.Background(), w.now.Add(hour))
		})
		return r
	}
	if r := renew(nil); !slices.Equal(r.Policies, []string{"p-ops"}) {
		t.Errorf("a method that says nothing at renewal changed the groups: %v", r.Policies)
	}
	if r := renew([]string{"dev"}); !slices.Equal(r.Policies, []string{"p-dev"}) || members("ops") != 0 {
		t.Errorf("%v", r.Policies)
	}
	if s, _ := w.login(Login{Accessor: k8s, Name: "ann"}); len(s.Policies) != 0 {
		t.Errorf("%v", s.Policies)
	}
}

// A ServiceAccount that was made anew ends the identity of the one before.
func TestSuperseded(t *testing.T) {
	w := newWorld(t)
	l := func(uid string) Login { return Login{Accessor: k8s, Name: uid, Ephemeral: true, Origin: "web/app"} }
	old, _ := w.login(l("uid-1"))
	other, _ := w.login(Login{Accessor: k8s, Name: "uid-x", Ephemeral: true, Origin: "web/other"})
	next, _ := w.login(l("uid-2"))
	if w.entity(old.EntityID) != nil || w.subject(old.EntityID) != nil {
		t.Error("the entity of the ServiceAccount before is still there")
	}
	if next.EntityID == old.EntityID || w.entity(other.EntityID) == nil {
		t.Error("another entity was touched")
	}
	// What a person gave is not lost, and not handed on.
	w.edit(func(ctx context.Context, x Edit) error {
		e := w.entity(next.EntityID).Clone()
		e.Policies, e.Automatic = []string{"precious"}, false
		return x.PutEntity(ctx, w.entity(next.EntityID), e)
	})
	third, _ := w.login(l("uid-3"))
	if e := w.entity(next.EntityID); e == nil || len(e.Aliases) != 0 || !slices.Equal(e.Policies, []string{"precious"}) {
		t.Errorf("%+v", e)
	}
	if len(third.Policies) != 0 {
		t.Error("policies of the account before were handed on")
	}
	if left := len(w.keys(Prefix + "root/origin/")); left != 2 {
		t.Errorf("%d origins", left)
	}
}

// Two first logins at once: one commits, the other conflicts and finds it.
func TestConcurrentLogins(t *testing.T) {
	w := newWorld(t)
	ctx, l := context.Background(), Login{Accessor: k8s, Name: "ann"}
	txs := [2]*store.Txn{store.Begin(w.store), store.Begin(w.store)}
	var errors [2]error
	for _, tx := range txs {
		s, err := w.m.Login(ctx, tx, ns, l)
		if err == nil {
			err = s.Finish(ctx, w.now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, tx := range txs {
		_, errors[i] = tx.Commit(ctx)
	}
	if errors[0] != nil || !errs.Is(errors[1], errs.Conflict) {
		t.Errorf("%v", errors)
	}
}
