package kms_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var seed = redact.FromString("canary-seed-0123456789abcdef0123")

// run starts a plugin that ends with the test, and has looked at the store.
func run(t *testing.T, s keystore.Versioned) *kms.Plugin {
	t.Helper()
	p, err := kms.New(kms.Config{Name: "cluster", Key: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	start(t, p)
	return p
}

// start runs a plugin until the test ends, and returns when it has looked at the store.
func start(t *testing.T, p *kms.Plugin) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { p.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	synctest.Wait()
}

func status(t *testing.T, p *kms.Plugin) string {
	t.Helper()
	id, err := p.Status()
	if err != nil {
		t.Fatal("status:", err)
	}
	return id
}

func encrypt(t *testing.T, p *kms.Plugin) kms.Sealed {
	t.Helper()
	sealed, err := p.Encrypt(t.Context(), seed)
	if err != nil {
		t.Fatal("encrypting:", err)
	}
	return sealed
}

func opens(t *testing.T, p *kms.Plugin, sealed kms.Sealed) {
	t.Helper()
	if plain, err := p.Decrypt(t.Context(), sealed); err != nil || !plain.Equal(seed) {
		t.Errorf("decrypting: %v", err)
	}
}

// pass lets time go by, and what was due then come to its end.
func pass(d time.Duration) {
	time.Sleep(d) // in a bubble of synctest
	synctest.Wait()
}

func TestNodesTurnTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		one := run(t, s)
		pass(17 * time.Second) // their polls are out of step
		two := run(t, s)
		old := encrypt(t, one)
		if status(t, one) != status(t, two) || old.KeyID != status(t, one) {
			t.Fatal("two nodes have two key ids")
		}
		opens(t, two, old)
		made := time.Now()
		s.turn("2", made)
		for time.Since(made) < 3*time.Minute-time.Second {
			if status(t, one) != old.KeyID || status(t, two) != old.KeyID || encrypt(t, two).KeyID != old.KeyID {
				t.Fatalf("a version is active %v after it was made", time.Since(made))
			}
			pass(time.Second)
		}
		if a := one.About(); a.Waiting != "2" || !a.Due.Equal(made.Add(3*time.Minute)) {
			t.Errorf("it says that %q becomes active at %v", a.Waiting, a.Due)
		}
		pass(2 * time.Second)
		if status(t, one) == old.KeyID || status(t, one) != status(t, two) {
			t.Fatal("after the delay the nodes have not turned together")
		}
		fresh := encrypt(t, two)
		if fresh.KeyID != status(t, one) || string(fresh.Annotations[kms.Annotation]) != "2" {
			t.Errorf("Encrypt answers %q, %q", fresh.KeyID, fresh.Annotations)
		}
		opens(t, one, fresh)
		opens(t, one, old)
		// A node that starts now has the same key id at once, and so had one before.
		if status(t, run(t, s)) != fresh.KeyID {
			t.Error("a restart changes the key id")
		}
	})
}

// A node that starts between the making of a version and its turn waits as others do.
func TestRestartAmidATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		id := status(t, run(t, s))
		s.turn("2", time.Now())
		pass(time.Minute)
		if status(t, run(t, s)) != id {
			t.Error("a node that starts turns before the others")
		}
	})
}

// A store that does not say when: the delay counts from when the node saw it.
func TestStoreWithoutTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Time{})
		p := run(t, s)
		id := status(t, p)
		s.turn("2", time.Time{})
		pass(3 * time.Minute)
		if status(t, p) != id {
			t.Error("active before the delay after it was seen")
		}
		pass(31 * time.Second)
		if status(t, p) == id {
			t.Error("never active")
		}
	})
}

func TestStatusAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		before := s.count()
		for range 1000 {
			status(t, p)
		}
		if s.count() != before {
			t.Errorf("a thousand Status make %d calls", s.count()-before)
		}
	})
}

// A store that is away, or throttles, is asked no more for it, and for a while it is no
// fault; then it is, and when the store is back all is as before.
func TestStoreAway(t *testing.T) {
	for name, away := range map[string]error{"away": errAway, "throttles": errThrottled} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storeAway(t, away) })
		})
	}
}

