package kv_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/kv"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/targettest"
	"github.com/strongkeep/strongkeep/internal/testenv/invault"
)

func spec(generate ...v1alpha1.Generated) v1alpha1.Target {
	return v1alpha1.Target{KV: &v1alpha1.KVTarget{KVPath: v1alpha1.KVPath{Path: "my-app/signing"}, Generate: generate}}
}

func start(t *testing.T) *invault.Path { return invault.Start(t, "my-app/signing", "password") }

func fixture(t *testing.T, p *invault.Path, s v1alpha1.Target) targettest.Fixture {
	return targettest.Fixture{Kind: kv.Kind{}, Config: target.Config{Spec: s, Vault: p.Login(t)}, Read: p.Read, Works: p.Works, Logs: p.Logs, Left: p.Left}
}

func put(t *testing.T, p *invault.Path, data map[string]any) {
	t.Helper()
	if _, err := p.KVv2("secret").Put(context.Background(), p.Path, data); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	t.Run("nothing before", func(t *testing.T) {
		targettest.Run(t, func(t *testing.T) targettest.Fixture {
			return fixture(t, start(t), spec(v1alpha1.Generated{Property: "password"}))
		})
	})
	t.Run("with the previous one", func(t *testing.T) {
		targettest.Run(t, func(t *testing.T) targettest.Fixture {
			p := start(t)
			put(t, p, map[string]any{"password": "canary-by-hand", "user": "app"})
			return fixture(t, p, spec(v1alpha1.Generated{Property: "password", Previous: "previousPassword"}))
		})
	})
}

