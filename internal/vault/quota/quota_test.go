package quota

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

func TestFits(t *testing.T) {
	login := Target{Mount: "auth/k8s/", Path: "auth/k8s/login", Role: "web"}
	team := Target{Namespace: "team/dev/", Mount: "db/", Path: "db/creds/app"}
	for _, c := range []struct {
		rule Rule
		t    Target
		want int
	}{
		{Rule{}, login, fitsAll}, {Rule{}, team, fitsAll}, {Rule{}, Target{Path: "x"}, fitsAll},
		{Rule{Path: "auth/k8s/"}, login, fitsMount}, {Rule{Path: "auth/k8s/"}, team, fitsNot},
		{Rule{Path: "auth/k8s/", Role: "web"}, login, fitsRole}, {Rule{Path: "auth/k8s/", Role: "job"}, login, fitsNot},
		{Rule{Path: "auth/k8s/login"}, login, fitsPath}, {Rule{Path: "auth/k8s/lo*"}, login, fitsGlob},
		{Rule{Path: "team/"}, team, fitsNot}, {Rule{Path: "team/", Inheritable: true}, team, fitsNamespace},
		{Rule{Path: "team/dev/"}, team, fitsNamespace}, {Rule{Path: "team/dev/db/"}, team, fitsMount},
		{Rule{Path: "db/"}, team, fitsNot}, {Rule{Path: "tea", Inheritable: true}, team, fitsNot},
		{Rule{Path: "x*"}, Target{Path: "xyz"}, fitsNot}, // below no mount
	} {
		if got := c.rule.fits(&c.t); got != c.want {
			t.Errorf("%+v for %+v: %d, want %d", c.rule, c.t, got, c.want)
		}
	}
}

func TestLimiter(t *testing.T) {
	at := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	l := newLimiter(Rule{Name: "q", Rate: 1.5, Interval: time.Second})
	for i, c := range []struct {
		addr    netip.Addr
		at      time.Duration
		refused bool
	}{
		{a, 0, false}, {a, 0, false}, {a, 0, true}, {b, 0, false}, {a, 999 * time.Millisecond, true}, {a, time.Second, false},
		{a, -time.Hour, false}, // the clock went back: nobody is locked out
	} {
		if v := l.take(c.addr, at.Add(c.at)); v.Refused != c.refused || v.Limit != 2 {
			t.Errorf("%d: %+v", i, v)
		}
	}
	l = newLimiter(Rule{Rate: 1, Interval: time.Second, Block: time.Minute})
	l.take(a, at)
	for _, d := range []time.Duration{0, 30 * time.Second, 59 * time.Second} {
		if v := l.take(a, at.Add(d)); !v.Refused || v.Retry != time.Minute-d {
			t.Errorf("blocked at %v: %+v", d, v)
		}
	}
	if v := l.take(a, at.Add(time.Minute)); v.Refused {
		t.Errorf("%+v", v)
	}
	// One host has 2^64 addresses of IPv6 and one allowance.
	l = newLimiter(Rule{Rate: 1, Interval: time.Second})
	l.take(netip.MustParseAddr("2001:db8::1"), at)
	if v := l.take(netip.MustParseAddr("2001:db8::2"), at); !v.Refused {
		t.Error("another address of the same /64 is another client")
	}
}

// A flood of addresses takes bounded memory, and locks out none for good.
func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(Rule{Rate: 1, Interval: time.Minute})
	at := time.Unix(1000, 0)
	for i := range 200_000 {
		l.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), at)
	}
	n := 0
	for i := range l.shards {
		n += len(l.shards[i].windows)
	}
	if n > shards*maxClients {
		t.Errorf("%d windows", n)
	}
	if v := l.take(netip.MustParseAddr("192.0.2.1"), at.Add(2*time.Minute)); v.Refused {
		t.Error("a new client is refused after the flood")
	}
}

