package kubernetes

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

func inPod(c map[string]any) {
	bound := c["kubernetes.io"].(map[string]any)
	bound["pod"] = map[string]any{"name": "my-app-7d4b", "uid": "pod-uid-1"}
	bound["node"] = map[string]any{"name": "node-1"}
}

func TestStatelessLogin(t *testing.T) {
	w := newWorld(t)
	w.configure(func(_, r map[string]any) { r["stateless"], r["token_ttl"] = true, "100h" })
	a, err := w.login(w.api.issue(app, inPod))
	if err != nil {
		t.Fatal(err)
	}
	if a.Params.Type != engine.TokenBatch || a.Renewable {
		t.Errorf("the token is %v, renewable %v; want a batch token", a.Params.Type, a.Renewable)
	}
	if a.Params.TTL <= 0 || a.Params.TTL > time.Hour || a.Params.MaxTTL > time.Hour {
		t.Errorf("it lives %v, longer than the jwt", a.Params.TTL)
	}
	if len(a.Params.BoundCIDRs) != 1 || a.Params.BoundCIDRs[0] != netip.MustParsePrefix("192.0.2.7/32") {
		t.Errorf("it is bound to %v, not to the address of the pod", a.Params.BoundCIDRs)
	}
	if a.Metadata["pod_name"] != "my-app-7d4b" || a.Metadata["pod_uid"] != "pod-uid-1" || a.Metadata["node_name"] != "node-1" {
		t.Errorf("%v", a.Metadata)
	}
}

// A pod that asked for a jwt of a year does not get a token of a year with it.
func TestStatelessLivesAsLongAsTheMountSays(t *testing.T) {
	w := newWorld(t)
	w.configure(func(_, r map[string]any) { r["stateless"] = true })
	a, err := w.login(w.api.issue(app, func(c map[string]any) { inPod(c); c["exp"] = w.Now().Add(365 * 24 * time.Hour).Unix() }))
	if err != nil {
		t.Fatal(err)
	}
	if a.Params.TTL <= 0 || a.Params.TTL > 32*24*time.Hour {
		t.Errorf("it lives %v", a.Params.TTL)
	}
}

func TestStatelessNeedsAPod(t *testing.T) {
	w := newWorld(t)
	w.configure(func(_, r map[string]any) { r["stateless"] = true })
	for what, change := range map[string]func(map[string]any){
		"no pod": func(c map[string]any) { delete(c["kubernetes.io"].(map[string]any), "pod") },
		"no uid": func(c map[string]any) {
			inPod(c)
			c["kubernetes.io"].(map[string]any)["pod"] = map[string]any{"name": "x"}
		},
		"no end": func(c map[string]any) { inPod(c); delete(c, "exp") },
	} {
		if _, err := w.login(w.api.issue(app, change)); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "not bound to a pod") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestStatelessRolesThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.configure(nil)
	for _, body := range []string{
		`{"stateless":true,"token_type":"service"}`, `{"stateless":true,"token_num_uses":1}`,
		`{"stateless":true,"token_period":60}`, `{"stateless":true,"token_explicit_max_ttl":60}`,
	} {
		if _, err := w.Do(engine.Update, "role/my-app", body); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