// Whoever was stopped between any two requests of Close, while another closed and
// reopened, closes nothing any more; only the unconditional request itself, once
// it is about to be sent, comes through.
func TestStoppedBetweenRequests(t *testing.T) {
	const unfenced = "POST secret/delete/my-app/signing"
	stopped := ""
	for n := 0; stopped != unfenced; n++ {
		p := start(t)
		put(t, p, map[string]any{"password": "by-hand"})
		open := func(v target.Vault) target.Target {
			made, err := kv.Kind{}.Open(target.Config{Spec: spec(v1alpha1.Generated{Property: "password"}), Vault: v})
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		login := p.Login(t)
		leader := open(login)
		act := func(fence int64) target.Turn { return target.Turn{Number: 1, Rotation: "team/r", Fence: fence} }
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := leader.Stage(t.Context(), act(1))
		must(err)
		_, err = leader.Publish(t.Context(), act(2), target.New)
		must(err)
		s := &stopping{Vault: login, n: n, meanwhile: func() {
			must(leader.Close(t.Context(), act(4)))
			must(leader.Reopen(t.Context(), act(5)))
		}}
		err = open(s).Close(t.Context(), act(3))
		if stopped = s.last; stopped == "" {
			t.Fatal("Close sends no delete: what is this test about?")
		}
		there := false
		for _, v := range p.Versions(t) {
			there = there || v.Data["password"] == "by-hand"
		}
		if stopped != unfenced && (!there || !errs.Is(err, errs.Conflict)) {
			t.Errorf("stopped before request %d, %s: %v; the old one is readable: %v", n, stopped, err, there)
		}
	}
}

// turn is one turn of a path.
type turn struct {
	*testing.T
	p  *invault.Path
	to target.Target
	n  int64
}

func (r *turn) acts(acts ...string) {
	r.Helper()
	now := target.Turn{Number: r.n, Rotation: "team/r"}
	for _, act := range acts {
		var err error
		switch act {
		case "adopt":
			err = r.to.(target.Adopter).Adopt(r.Context(), now)
		case "stage":
			_, err = r.to.Stage(r.Context(), now)
		case "publish":
			_, err = r.to.Publish(r.Context(), now, target.New)
		case "restore":
			_, err = r.to.Publish(r.Context(), now, target.Old)
		case "close":
			err = r.to.Close(r.Context(), now)
		case "reopen":
			err = r.to.Reopen(r.Context(), now)
		case "retire":
			err = r.to.Retire(r.Context(), now, target.Old)
		case "discard":
			err = r.to.Retire(r.Context(), now, target.New)
		}
		if err != nil {
			r.Fatalf("turn %d: %s: %v", r.n, act, err)
		}
	}
}

func (r *turn) data() map[string]any {
	r.Helper()
	s, err := r.p.KVv2("secret").Get(context.Background(), r.p.Path)
	if err != nil {
		r.Fatal(err)
	}
	return s.Data
}

func newTurn(t *testing.T, s v1alpha1.Target) *turn {
	t.Helper()
	p := start(t)
	made, err := kv.Kind{}.Open(target.Config{Spec: s, Vault: p.Login(t)})
	if err != nil {
		t.Fatal(err)
	}
	return &turn{t, p, made, 1}
}

// A Rotation that was deleted amid a turn, whatever of it was done, and made anew goes
// on with the next turn; what was left open of the former one goes with its old one.
func TestMadeAnewAmidATurn(t *testing.T) {
	for name, before := range map[string][]string{
		"staged": {"stage"}, "published": {"stage", "publish"}, "closed": {"stage", "publish", "close"},
		"opened again": {"stage", "publish", "close", "reopen"}, "on the way back": {"stage", "publish", "restore"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTurn(t, spec(v1alpha1.Generated{Property: "password"}))
			put(t, r.p, map[string]any{"password": "by-hand", "user": "app"})
			r.acts(before...)
			seen := r.data()["password"]
			r.n = 2
			if _, err := r.to.Stage(t.Context(), target.Turn{Number: 2, Rotation: "team/r"}); !errs.Is(err, errs.Conflict) {
				t.Fatalf("a turn is staged amid another: %v", err)
			}
			if err := r.to.(target.Adopter).Adopt(t.Context(), target.Turn{Number: 2, Rotation: "team/other"}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.to.Stage(t.Context(), target.Turn{Number: 2, Rotation: "team/r"}); !errs.Is(err, errs.Conflict) {
				t.Fatalf("another Rotation has ended it: %v", err)
			}
			r.acts("adopt", "adopt")
			if now := r.data()["password"]; now != seen {
				t.Error("adopting has changed what readers see")
			}
			if _, err := r.to.Publish(t.Context(), target.Turn{Number: 1, Rotation: "team/r", Fence: 99}, target.New); !errs.Is(err, errs.Conflict) {
				t.Errorf("the former one goes on: %v", err)
			}
			r.acts("stage", "adopt", "publish")
			if now := r.data()["password"]; now == seen || now == "by-hand" {
				t.Error("readers do not see the new one")
			}
			r.acts("close", "reopen", "close", "retire")
			for _, s := range r.p.Versions(t) {
				if has := fmt.Sprint(s.Data["password"]); has == "by-hand" || has == seen {
					t.Errorf("version %d still has an old one", s.VersionMetadata.Version)
				}
			}
			if left := r.p.Left(t); len(left) > 1 {
				t.Errorf("left: %d", len(left))
			}
		})
	}
}

// Keys that are not named stay as they are, whoever writes them and when, in
// every direction.
func TestOtherKeysStay(t *testing.T) {
	r := newTurn(t, spec(v1alpha1.Generated{Property: "password", Previous: "before"}))
	put(t, r.p, map[string]any{"password": "by-hand", "user": "app", "port": 5432})
	r.acts("stage")
	put(t, r.p, map[string]any{"password": "by-hand", "user": "app", "port": 5433}) // by a person, meanwhile
	r.acts("publish")
	d := r.data()
	if d["user"] != "app" || fmt.Sprint(d["port"]) != "5433" || d["password"] == "by-hand" || d["before"] != "by-hand" {
		t.Errorf("published: %d keys, user %v, port %v", len(d), d["user"], d["port"])
	}
	d["user"] = "app2"
	put(t, r.p, d)
	r.acts("close")
	for _, s := range r.p.Versions(t) {
		if s.Data["password"] == "by-hand" {
			t.Errorf("closed, version %d still has the old one", s.VersionMetadata.Version)
		}
	}
	r.acts("reopen", "restore")
	if d = r.data(); d["password"] != "by-hand" || d["before"] != nil || d["user"] != "app2" || fmt.Sprint(d["port"]) != "5433" {
		t.Errorf("restored: %d keys, user %v, port %v, before %v", len(d), d["user"], d["port"], d["before"] != nil)
	}
	r.acts("publish", "close", "retire")
	d = r.data()
	if d["user"] != "app2" || d["before"] != nil || d["password"] == "by-hand" {
		t.Errorf("retired: %d keys, user %v, before %v", len(d), d["user"], d["before"] != nil)
	}
	for _, s := range r.p.Versions(t) {
		if strings.Contains(fmt.Sprint(s.Data), "by-hand") {
			t.Errorf("retired, version %d still has the old one", s.VersionMetadata.Version)
		}
	}
}

// counted counts the requests to a vault that read a version of the path.
type counted struct {
	target.Vault
	reads map[string]int
}

func (c counted) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	if strings.Contains(path, "?version=") {
		c.reads[path]++
	}
	return c.Vault.Call(ctx, method, path, body)
}

