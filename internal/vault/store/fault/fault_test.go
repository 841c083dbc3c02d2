package fault_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
	"github.com/strongkeep/strongkeep/internal/vault/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return fault.New(mem.New(mem.Config{})) }, storetest.Options{
		Forgetful: func(*testing.T) store.Store {
			return fault.New(mem.New(mem.Config{History: feed.Config{Events: 64}}))
		},
	})
}

var errBroken = errors.New("broken")

func open(t *testing.T) *fault.Store {
	t.Helper()
	s := fault.New(mem.New(mem.Config{}))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// calls makes each call once on a key or folder below f/ and says which failed.
func calls(t *testing.T, s store.Store) (failed string) {
	ctx := t.Context()
	note := func(name string, err error) {
		if errors.Is(err, errBroken) {
			failed += name
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.Get(ctx, "f/a")
	note("G", err)
	_, err = s.List(ctx, "f/", "", 0)
	note("L", err)
	_, err = s.Apply(ctx, store.Put("f/a", nil), store.Put("g/b", nil))
	note("A", err)
	w, err := s.Watch(ctx, "f/", 0)
	note("W", err)
	if err == nil {
		w.Close()
	}
	return failed
}

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		rules []fault.Rule
		want  []string // failed calls, round by round
	}{
		"none":             {nil, []string{"", ""}},
		"any":              {[]fault.Rule{{Err: errBroken}}, []string{"GLAW", "GLAW"}},
		"get":              {[]fault.Rule{{Op: fault.Get, Err: errBroken}}, []string{"G", "G"}},
		"list":             {[]fault.Rule{{Op: fault.List, Err: errBroken}}, []string{"L"}},
		"watch":            {[]fault.Rule{{Op: fault.Watch, Err: errBroken}}, []string{"W"}},
		"once":             {[]fault.Rule{{Op: fault.Apply, Times: 1, Err: errBroken}}, []string{"A", "", ""}},
		"the second":       {[]fault.Rule{{Op: fault.Apply, Skip: 1, Times: 1, Err: errBroken}}, []string{"", "A", ""}},
		"from the third":   {[]fault.Rule{{Op: fault.Apply, Skip: 2, Err: errBroken}}, []string{"", "", "A", "A"}},
		"prefix":           {[]fault.Rule{{Prefix: "f/a", Err: errBroken}}, []string{"GA"}},
		"prefix of second": {[]fault.Rule{{Prefix: "g/", Err: errBroken}}, []string{"A"}},
		"prefix of none":   {[]fault.Rule{{Prefix: "z", Err: errBroken}}, []string{""}},
		"first rule wins":  {[]fault.Rule{{Op: fault.Get}, {Err: errBroken}}, []string{"LAW"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for _, r := range c.rules {
				s.Add(r)
			}
			for i, want := range c.want {
				if got := calls(t, s); got != want {
					t.Errorf("round %d: %q failed, want %q", i, got, want)
				}
			}
		})
	}
}

func TestRemoveAndClear(t *testing.T) {
	s := open(t)
	remove := s.Add(fault.Rule{Op: fault.Get, Err: errBroken})
	s.Add(fault.Rule{Op: fault.List, Err: errBroken})
	remove()
	remove()
	if got := calls(t, s); got != "L" {
		t.Errorf("%q failed after a rule was removed, want L", got)
	}
	s.Clear()
	if got := calls(t, s); got != "" {
		t.Errorf("%q failed after Clear", got)
	}
}

func TestAfterMakesTheCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := open(t)
		remove := s.Add(fault.Rule{Op: fault.Apply, After: after, Err: errs.New(errs.Unavailable, "perhaps")})
		if _, err := s.Apply(t.Context(), store.Put("a", nil)); !errs.Is(err, errs.Unavailable) {
			t.Errorf("Apply: %v", err)
		}
		remove()
		if e, err := s.Get(t.Context(), "a"); err != nil || e.Exists() != after {
			t.Errorf("after = %v: exists %v, %v", after, e.Exists(), err)
		}
	}
}

func TestDelayAndHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		hold := make(chan struct{})
		s.Add(fault.Rule{Op: fault.Get, Delay: time.Minute})
		s.Add(fault.Rule{Op: fault.List, Hold: hold})
		start := time.Now()
		if _, err := s.Get(t.Context(), "a"); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Get: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Get(ctx, "a"); !errs.Is(err, errs.Unavailable) {
			t.Errorf("Get with a short deadline: %v", err)
		}
		if _, err := s.List(ctx, "", "", 0); !errs.Is(err, errs.Unavailable) {
			t.Errorf("a held List with an ended deadline: %v", err)
		}
		time.AfterFunc(time.Hour, func() { close(hold) })
		if _, err := s.List(t.Context(), "", "", 0); err != nil {
			t.Errorf("a held List: %v", err)
		}
	})
}

func TestWatchesAreLostMutedAndPulsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		w, err := s.Watch(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		s.Mute()
		for range 3 {
			if _, err := s.Apply(t.Context(), store.Put("a", nil)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(w.Events()) != 0 {
			t.Error("a muted watch delivered")
		}
		s.Unmute()
		for want := store.Revision(1); want <= 3; want++ {
			if e := <-w.Events(); e.Revision != want {
				t.Errorf("event %d, want %d", e.Revision, want)
			}
		}
		at := time.Now()
		s.Pulse(3, at)
		if e := <-w.Events(); e.Revision != 3 || len(e.Changes) != 0 || !e.At.Equal(at) {
			t.Errorf("a pulse is %+v", e)
		}
		s.LoseWatches(errBroken)
		if _, open := <-w.Events(); open || !errors.Is(w.Err(), errBroken) {
			t.Errorf("after LoseWatches: open %v, %v", open, w.Err())
		}
	})
}