func put(t *testing.T, s store.Store, rules ...Rule) {
	t.Helper()
	tx := store.Begin(s)
	for _, r := range rules {
		if err := Put(tx, &r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheMostSpecialRuleHolds(t *testing.T) {
	s := mem.New(mem.Config{})
	defer s.Close()
	b := NewBook(Config{Now: time.Now})
	put(t, s, Rule{Kind: RateLimit, Name: "all", Rate: 1, Interval: time.Hour}, Rule{Kind: RateLimit, Name: "db", Path: "db/", Rate: 3, Interval: time.Hour})
	if err := b.Load(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	addr, at := netip.MustParseAddr("192.0.2.1"), time.Now()
	for i, path := range []string{"db/x", "kv/x", "db/x", "db/y", "db/x", "kv/x"} {
		_, err := b.Admit(&Target{Mount: path[:3], Path: path}, addr, at)
		if (err != nil) != (i >= 4) || err != nil && !errs.Is(err, errs.Exhausted) {
			t.Errorf("%d %s: %v", i, path, err)
		}
	}
	// What did not change keeps its count.
	put(t, s, Rule{Kind: RateLimit, Name: "db", Path: "db/", Rate: 4, Interval: time.Hour})
	if err := b.Load(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admit(&Target{Mount: "kv/", Path: "kv/x"}, addr, at); err == nil {
		t.Error("a rule that stayed forgot what it counted")
	}
}

func TestCounts(t *testing.T) {
	s := mem.New(mem.Config{})
	defer s.Close()
	live, now := 2, time.Unix(1000, 0)
	b := NewBook(Config{
		Now: func() time.Time { return now },
		Go:  func(f func(context.Context)) { f(t.Context()) },
		Count: func(context.Context, func(ns, mount string) bool, func(*Target) bool) (int, int, error) {
			return live, live, nil
		},
	})
	put(t, s, Rule{Kind: LeaseCount, Name: "q", Path: "db/", MaxLeases: 3})
	if err := b.Load(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	target := &Target{Mount: "db/", Path: "db/creds/x"}
	if err := b.Lease(t.Context(), target); err != nil {
		t.Error(err)
	}
	b.Made(target)
	live++
	now = now.Add(2 * time.Second)
	if err := b.Lease(t.Context(), target); !errs.Is(err, errs.Exhausted) {
		t.Errorf("over the quota: %v", err)
	}
	live-- // one ended, and nobody told
	now = now.Add(2 * time.Second)
	if err := b.Lease(t.Context(), target); err != nil {
		t.Errorf("refused by a count that is off: %v", err)
	}
	b.Ended(target)
	b.Ended(target) // told twice
	if n, ok := b.Usage("q"); n != 0 || !ok {
		t.Errorf("%d, %v", n, ok)
	}
	now = now.Add(11 * time.Minute)
	if err := b.Lease(t.Context(), target); err != nil {
		t.Error(err)
	}
	if n, _ := b.Usage("q"); n != 2 {
		t.Errorf("counted anew: %d", n)
	}
}

func FuzzRule(f *testing.F) {
	f.Add("q", []byte(`{"path":"db/","rate":1,"interval":1000000000}`))
	f.Add("", []byte(`{`))
	f.Add("q", []byte(`{"path":"**","rate":1e400,"max_leases":-1}`))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		for _, kind := range []Kind{RateLimit, LeaseCount} {
			r, err := decodeRule(kind, name, b)
			if err != nil {
				if !errs.Is(err, errs.Internal) {
					t.Errorf("kind of %v", err)
				}
				continue
			}
			again, err := decodeRule(kind, name, r.encode())
			if err != nil || *again != *r {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
			r.fits(&Target{Namespace: "a/", Mount: "b/", Path: "b/c"})
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	in := &rules{}
	for i := range 20 {
		in.limiters = append(in.limiters, newLimiter(Rule{Name: fmt.Sprint(i), Path: fmt.Sprintf("m%d/", i), Rate: 1e9, Interval: time.Second}))
	}
	book := NewBook(Config{Now: time.Now})
	book.rules.Store(in)
	t, addr, at := &Target{Mount: "m19/", Path: "m19/x"}, netip.MustParseAddr("192.0.2.1"), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := book.Admit(t, addr, at); err != nil {
			b.Fatal(err)
		}
	}
}

// A rule covers a mount exactly if it can fit something of it.
func TestCovers(t *testing.T) {
	type at struct{ ns, mount string }
	mounts := []at{{"", "db/"}, {"", "auth/k8s/"}, {"team/", "db/"}, {"team/dev/", "db/"}, {"teams/", "db/"}}
	for _, c := range []struct {
		rule Rule
		want []at
	}{
		{Rule{}, mounts},
		{Rule{Path: "db/"}, mounts[:1]},
		{Rule{Path: "db/creds/app"}, mounts[:1]},
		{Rule{Path: "db/creds/*", Role: "app"}, mounts[:1]},
		{Rule{Path: "team/"}, mounts[2:3]},
		{Rule{Path: "team/", Inheritable: true}, mounts[2:4]},
		{Rule{Path: "team/db/creds/x"}, mounts[2:3]},
		{Rule{Path: "tea*"}, mounts[2:]},
		{Rule{Path: "nothing/"}, nil},
	} {
		var got []at
		for _, m := range mounts {
			if c.rule.covers(m.ns, m.mount) {
				got = append(got, m)
			}
			for _, path := range []string{"creds/app", "creds/other", "x"} {
				target := &Target{Namespace: m.ns, Mount: m.mount, Path: m.mount + path, Role: "app"}
				if c.rule.fits(target) != fitsNot && !c.rule.covers(m.ns, m.mount) {
					t.Errorf("%+v fits %+v and does not cover its mount", c.rule, target)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v covers %v, want %v", c.rule, got, c.want)
		}
	}
}

// While a request waits nobody looks at more leases than are soon looked at,
// however few the quota allows.
func TestManyLeasesAreCountedBehind(t *testing.T) {
	s := mem.New(mem.Config{})
	defer s.Close()
	now, counts, looked := time.Unix(1000, 0), 0, cheap+1
	b := NewBook(Config{
		Now: func() time.Time { return now },
		Go:  func(f func(context.Context)) { f(t.Context()) },
		Count: func(_ context.Context, covers func(ns, mount string) bool, _ func(*Target) bool) (int, int, error) {
			if !covers("", "db/") || covers("", "pki/") {
				t.Error("covers")
			}
			counts++
			return 1, looked, nil
		},
	})
	put(t, s, Rule{Kind: LeaseCount, Name: "q", Path: "db/", Role: "app", MaxLeases: 1})
	if err := b.Load(t.Context(), s); err != nil || counts != 1 {
		t.Fatal(err, counts)
	}
	target := &Target{Mount: "db/", Path: "db/creds/app", Role: "app"}
	for range 3 {
		now = now.Add(2 * time.Second)
		if err := b.Lease(t.Context(), target); !errs.Is(err, errs.Exhausted) {
			t.Error(err)
		}
	}
	if counts != 1 {
		t.Errorf("counted %d times while requests waited", counts)
	}
	now, looked = now.Add(11*time.Minute), cheap
	for range 3 {
		now = now.Add(2 * time.Second)
		if err := b.Lease(t.Context(), target); !errs.Is(err, errs.Exhausted) {
			t.Error(err)
		}
	}
	if counts < 4 { // one in the background, then before each refusal
		t.Errorf("few leases were counted %d times", counts)
	}
}

// Rules go where what they hold for goes, and end with it.
func TestFollow(t *testing.T) {
	for to, want := range map[string]map[string]string{
		"":     {"all": "", "other": "teams/", "root": "db/", "glob": "te*"},
		"new/": {"all": "", "other": "teams/", "root": "db/", "glob": "te*", "ns": "new/", "mount": "new/db/", "path": "new/db/creds/*"},
	} {
		s := mem.New(mem.Config{})
		defer s.Close()
		for name, path := range map[string]string{"all": "", "other": "teams/", "root": "db/", "glob": "te*", "ns": "team/", "mount": "team/db/", "path": "team/db/creds/*"} {
			put(t, s, Rule{Kind: RateLimit, Name: name, Path: path, Rate: 1, Interval: time.Second})
			put(t, s, Rule{Kind: LeaseCount, Name: name, Path: path, MaxLeases: 1})
		}
		tx := store.Begin(s)
		if err := Follow(t.Context(), s, tx, "team/", to); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []Kind{RateLimit, LeaseCount} {
			got := map[string]string{}
			names, err := List(t.Context(), s, kind)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				r, err := Get(t.Context(), s, kind, name)
				if err != nil {
					t.Fatal(err)
				}
				got[name] = r.Path
			}
			if !maps.Equal(got, want) {
				t.Errorf("to %q: %v, want %v", to, got, want)
			}
		}
	}
}

// A rule that is made while its namespace goes makes one of both run again.
func TestFollowMissesNoRule(t *testing.T) {
	s := mem.New(mem.Config{})
	defer s.Close()
	going, making := store.Begin(s), store.Begin(s)
	if err := Follow(t.Context(), s, going, "team/", ""); err != nil {
		t.Fatal(err)
	}
	going.Put("namespace/gone", []byte{1})
	if err := Put(making, &Rule{Kind: LeaseCount, Name: "q", Path: "team/", MaxLeases: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := making.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := going.Commit(t.Context()); !errs.Is(err, errs.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

// However many rules there are for other things, a mount can be removed.
func TestFollowAmongManyRules(t *testing.T) {
	s := mem.New(mem.Config{})
	defer s.Close()
	for i := range store.MaxChanges + 1 {
		put(t, s, Rule{Kind: LeaseCount, Name: "q" + strconv.Itoa(i), Path: "other/", MaxLeases: 1})
	}
	put(t, s, Rule{Kind: LeaseCount, Name: "ours", Path: "team/", MaxLeases: 1})
	tx := store.Begin(s)
	if err := Follow(t.Context(), s, tx, "team/", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := Get(t.Context(), s, LeaseCount, "ours"); err != nil || r != nil {
		t.Errorf("%+v, %v", r, err)
	}
}