// A path with a long past of versions that others wrote and deleted costs a turn
// one look at its metadata, and a read of each that is there.
func TestPastIsNotReadVersionByVersion(t *testing.T) {
	p := start(t)
	c := counted{p.Login(t), map[string]int{}}
	made, err := kv.Kind{}.Open(target.Config{Spec: spec(v1alpha1.Generated{Property: "password"}), Vault: c})
	if err != nil {
		t.Fatal(err)
	}
	r := &turn{t, p, made, 1}
	put(t, p, map[string]any{"password": "by-hand"})
	r.acts("stage")
	const past = 8
	for i := range past {
		put(t, p, map[string]any{"password": "by-hand", "n": i})
	}
	ctx := t.Context()
	if err := p.KVv2("secret").DeleteVersions(ctx, p.Path, []int{2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	if err := p.KVv2("secret").Destroy(ctx, p.Path, []int{5, 6}); err != nil {
		t.Fatal(err)
	}
	r.acts("publish", "close")
	clear(c.reads)
	r.acts("reopen", "close", "retire")
	for _, version := range []int{2, 3, 4, 5, 6} {
		if n := c.reads[fmt.Sprintf("secret/data/%s?version=%d", p.Path, version)]; n > 0 {
			t.Errorf("version %d, which is gone, was read %d times", version, n)
		}
	}
	for _, s := range p.Versions(t) {
		if s.Data["password"] == "by-hand" {
			t.Errorf("version %d still has the old one", s.VersionMetadata.Version)
		}
	}
}

// What a turn has remembered is gone with its end: the record holds no value, and
// no version of it before does.
func TestRecordForgets(t *testing.T) {
	r := newTurn(t, spec(v1alpha1.Generated{Property: "password"}))
	put(t, r.p, map[string]any{"password": "by-hand"})
	record := invault.Path{Vault: r.p.Vault, Path: "strongkeep-staged/" + r.p.Path}
	r.acts("stage")
	if all := record.Versions(t); len(all) != 1 || !strings.Contains(fmt.Sprint(all[0].Data), "by-hand") {
		t.Errorf("staged: %d versions of the record", len(all))
	}
	if seen := fmt.Sprint(r.data()); strings.Contains(seen, "new") || !strings.Contains(seen, "by-hand") {
		t.Error("staging changed what readers see")
	}
	r.acts("publish")
	fresh := fmt.Sprint(r.data()["password"])
	r.acts("close", "retire")
	for _, s := range record.Versions(t) {
		if text := fmt.Sprint(s.Data); strings.Contains(text, "by-hand") || strings.Contains(text, fresh) {
			t.Errorf("version %d of the record holds a value", s.VersionMetadata.Version)
		}
	}
	if all := record.Versions(t); len(all) != 1 {
		t.Errorf("%d versions of the record", len(all))
	}
}

// A write that was sent late, by who was stopped in the midst of publishing, is
// refused: whoever went back meanwhile wrote over the version that it names.
func TestLateWriteIsVoid(t *testing.T) {
	r := newTurn(t, spec(v1alpha1.Generated{Property: "password"}))
	put(t, r.p, map[string]any{"password": "by-hand"})
	slow := &held{Vault: r.p.Login(t), at: "secret/data/" + r.p.Path}
	stopped, err := kv.Kind{}.Open(target.Config{Spec: spec(v1alpha1.Generated{Property: "password"}), Vault: slow})
	if err != nil {
		t.Fatal(err)
	}
	r.acts("stage")
	if _, err := stopped.Publish(t.Context(), target.Turn{Number: 1, Rotation: "team/r"}, target.New); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("the stopped operator: %v", err)
	}
	r.acts("restore", "discard")
	if err := slow.send(t.Context()); !errs.Is(err, errs.Invalid) {
		t.Errorf("the late write: %v, want a version that is not current", err)
	}
	if d := r.data(); d["password"] != "by-hand" {
		t.Error("the late write was taken")
	}
}

func TestPasswordPolicies(t *testing.T) {
	r := newTurn(t, spec(v1alpha1.Generated{Property: "pin", PasswordPolicy: "digits"}, v1alpha1.Generated{Property: "password", Length: ptr(64)}))
	now := target.Turn{Number: 1, Rotation: "team/r"}
	if _, err := r.to.Stage(t.Context(), now); err == nil || !strings.Contains(err.Error(), `digits`) {
		t.Errorf("without the policy: %v", err)
	}
	if _, err := r.p.Logical().Write("sys/policies/password/digits", map[string]any{"policy": `length = 20
rule "charset" { charset = "0123456789" }`}); err != nil {
		t.Fatal(err)
	}
	lines, err := r.to.(target.Rehearser).Rehearse(t.Context(), now)
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), "20 bytes") {
		t.Errorf("%q, %v", lines, err)
	}
	r.acts("stage", "publish")
	d := r.data()
	if pin := fmt.Sprint(d["pin"]); len(pin) != 20 || strings.Trim(pin, "0123456789") != "" {
		t.Errorf("a pin of %d bytes", len(pin))
	}
	if password := fmt.Sprint(d["password"]); len(password) != 64 {
		t.Errorf("a password of %d bytes", len(password))
	}
}

