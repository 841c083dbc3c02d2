package manual_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/manual"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/targettest"
	"github.com/strongkeep/strongkeep/internal/testenv/invault"
)

const path = "payments/provider"

func spec() v1alpha1.Target {
	return v1alpha1.Target{Manual: &v1alpha1.ManualTarget{KVPath: v1alpha1.KVPath{Path: path}, Instructions: "at https://provider.example/keys"}}
}

// provide does what `strongkeep rotation provide` does.
func provide(t *testing.T, p *invault.Path, key string) {
	t.Helper()
	if _, err := p.KVv2("secret").Put(context.Background(), shelf.Provided+path, map[string]any{"apiKey": key}); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		p := invault.Start(t, path, "apiKey")
		return targettest.Fixture{
			Kind: manual.Kind{}, Config: target.Config{Spec: spec(), Vault: p.Login(t)}, Read: p.Read, Works: p.Works, Logs: p.Logs, Left: p.Left,
			Before: func(t *testing.T, _ int64) { provide(t, p, "canary-"+rand.Text()) },
		}
	})
}

// A turn waits for a new key, takes it once, and waits until the old one is said
// to be revoked. Pending is never taken for an outage.
func TestWaits(t *testing.T) {
	p := invault.Start(t, path, "apiKey")
	if _, err := p.KVv2("secret").Put(t.Context(), path, map[string]any{"apiKey": "canary-old", "url": "https://provider.example"}); err != nil {
		t.Fatal(err)
	}
	open := func() target.Target {
		made, err := manual.Kind{}.Open(target.Config{Spec: spec(), Rotation: "team/pay", Vault: p.Login(t)})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	now := target.Turn{Number: 1, Rotation: "team/pay"}
	pending := func(what string, err error, words ...string) {
		t.Helper()
		if !target.IsPending(err) || !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "canary") {
			t.Fatalf("%s: %v, want Pending", what, err)
		}
		for _, w := range append(words, "https://provider.example/keys") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not say %q", what, err, w)
			}
		}
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := open().Stage(t.Context(), now)
	pending("nothing is provided", err, "strongkeep rotation provide -n team pay")
	provide(t, p, "canary-old")
	_, err = open().Stage(t.Context(), now)
	pending("the same is provided", err)
	provide(t, p, "canary-new")
	_, err = open().Stage(t.Context(), now)
	must("staging", err)
	if left := (&invault.Path{Vault: p.Vault, Path: shelf.Provided + path}).Versions(t); len(left) != 0 {
		t.Errorf("%d versions of what was provided are left", len(left))
	}
	_, err = open().Publish(t.Context(), now, target.New)
	must("publishing", err)
	if s, err := p.KVv2("secret").Get(t.Context(), path); err != nil || s.Data["url"] != "https://provider.example" || s.Data["apiKey"] != "canary-new" {
		t.Errorf("published is not what was provided with the rest as it was (%v)", err)
	}
	must("closing", open().Close(t.Context(), now))
	pending("not confirmed", open().Retire(t.Context(), now, target.Old), "revoke the old key", "strongkeep rotation confirm-retired -n team pay")
	confirm := open().(target.Confirmable)
	must("confirming the other side", confirm.Confirm(t.Context(), now, target.New))
	pending("the other side is confirmed", open().Retire(t.Context(), now, target.Old))
	if err := confirm.Confirm(t.Context(), target.Turn{Number: 1, Rotation: "team/other"}, target.Old); !errs.Is(err, errs.Conflict) {
		t.Errorf("confirming for another Rotation: %v", err)
	}
	must("confirming", confirm.Confirm(t.Context(), now, target.Old))
	must("retiring", open().Retire(t.Context(), now, target.Old))
	if p.Works(t, targettest.Credential{Secret: "canary-old"}) {
		t.Error("the old key can still be read")
	}
}

func TestBadSpecs(t *testing.T) {
	for want, s := range map[string]v1alpha1.Target{
		"spec.target.manual is missing": {},
		"Strongkeep's own":              {Manual: &v1alpha1.ManualTarget{KVPath: v1alpha1.KVPath{Path: shelf.Provided + "x"}}},
	} {
		if _, err := (manual.Kind{}).Open(target.Config{Spec: s}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want invalid with %q", err, want)
		}
	}
}