func storeAway(t *testing.T, away error) {
	s := newStore(time.Now())
	p := run(t, s)
	sealed := encrypt(t, p)
	s.change(func() { s.away = away })
	before := s.count()
	pass(2 * time.Minute)
	if status(t, p) != sealed.KeyID {
		t.Error("ill before the time")
	}
	if n := s.count() - before; n > 4 {
		t.Errorf("it gets %d calls in two minutes", n)
	}
	if _, err := p.Encrypt(t.Context(), seed); !errs.Is(err, errs.KindOf(away)) {
		t.Errorf("encrypting: %v", err)
	}
	if _, err := p.Decrypt(t.Context(), sealed); !errs.Is(err, errs.KindOf(away)) {
		t.Errorf("decrypting: %v", err)
	}
	pass(31 * time.Second)
	if _, err := p.Status(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), away.Error()) {
		t.Errorf("for more than two minutes, and Status says %v", err)
	}
	s.change(func() { s.away = nil })
	pass(31 * time.Second)
	if status(t, p) != sealed.KeyID {
		t.Error("another key id when the store is back")
	}
	opens(t, p, sealed)
}

func TestStoreAwayAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		s.change(func() { s.away = errAway })
		p := run(t, s)
		if _, err := p.Status(); !errs.Is(err, errs.Unavailable) {
			t.Errorf("status: %v", err)
		}
		if _, err := p.Encrypt(t.Context(), seed); !errs.Is(err, errs.Unavailable) {
			t.Errorf("encrypting: %v", err)
		}
		if _, err := p.Decrypt(t.Context(), kms.Sealed{Ciphertext: []byte("1x"), Annotations: map[string][]byte{kms.Annotation: []byte("1")}}); !errs.Is(err, errs.Unavailable) {
			t.Errorf("decrypting: %v", err)
		}
		s.change(func() { s.away = nil })
		pass(3 * time.Second)
		status(t, p)
	})
}

// What is gone is not replaced by what is older, or another's.
func TestLost(t *testing.T) {
	for name, lose := range map[string]func(*store){
		"rolled back": func(s *store) { s.all = s.all[:1] },
		"another key": func(s *store) { s.lineage = "other" },
		"made anew":   func(s *store) { s.all = []keystore.Version{s.all[0], {ID: "2", Made: time.Now(), Wraps: true}} },
		"nothing wraps": func(s *store) {
			s.all = []keystore.Version{s.all[0], s.all[1]}
			s.all[0].Wraps, s.all[1].Wraps = false, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(time.Now())
				s.turn("2", time.Now())
				pass(time.Hour)
				p := run(t, s)
				sealed := encrypt(t, p)
				if string(sealed.Annotations[kms.Annotation]) != "2" {
					t.Fatal("version 2 is not active")
				}
				before := s.all
				s.change(func() { lose(s) })
				pass(31 * time.Second)
				if _, err := p.Status(); !errs.Is(err, errs.Conflict) {
					t.Errorf("status: %v", err)
				}
				if _, err := p.Encrypt(t.Context(), seed); !errs.Is(err, errs.Conflict) {
					t.Errorf("encrypting: %v", err)
				}
				s.change(func() { s.all, s.lineage = before, "lineage"; s.all[0].Wraps, s.all[1].Wraps = true, true })
				pass(31 * time.Second)
				if status(t, p) != sealed.KeyID {
					t.Error("another key id when all is well again")
				}
			})
		})
	}
}

// A version that the store says is made later than now, by its own clock, waits.
func TestVersionOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		id := status(t, p)
		s.turn("2", time.Now().Add(time.Hour))
		pass(63*time.Minute - time.Second)
		if status(t, p) != id {
			t.Error("a version of the future is active")
		}
		pass(time.Second)
		if status(t, p) == id {
			t.Error("when its time has come it is not")
		}
	})
}

// Each answer's key id is that of its ciphertext, also while the key turns.
func TestEncryptWhileTurning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		var all sync.WaitGroup
		seen := make([]kms.Sealed, 1000)
		for i := range seen {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond) // in a bubble of synctest
				sealed, err := p.Encrypt(t.Context(), seed)
				if err != nil {
					t.Error(err)
				}
				seen[i] = sealed
			})
		}
		pass(10 * time.Second)
		s.turn("2", time.Now())
		all.Wait()
		ids := map[string]string{}
		for _, sealed := range seen {
			version := string(sealed.Ciphertext[:1])
			if was := ids[version]; was != "" && was != sealed.KeyID {
				t.Fatal("one version has two key ids")
			}
			ids[version] = sealed.KeyID
			opens(t, p, sealed)
		}
		if len(ids) != 2 || ids["1"] == ids["2"] {
			t.Errorf("while the key turned the key ids were %v", ids)
		}
	})
}

func TestDecryptRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		other, err := kms.New(kms.Config{Name: "another cluster", Key: s, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		good := encrypt(t, p)
		annotated := func(value string) map[string][]byte { return map[string][]byte{kms.Annotation: []byte(value)} }
		for name, c := range map[string]struct {
			sealed kms.Sealed
			kind   errs.Kind
		}{
			"no key id":         {kms.Sealed{Ciphertext: good.Ciphertext, Annotations: good.Annotations}, errs.NotExist},
			"foreign key id":    {kms.Sealed{Ciphertext: good.Ciphertext, KeyID: status(t, other), Annotations: good.Annotations}, errs.NotExist},
			"another cluster's": {encrypt(t, other), errs.NotExist},
			"no annotation":     {kms.Sealed{Ciphertext: good.Ciphertext, KeyID: good.KeyID}, errs.Invalid},
			"other annotation":  {kms.Sealed{Ciphertext: good.Ciphertext, KeyID: good.KeyID, Annotations: annotated("2")}, errs.Invalid},
			"one more":          {kms.Sealed{Ciphertext: good.Ciphertext, KeyID: good.KeyID, Annotations: map[string][]byte{kms.Annotation: []byte("1"), "a.b": nil}}, errs.Invalid},
			"unknown version":   {kms.Sealed{Ciphertext: append([]byte("9"), good.Ciphertext[1:]...), KeyID: good.KeyID, Annotations: annotated("9")}, errs.NotExist},
			"nothing":           {kms.Sealed{KeyID: good.KeyID, Annotations: good.Annotations}, errs.Invalid},
			"over the limit":    {kms.Sealed{Ciphertext: make([]byte, 1024), KeyID: good.KeyID, Annotations: good.Annotations}, errs.Invalid},
			"cut":               {kms.Sealed{Ciphertext: good.Ciphertext[:20], KeyID: good.KeyID, Annotations: good.Annotations}, errs.Internal},
		} {
			before := s.count()
			plain, err := p.Decrypt(t.Context(), c.sealed)
			if !errs.Is(err, c.kind) || !plain.Empty() {
				t.Errorf("%s: %v, want kind %v", name, err, c.kind)
			}
			if c.kind == errs.NotExist && name != "unknown version" && s.count() != before {
				t.Errorf("%s: the store is asked", name)
			}
		}
		// Versions that there are not do not make a call each, and are not said to be
		// none before the store was asked again.
		before := s.count()
		unknown := kms.Sealed{Ciphertext: []byte("9x"), KeyID: "k", Annotations: annotated("9")}
		for range 100 {
			if _, err := p.Decrypt(t.Context(), unknown); !errs.Is(err, errs.Unavailable) {
				t.Fatalf("an unknown version right after another: %v", err)
			}
		}
		if made := s.count() - before; made > 0 {
			t.Errorf("a hundred unknown versions make %d calls in the same second", made)
		}
		pass(time.Second)
		if _, err := p.Decrypt(t.Context(), unknown); !errs.Is(err, errs.NotExist) || s.count() != before+1 {
			t.Errorf("a second later: %v after %d calls", err, s.count()-before)
		}
	})
}

func TestEncryptRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := run(t, newStore(time.Now()))
		for _, n := range []int{0, 513} {
			if _, err := p.Encrypt(t.Context(), redact.New(make([]byte, n))); !errs.Is(err, errs.Invalid) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]kms.Config{
		"no name":                {},
		"stale before two polls": {Name: "n", StaleAfter: 2*kms.DefaultPoll - 1},
		"no key id":              {Name: "n", Known: "sk1-0123"},
		"turn before poll":       {Name: "n", ActivationDelay: 59 * time.Second},
	} {
		if _, err := kms.New(c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	s := newStore(time.Unix(1, 0))
	p, err := kms.New(kms.Config{Name: "cluster", Key: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	if err := p.Look(f.Context()); err != nil {
		f.Fatal(err)
	}
	good, err := p.Encrypt(f.Context(), seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Ciphertext, good.KeyID, kms.Annotation, good.Annotations[kms.Annotation])
	f.Add([]byte{}, "", "", []byte{})
	f.Fuzz(func(t *testing.T, blob []byte, id, annotation string, value []byte) {
		plain, err := p.Decrypt(t.Context(), kms.Sealed{Ciphertext: blob, KeyID: id, Annotations: map[string][]byte{annotation: value}})
		same := string(blob) == string(good.Ciphertext) && id == good.KeyID && annotation == kms.Annotation && string(value) == "1"
		if (err == nil) != same {
			t.Errorf("decrypted %d bytes, %v", plain.Len(), err)
		}
	})
}
