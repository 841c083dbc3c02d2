package migrate_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// secrets are those that follow the vault once their stores are moved, by their name,
// with what they hold of a secret of it with user and password.
var secrets = map[string]func(user, password string) map[string]string{
	"owned": func(_, p string) map[string]string { return map[string]string{"v": p} },
	"extracted": func(u, p string) map[string]string {
		return without(map[string]string{"username": u, "password": p})
	},
	"templated-target": func(u, p string) map[string]string {
		return map[string]string{"username": u, "password": p, "url": "db://" + u + ":" + p + "@db"}
	},
	"shared": func(u, p string) map[string]string {
		return without(map[string]string{"other": canary + "-other", "username": u, "password": p})
	},
	"orphaned": func(_, p string) map[string]string { return map[string]string{"v": p} },
	"spread":   func(_, p string) map[string]string { return map[string]string{"v": p} },
}

// objects are the ExternalSecrets that read the store that is moved.
var objects = []string{"owned", "extracted", "found", "templated", "merged", "orphaned", "gate", "fixed", "mixed", "spread"}

func without(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// all are the Secrets that both operators look at.
func all() []string {
	return slices.Sorted(maps.Keys(secrets))
}

// follow waits until every Secret holds what the vault does, and makes sure that what
// was drawn is as it was.
func (w *world) follow(user, password string, drawn map[string]string) {
	w.Helper()
	for _, name := range all() {
		w.holds(name, secrets[name](user, password))
	}
	w.holds("mixed", map[string]string{"v": password, "password": drawn["mixed"]})
	w.await("found", func(context.Context) (bool, error) {
		return strings.Contains(w.value("found", "app_db"), password), nil
	})
	if w.value("drawn", "password") != drawn["drawn"] {
		w.Error("drawn: another password was made")
	}
}

// refresh has the original read the vault, which it does by itself at intervals only.
func (w *world) refresh(n int) {
	w.Helper()
	patch := func(o client.Object, namespace, name, format string) {
		o.SetNamespace(namespace)
		o.SetName(name)
		if err := server.Client.Patch(w.Context(), o, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, format, n))); err != nil {
			w.Fatal(err)
		}
	}
	for _, name := range objects {
		switch name {
		case "mixed", "fixed": // what is drawn would be drawn anew
		case "spread": // what was made of another object is put back
			patch(&v1.ClusterExternalSecret{}, "", "spread-"+w.ns, `{"spec":{"externalSecretMetadata":{"annotations":{"force-sync":"%d"}}}}`)
		default:
			patch(&v1.ExternalSecret{}, w.ns, name, `{"metadata":{"annotations":{"force-sync":"%d"}}}`)
		}
	}
}

// TestTakeOver is docs/migrate-external-secrets.md with the original itself: no Secret
// is missing for a moment, none rewritten, none drawn anew; forth, back, forth again
// and without the original.
func TestTakeOver(t *testing.T) {
	w := newWorld(t)
	w.put("app/db", map[string]any{"username": "u", "password": canary + "-1"})
	w.put("app/fixed", map[string]any{"token": canary + "-f"})
	w.apply(stores)
	theirs := w.theirs()
	w.ready(append([]string{"drawn"}, objects...)...)
	w.apply(mine)
	drawn := map[string]string{"drawn": w.value("drawn", "password"), "mixed": w.value("mixed", "password")}
	w.await("pushed", func(ctx context.Context) (bool, error) {
		got, err := w.vault.KVv2("secret").Get(ctx, "pushed")
		return err == nil && got.Data["token"] == canary+"-pushed", nil
	})
	r := record(t, w.ns)
	both := append(all(), "found", "fixed", "mixed", "drawn")

	ours := w.ours(true)
	w.ready("mine")
	w.look(both, theirs, ours)
	r.quiet("side by side")
	w.says(0, command(), "fits", w.ns+"/owned", "partly moved", "Nothing was written")
	w.look(both, theirs, ours)
	r.quiet("after the plan")

	over := func() {
		t.Helper()
		w.says(0, command("-apply", "-n", w.ns, "-pause-pushes", "-wait=5m"), "owned", "same Secret, same data", "has no Secret")
		once(r, "taking over")
		w.look(both, theirs, ours)
		r.quiet("after taking over")
	}
	over()
	w.put("app/db", map[string]any{"username": "v", "password": canary + "-2"})
	w.follow("v", canary+"-2", drawn)
	r.since(append(all(), "found", "mixed")...)
	w.put("app/db", map[string]any{"password": canary + "-3", "username": "w", "more": canary + "-m"})
	w.await("a new key", func(ctx context.Context) (bool, error) {
		var s corev1.Secret
		err := server.Client.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: "extracted"}, &s)
		return string(s.Data["more"]) == canary+"-m", err
	})
	w.put("app/db", map[string]any{"password": canary + "-3", "username": "w"})
	w.follow("w", canary+"-3", drawn) // the key that we made goes again
	w.look(both, theirs, ours)
	r.since(append(all(), "found", "mixed")...)

	w.says(0, command("-back", "-n", w.ns), "owned", "same Secret, same data")
	w.look(both, theirs, ours)
	once(r, "going back")
	w.look(both, theirs, ours)
	r.quiet("after going back")
	for n, now := range [][2]string{{"x", canary + "-4"}, {"w", canary + "-3"}} { // and as it was, for what is not refreshed
		w.put("app/db", map[string]any{"username": now[0], "password": now[1]})
		w.refresh(n)
		for _, name := range all() {
			w.holds(name, secrets[name](now[0], now[1]))
		}
	}
	w.look(both, theirs, ours)
	r.since(append(all(), "found")...)
	w.follow("w", canary+"-3", drawn)
	over()
	w.follow("w", canary+"-3", drawn)
	r.quiet("forth again")

	theirs.stop()
	ours.stop()
	w.alone(r, drawn)
}

// once fails when a Secret was written more often than once.
func once(r *recorder, when string) {
	r.Helper()
	for name, n := range r.since() {
		if n > 1 {
			r.Errorf("%s: Secret %s was written %d times", when, name, n)
		}
	}
}

// alone is the last step: our definitions over the original's, and we alone.
func (w *world) alone(r *recorder, drawn map[string]string) {
	w.Helper()
	if _, err := server.Kubectl(w.Context(), nil, "apply", "--server-side", "--force-conflicts", "-f", "../../deploy/crds"); err != nil {
		w.Fatal(err)
	}
	r.quiet("after the definitions")
	ours := w.ours(false)
	w.await("everything is ours", func(ctx context.Context) (bool, error) {
		var s corev1.Secret
		err := server.Client.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: "drawn"}, &s)
		return s.Annotations["strongkeep.io/generated"] != "", err
	})
	w.look(append(all(), "drawn"), ours)
	once(r, "alone")
	w.put("app/db", map[string]any{"username": "y", "password": canary + "-5"})
	w.follow("y", canary+"-5", drawn)
	r.since(append(all(), "found", "mixed")...)
	w.says(0, command("-compare=false"), w.ns)
}