func TestRehearseFindsWhatIsMissing(t *testing.T) {
	p := start(t)
	poor := invault.Open(t, p.Vault, p.Policy("poor", strings.Replace(invault.Policy(p.Path), `path "secret/destroy/`, `path "elsewhere/`, 1)))
	made, err := kv.Kind{}.Open(target.Config{Spec: spec(v1alpha1.Generated{Property: "password"}), Vault: poor})
	if err != nil {
		t.Fatal(err)
	}
	_, err = made.(target.Rehearser).Rehearse(t.Context(), target.Turn{Number: 1, Rotation: "team/r"})
	if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), `update on "secret/destroy/my-app/signing"`) {
		t.Errorf("%v, want what is missing", err)
	}
}

func TestBadSpecs(t *testing.T) {
	for want, s := range map[string]v1alpha1.Target{
		"spec.target.kv is missing":  {},
		"at least one property":      spec(),
		"property is missing":        spec(v1alpha1.Generated{}),
		"named twice":                spec(v1alpha1.Generated{Property: "a"}, v1alpha1.Generated{Property: "b", Previous: "a"}),
		"leave length out":           spec(v1alpha1.Generated{Property: "a", PasswordPolicy: "p", Length: ptr(20)}),
		"from 16 to 1024":            spec(v1alpha1.Generated{Property: "a", Length: ptr(15)}),
		"not the name of a password": spec(v1alpha1.Generated{Property: "a", PasswordPolicy: "../x"}),
		"Strongkeep's own":           {KV: &v1alpha1.KVTarget{KVPath: v1alpha1.KVPath{Path: "strongkeep-staged/x"}, Generate: []v1alpha1.Generated{{Property: "a"}}}},
		`path "a/../b" is not`:       {KV: &v1alpha1.KVTarget{KVPath: v1alpha1.KVPath{Path: "a/../b"}, Generate: []v1alpha1.Generated{{Property: "a"}}}},
		`mount "a//b" is not`:        {KV: &v1alpha1.KVTarget{KVPath: v1alpha1.KVPath{Mount: "a//b", Path: "x"}, Generate: []v1alpha1.Generated{{Property: "a"}}}},
		`path "" is not`:             {KV: &v1alpha1.KVTarget{Generate: []v1alpha1.Generated{{Property: "a"}}}},
	} {
		if _, err := (kv.Kind{}).Open(target.Config{Spec: s}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v (%v), want invalid with %q", err, errs.KindOf(err), want)
		}
	}
}

func ptr(n int32) *int32 { return &n }
