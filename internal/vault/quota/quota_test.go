package quota

import (
	"context"
	"fmt"
	"net/netip"
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
		Now:   func() time.Time { return now },
		Go:    func(f func(context.Context)) { f(t.Context()) },
		Count: func(context.Context, func(*Target) bool) (int, error) { return live, nil },
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
