package token

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func TestServiceTokenIsOneCommitOfThreeKeys(t *testing.T) {
	w := newWorld(t)
	c := w.create(Spec{Policies: []string{"app", "default"}, Path: "auth/kubernetes/login", MountID: "m1",
		DisplayName: "kubernetes-x", Meta: map[string]string{"role": "r"}, TTL: hour, Renewable: true, EntityID: "e"})
	if got := len(w.keys()); got != 3 {
		t.Errorf("a login wrote %d keys, want entry, accessor and due time: %q", got, w.keys())
	}
	if !regexp.MustCompile(`^hvs\.[0-9A-Za-z]{91}$`).MatchString(c.Token.RevealString()) {
		t.Error("the token has not the shape that clients and secret scanners know")
	}
	if !regexp.MustCompile(`^[0-9A-Za-z]{24}$`).MatchString(c.Entry.Accessor) {
		t.Errorf("accessor %q", c.Entry.Accessor)
	}
	e, err := w.lookup(c)
	if err != nil {
		t.Fatal(err)
	}
	if e.Key != c.Entry.Key || e.Path != "auth/kubernetes/login" || e.Meta["role"] != "r" || !e.Orphan || e.TTL != hour ||
		!e.Expires.Equal(w.now.Add(hour)) || !e.Created.Equal(w.now) || e.EntityID != "e" || e.MountID != "m1" {
		t.Errorf("entry %+v", e)
	}
	got, err := w.m.Get(context.Background(), w.store, e.Key)
	if err != nil || got.Accessor != e.Accessor {
		t.Errorf("Get: %+v, %v", got, err)
	}
	for _, key := range w.keys() {
		if strings.Contains(key, c.Token.RevealString()) || strings.Contains(key, e.Accessor) {
			t.Errorf("the name %q gives a token or an accessor away", key)
		}
	}
}

func TestCustomID(t *testing.T) {
	w := newWorld(t)
	root := w.root()
	create := func(id string) (Created, error) {
		var c Created
		err := w.do(func(tx *store.Txn) (err error) {
			c, err = w.m.Create(context.Background(), tx, spec(Spec{Creator: root.Entry, Orphan: true, ID: redact.FromString(id), TTL: hour}))
			return err
		})
		return c, err
	}
	for _, bad := range []string{"a.b", "hvb.x", "a b", "a\n", "ä", strings.Repeat("x", 257)} {
		if _, err := create(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("id of %d bytes: %v", len(bad), err)
		} else if len(bad) > 4 && strings.Contains(err.Error(), bad) {
			t.Error("the error quotes the id, which is a secret")
		}
	}
	c, err := create("my-own-id")
	if err != nil || c.Token.RevealString() != "my-own-id" || !w.valid(c) {
		t.Fatalf("%v", err)
	}
	if _, err := create("my-own-id"); !errs.Is(err, errs.Invalid) || err.Error() != "cannot create a token with a duplicate ID" {
		t.Errorf("twice: %v", err)
	}
	kid := w.create(Spec{Creator: c.Entry, TTL: hour})
	batch := w.create(Spec{Creator: c.Entry, TTL: hour, Type: Batch})
	w.revoke(c, Tree)
	if _, err := create("my-own-id"); !errs.Is(err, errs.Invalid) {
		t.Errorf("while children are being swept: %v", err)
	}
	w.sweep()
	again, err := create("my-own-id")
	if err != nil || !w.valid(again) {
		t.Fatal(err)
	}
	if w.valid(kid) || w.valid(batch) {
		t.Error("children of a revoked token came back to life with a new token of the same id")
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t)
	root, app := w.root(), w.create(Spec{TTL: hour})
	batch := w.create(Spec{TTL: hour, Type: Batch})
	expiring := w.create(Spec{Creator: root.Entry, Policies: []string{"root"}, TTL: hour})
	for name, c := range map[string]struct {
		s    Spec
		kind errs.Kind
		text string
	}{
		"root by a login":         {Spec{Policies: []string{"root"}}, errs.Invalid, "root tokens may not be created without parent token being root"},
		"root by another":         {Spec{Creator: app.Entry, Policies: []string{"root"}}, errs.Invalid, "root tokens may not be created without parent token being root"},
		"endless by expiring":     {Spec{Creator: expiring.Entry, Policies: []string{"root"}}, errs.Invalid, "expiring root tokens cannot create non-expiring root tokens"},
		"batch root":              {Spec{Creator: root.Entry, Policies: []string{"root"}, Type: Batch, TTL: hour}, errs.Invalid, "batch tokens cannot be root tokens"},
		"batch with uses":         {Spec{Type: Batch, NumUses: 1}, errs.Invalid, ""},
		"batch with period":       {Spec{Type: Batch, Period: hour}, errs.Invalid, ""},
		"batch with explicit max": {Spec{Type: Batch, ExplicitMaxTTL: hour}, errs.Invalid, ""},
		"batch with id":           {Spec{Type: Batch, ID: redact.FromString("x")}, errs.Invalid, ""},
		"by a batch token":        {Spec{Creator: batch.Entry}, errs.Invalid, "batch tokens cannot create more tokens"},
		"orphan by a batch token": {Spec{Creator: batch.Entry, Orphan: true}, errs.Invalid, "batch tokens cannot create more tokens"},
		"negative ttl":            {Spec{TTL: -1}, errs.Invalid, ""},
		"negative uses":           {Spec{NumUses: -1}, errs.Invalid, "number of uses cannot be negative"},
		"ttl below a second":      {Spec{TTL: 1}, errs.Invalid, ""},
		"wrapping policy":         {Spec{Policies: []string{"response-wrapping"}}, errs.Invalid, `cannot assign policy "response-wrapping"`},
		"policies undecided":      {Spec{Policies: []string{"b", "a"}}, errs.Internal, ""},
		"root among others":       {Spec{Creator: root.Entry, Policies: []string{"app", "root"}}, errs.Internal, ""},
		"too much metadata":       {Spec{Meta: map[string]string{"k": strings.Repeat("x", maxEntry)}}, errs.TooLarge, ""},
		"batch too large":         {Spec{Type: Batch, Meta: map[string]string{"k": strings.Repeat("x", MaxLen)}}, errs.TooLarge, ""},
	} {
		before := len(w.keys())
		err := w.do(func(tx *store.Txn) error {
			_, err := w.m.Create(context.Background(), tx, spec(c.s))
			return err
		})
		if !errs.Is(err, c.kind) || c.text != "" && err.Error() != c.text {
			t.Errorf("%s: kind %v, %v", name, errs.KindOf(err), err)
		}
		if len(w.keys()) != before {
			t.Errorf("%s: something was written", name)
		}
	}
	endless := w.create(Spec{Creator: root.Entry, Policies: []string{"root"}})
	if !endless.Entry.Expires.IsZero() || endless.Entry.Renewable {
		t.Errorf("%+v", endless.Entry)
	}
}

