package identity

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Facts §5.10 (#8761, #5597, #23793): entities of ServiceAccounts that nobody
// uses any more do not leak.
func TestCollected(t *testing.T) {
	w := newWorld(t)
	sa := func(uid string) Login { return Login{Accessor: k8s, Name: uid, Ephemeral: true} }
	idle, _ := w.login(sa("idle"))
	busy, _ := w.login(sa("busy"))
	precious, _ := w.login(sa("precious"))
	grouped, _ := w.login(sa("grouped"))
	lasting, _ := w.login(Login{Accessor: k8s, Name: "by-name"})
	w.edit(func(ctx context.Context, x Edit) error {
		e := w.entity(precious.EntityID).Clone()
		e.Metadata = map[string]string{"team": "red"}
		return x.PutEntity(ctx, w.entity(precious.EntityID), e)
	})
	w.group("g", nil, grouped.EntityID)
	for day := range 40 {
		w.now = w.now.Add(24 * hour)
		w.login(sa("busy"))
		w.sweepDue()
		if there := w.entity(idle.EntityID) != nil; there != (day < 30) {
			t.Fatalf("day %d: there %v", day, there)
		}
	}
	for name, s := range map[string]*Session{"busy": busy, "precious": precious, "grouped": grouped, "by-name": lasting} {
		if w.entity(s.EntityID) == nil {
			t.Errorf("%s was collected", name)
		}
	}
	if again, _ := w.login(sa("idle")); again.EntityID == idle.EntityID {
		t.Error("a collected entity came back")
	}
}

// Tokens that live long, or are renewed, keep their entity.
func TestNotCollectedBeforeTheLastTokenEnds(t *testing.T) {
	w := newWorld(t)
	var s *Session
	w.edit(func(ctx context.Context, x Edit) (err error) {
		if s, err = w.m.Login(ctx, x.tx, ns, Login{Accessor: k8s, Name: "uid", Ephemeral: true}); err != nil {
			return err
		}
		return s.Finish(ctx, w.now.Add(100*24*hour))
	})
	for range 129 {
		w.now = w.now.Add(24 * hour)
		w.sweepDue()
	}
	if w.entity(s.EntityID) == nil {
		t.Fatal("collected before the token ended and the retention was over")
	}
	w.now = w.now.Add(10 * 24 * hour)
	w.sweepDue()
	if w.entity(s.EntityID) != nil {
		t.Error("not collected")
	}
}

func TestRetention(t *testing.T) {
	w := newWorld(t)
	retain := func(d time.Duration) {
		w.edit(func(_ context.Context, x Edit) error { return x.PutConfig(Config{Retention: int64(d / time.Second)}) })
	}
	retain(0)
	s, _ := w.login(Login{Accessor: k8s, Name: "uid", Ephemeral: true})
	for range 60 {
		w.now = w.now.Add(10 * 24 * hour)
		w.sweepDue()
	}
	if w.entity(s.EntityID) == nil {
		t.Fatal("collected although retention is for ever")
	}
	retain(hour) // shortened: noticed within a week
	w.now = w.now.Add(7 * 24 * hour)
	w.sweepDue()
	if w.entity(s.EntityID) != nil {
		t.Error("a retention that was shortened is not noticed")
	}
	if left := w.keys("lease/"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// The aliases of a mount that is gone go, in commits of bounded size, and with
// them the entities that only it knew.
func TestSweepOfMounts(t *testing.T) {
	w := newWorld(t)
	kept := w.person("kept", "p")
	w.edit(func(ctx context.Context, x Edit) error {
		_, _, err := x.AddAlias(ctx, kept, Alias{Accessor: "gone", Name: "kept"})
		return err
	})
	for i := range 3*sweepBatch + 1 {
		w.login(Login{Accessor: "gone", Name: fmt.Sprint("u", i), Ephemeral: true, Origin: fmt.Sprint("o", i)})
	}
	stays, _ := w.login(Login{Accessor: k8s, Name: "u1"})
	g := w.group("g", func(g *Group) { g.Type = Outside })
	w.edit(func(ctx context.Context, x Edit) error {
		_, err := x.SetGroupAlias(ctx, g, &Alias{Accessor: "gone", Name: "g"})
		return err
	})
	w.sweep(k8s)
	if e := w.entity(kept.ID); e == nil || len(e.Aliases) != 0 {
		t.Errorf("%+v", e)
	}
	if w.entity(stays.EntityID) == nil || len(w.keys(Prefix+"root/entity/")) != 2 {
		t.Errorf("left: %d entities", len(w.keys(Prefix+"root/entity/")))
	}
	for _, folder := range []string{"alias/gone/", "origin/", "group-alias/", "group-alias-id/"} {
		if left := w.keys(Prefix + "root/" + folder); len(left) != 0 {
			t.Errorf("%s: %v", folder, left)
		}
	}
	if n := len(w.keys(Prefix + "root/alias-id/")); n != 1 {
		t.Errorf("%d alias IDs", n)
	}
}

func TestSweepOfGroups(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 2*sweepBatch + 3 {
		ids = append(ids, w.person(fmt.Sprint("p", i)).ID)
	}
	g := w.group("g", func(g *Group) { g.Policies = []string{"p"} }, ids...)
	if s := w.subject(ids[0]); len(s.Policies) != 1 {
		t.Fatalf("%+v", s)
	}
	w.edit(func(ctx context.Context, x Edit) error { return x.DeleteGroup(ctx, w.group("g", nil)) })
	if s := w.subject(ids[0]); len(s.Policies) != 0 || len(s.Identity.Groups) != 0 {
		t.Error("a deleted group grants")
	}
	w.sweep()
	for _, id := range ids {
		if e := w.entity(id); len(e.Groups) != 0 {
			t.Fatalf("%v", e.Groups)
		}
	}
	if left := append(w.keys(Prefix+"root/member/"), w.keys(Prefix+"root/sweep/")...); len(left) != 0 {
		t.Errorf("left of %s: %v", g.ID, left)
	}
}