func TestBatchTokenCostsNoWrite(t *testing.T) {
	w := newWorld(t)
	before := len(w.keys())
	var c Created
	w.must(func(tx *store.Txn) (err error) {
		c, err = w.m.Create(context.Background(), tx, spec(Spec{Type: Batch, TTL: hour, Renewable: true, Policies: []string{"app", "default"},
			Meta: map[string]string{"role": "r"}, Path: "auth/kubernetes/login", DisplayName: "d", BoundCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}))
		if tx.Writes() != 0 {
			t.Errorf("%d writes", tx.Writes())
		}
		return err
	})
	if len(w.keys()) != before {
		t.Error("something was written")
	}
	if !regexp.MustCompile(`^hvb\.[\w-]{138,300}$`).MatchString(c.Token.RevealString()) {
		t.Errorf("the token of %d bytes has not the shape that secret scanners know", c.Token.Len())
	}
	e, err := w.lookup(c)
	if err != nil || e.Accessor != "" || e.Renewable || e.Meta["role"] != "r" || e.Key != c.Entry.Key || !slices.Equal(e.Policies, []string{"app", "default"}) ||
		!e.AllowsAddr(netip.MustParseAddr("10.1.2.3")) || e.AllowsAddr(netip.MustParseAddr("11.1.2.3")) || e.AllowsAddr(netip.Addr{}) {
		t.Errorf("%+v, %v", e, err)
	}
	if !e.AllowsAddr(netip.MustParseAddr("::ffff:10.1.2.3")) {
		t.Error("an IPv4 address mapped to IPv6 is another one")
	}
	w.revoke(c, Tree) // there is nothing in the store to revoke
	if !w.valid(c) {
		t.Error("a batch token cannot be revoked, and the endpoints say so")
	}
}

func TestOpenedBatchesAreBounded(t *testing.T) {
	var o openedBatches
	for i := range 3 * maxOpened {
		o.put(&Entry{Key: fmt.Sprint(i)})
	}
	n := 0
	o.entries.Load().Range(func(any, any) bool { n++; return true })
	if n > maxOpened || n == 0 {
		t.Errorf("%d entries are remembered", n)
	}
	if o.get(fmt.Sprint(3*maxOpened-1)) == nil || o.get("0") != nil {
		t.Error("the wrong ones are remembered")
	}
}
