package evidence_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	. "github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

const (
	template    = v1alpha1.EvidenceTemplate
	file        = v1alpha1.EvidenceFile
	application = v1alpha1.EvidenceApplication
	backend     = v1alpha1.EvidenceBackend
)

func object(kind, ns, name string) consumer.Object {
	return consumer.Object{Kind: schema.GroupVersionKind{Kind: kind}, NamespacedName: types.NamespacedName{Namespace: ns, Name: name}}
}

var password = &consumer.Change{Keys: []string{"password", "username"}}

// input is one pod of Deployment shop/web, with Secret shop/db of version 7.
func input(change ...func(*Input)) Input {
	web := object("Deployment", "shop", "web")
	in := Input{
		Method: v1alpha1.RolloutTemplate, Version: "7",
		Secrets:   []consumer.Fed{{Object: object("Secret", "shop", "db"), Version: "7", Digest: "d7", ResourceVersion: "70", Changed: password}},
		Workloads: []consumer.Workload{{Object: web, Rolls: true}},
		Pods: []consumer.Pod{{
			Object: object("Pod", "shop", "web-1"), UID: "u1", Workload: web, IP: "10.0.0.1",
			Uses: []consumer.Use{{Kind: consumer.UseEnv, Secret: "db", Container: "app", Where: "DB_PASSWORD"}},
		}},
		Nodes: true, Backend: true,
	}
	for _, c := range change {
		c(&in)
	}
	return in
}

func stamp(s string) func(*Input) { return func(in *Input) { in.Pods[0].Stamp = s } }
func uses(u ...consumer.Use) func(*Input) {
	return func(in *Input) { in.Pods[0].Uses = u }
}
func method(m v1alpha1.RolloutMethod) func(*Input) { return func(in *Input) { in.Method = m } }
func found(f Found) func(*Input) {
	return func(in *Input) { in.Found = map[types.UID]Found{"u1": f} }
}
func require(k ...v1alpha1.EvidenceKind) func(*Input) { return func(in *Input) { in.Required = k } }
func annotate(k, v string) func(*Input) {
	return func(in *Input) {
		if in.Pods[0].Annotations == nil {
			in.Pods[0].Annotations = map[string]string{}
		}
		in.Pods[0].Annotations[k] = v
	}
}
func marked(in *Input)   { in.Workloads[0].Marked = "secret/db=d7" }
func before(in *Input)   { in.Workloads[0].Marked = "secret/db=d6" }
func inherits(in *Input) { in.Workloads[0].Stamp = "secret/db=d1" }
func deaf(in *Input)     { in.Nodes, in.Backend = false, false }
func deleting(in *Input) { in.Pods[0].Deleting = true }
func bare(in *Input)     { in.Pods[0].Workload, in.Workloads = in.Pods[0].Object, nil }
func unsynced(in *Input) { in.Secrets[0].Version = "6"; in.Secrets[0].Digest = "d6" }
func noReload(in *Input) { in.Workloads[0].Reload = "none" }
func otherOne(in *Input) { in.Pods[0].Cluster = "east" }
func twoSecrets(in *Input) {
	in.Secrets = append(in.Secrets, consumer.Fed{Object: object("Secret", "shop", "copy"), Version: "7", Digest: "c7", Changed: password})
	in.Pods[0].Uses = append(in.Pods[0].Uses, consumer.Use{Kind: consumer.UseEnvFrom, Secret: "copy", Container: "app"})
}

var (
	env     = consumer.Use{Kind: consumer.UseEnv, Secret: "db", Container: "app", Where: "DB_PASSWORD"}
	side    = consumer.Use{Kind: consumer.UseEnv, Secret: "db", Container: "sidecar", Where: "DB_PASSWORD"}
	volume  = consumer.Use{Kind: consumer.UseVolume, Secret: "db", Container: "app", Where: "/etc/db", Volume: "db"}
	subPath = consumer.Use{Kind: consumer.UseSubPath, Secret: "db", Container: "app", Where: "/etc/db/password", Volume: "db"}
	migrate = consumer.Use{Kind: consumer.UseEnv, Secret: "db", Container: "migrate", Init: true, Where: "DB_PASSWORD"}
	pull    = consumer.Use{Kind: consumer.UseImagePull, Secret: "db"}
	client  = consumer.Use{Kind: consumer.UseVault}
	named   = consumer.Use{Kind: consumer.UseNamed}

	yes, no = Word{Answer: Yes}, Word{Answer: No, Text: "version 6"}
)

func with(c ...func(*Input)) []func(*Input) { return c }

// The rules of docs/rotation/evidence.md, row by row.
func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change []func(*Input)
		has    []v1alpha1.EvidenceKind
		// missing is part of what is missing; empty: proven.
		missing string
		never   bool
	}{
		// template: content, not time
		{"stamp of this content", with(stamp("secret/db=d7")), kinds(template), "", false},
		{"no stamp", nil, nil, "waits for its restart", false},
		{"stamp of older content", with(stamp("secret/db=d6")), nil, "older content of Secret db", false},
		{"stamp of another's Secret", with(stamp("secret/other=d7")), nil, "older content", false},
		{"stamp of another cluster's Secret", with(stamp("secret/db=d7"), otherOne), nil, "no Secret that is known", true},
		{"Secret not confirmed", with(stamp("secret/db=d6"), unsynced), nil, "does not hold version 7 yet", false},
		{"Secret not confirmed, method None", with(method("None"), unsynced), nil, "does not hold version 7 yet", false},
		{"both Secrets", with(twoSecrets, stamp("secret/copy=c7,secret/db=d7")), kinds(template), "", false},
		{"one of two Secrets", with(twoSecrets, stamp("secret/db=d7")), nil, "older content of Secret copy", false},

		// marks instead of stamps
		{"created after marking", with(method("Evict"), marked), kinds(template), "", false},
		{"nobody marked", with(method("Evict")), nil, "waits for its restart", false},
		{"marked with older content", with(method("Evict"), marked, annotate(rollout.AnnotationBefore, "secret/db=d6")), nil, "older content", false},
		{"marked with unknown content", with(method("Evict"), marked, annotate(rollout.AnnotationBefore, "secret/db=unknown")), nil, "older content", false},
		{"marked with this content, which came back", with(method("Evict"), marked, annotate(rollout.AnnotationBefore, "secret/db=d7")), kinds(template), "", false},
		{"stale stamp of a template that is not written any more", with(method("Evict"), marked, inherits, stamp("secret/db=d1")), kinds(template), "", false},
		{"a stamp of its own, of the turn before", with(method("Evict"), marked, stamp("secret/db=d6")), nil, "older content", false},
		{"marked in the turn before only", with(method("Evict"), before), nil, "older content", false},
		{"Evict, and it is left alone: nobody marked", with(method("Evict"), noReload), nil, "strongkeep.io/reload", true},
		{"Evict, a volume, and it is left alone", with(method("Evict"), noReload, uses(volume), found(Found{File: yes}), deaf), kinds(file), "nothing shows that the process has read it", true},
		{"Evict, a workload that cannot be read", with(method("Evict"), func(in *Input) { in.Workloads = nil }), nil, "older content", false},

		// static uses
		{"env, method None", with(method("None")), nil, "set spec.rollout.method", true},
		{"env, workload that is left alone", with(noReload), nil, "strongkeep.io/reload", true},
		{"env, method None, an endpoint", with(method("None"), annotate(AnnotationPath, "/p")), nil, "older content", false},
		{"env, the application says so", with(method("None"), annotate(AnnotationPath, "/p"), found(Found{Application: yes})), kinds(application), "", false},
		{"env, the backend says so", with(method("None"), found(Found{Backend: yes})), kinds(backend), "", false},
		{"env of two containers, the backend says so", with(method("None"), uses(env, side), found(Found{Backend: yes})), kinds(backend), "older content", true},
		{"bare pod", with(bare), nil, "delete it and create it again", true},
		{"bare pod, new", with(bare, stamp("secret/db=d7")), kinds(template), "", false},
		{"subPath: the node's file says nothing", with(uses(subPath), found(Found{File: yes})), kinds(file), "waits for its restart", false},
		{"init container", with(uses(migrate, volume), noReload, found(Found{Application: yes, File: yes})), kinds(file, application), "init env DB_PASSWORD", true},
		{"init container, restarted", with(uses(migrate), stamp("secret/db=d7")), kinds(template), "", false},

		// volumes
		{"volume, restarted", with(uses(volume), stamp("secret/db=d7")), kinds(template), "", false},
		{"volume, waits for restart", with(uses(volume)), nil, "waits for its restart", false},
		{"volume, file alone", with(uses(volume), noReload, deaf, found(Found{File: yes})), kinds(file), "nothing shows that the process has read it", true},
		{"volume, file and backend", with(uses(volume), noReload, found(Found{File: yes, Backend: yes})), kinds(file, backend), "", false},
		{"volume, backend, file not known", with(uses(volume), noReload, found(Found{Backend: yes})), kinds(backend), "the node has not shown the file", false},
		{"volume, file, backend yet to come", with(uses(volume), noReload, found(Found{File: yes})), kinds(file), "has not seen it on the new credential", false},
		{"volume, application", with(uses(volume), noReload, found(Found{Application: yes})), kinds(application), "", false},
		{"volume, an endpoint, no answer yet", with(uses(volume), noReload, annotate(AnnotationPath, "/p"), found(Found{Application: Word{Text: "connection refused"}})), nil, "connection refused", false},
		{"volume, nobody to ask", with(uses(volume), noReload, deaf), nil, "nothing can show", true},

		// others
		{"imagePullSecrets alone", with(uses(pull)), nil, "", false},
		{"imagePullSecrets and env", with(uses(pull, env)), nil, "waits for its restart", false},
		{"client of the vault", with(uses(client)), nil, "has not seen it on the new credential", false},
		{"client of the vault, seen", with(uses(client), found(Found{Backend: yes})), kinds(backend), "", false},
		{"client of the vault, nobody to ask", with(uses(client), deaf), nil, "nothing can show", true},
		{"named by the user, application", with(uses(named), deaf, found(Found{Application: yes})), kinds(application), "", false},
		{"env restarted, and a client of the vault", with(uses(env, client), deaf, stamp("secret/db=d7")), kinds(template), "vault: nothing can show", true},

		// what speaks against it outweighs
		{"application says no", with(stamp("secret/db=d7"), found(Found{Application: no, Backend: yes})), kinds(template, backend), "does not use version 7 (version 6)", false},
		{"backend says no", with(stamp("secret/db=d7"), found(Found{Backend: no})), kinds(template), "on the old credential", false},
		{"file says no", with(uses(volume), stamp("secret/db=d7"), found(Found{File: no, Application: yes})), kinds(template, application), "not that of version 7", false},
		{"backend says no, and nobody restarts", with(method("None"), found(Found{Backend: no})), nil, "set spec.rollout.method", true},

		// required by name
		{"Application required", with(require(application), stamp("secret/db=d7"), annotate(AnnotationPath, "/p")), kinds(template), "has not said", false},
		{"Application required, no endpoint", with(require(application), stamp("secret/db=d7")), kinds(template), AnnotationPath, true},
		{"Application required, given", with(require(application), found(Found{Application: yes})), kinds(application), "", false},
		{"File required of env", with(require(file), stamp("secret/db=d7")), kinds(template), "mounts no file", true},
		{"File required, no witness", with(require(file), uses(volume), deaf), nil, "deploy/witness", true},
		{"File required, given", with(require(file), uses(volume), found(Found{File: yes})), kinds(file), "", false},
		{"Backend required, none", with(require(backend), deaf), nil, "no backend that sees sessions", true},
		{"Template and Backend required, one given", with(require(template, backend), stamp("secret/db=d7")), kinds(template), "has not seen it", false},
		{"Template required, method None", with(require(template), method("None")), nil, "set spec.rollout.method", true},
		{"imagePullSecrets, all required", with(require(template, file, application, backend), uses(pull)), nil, "", false},

		// pods that go
		{"being deleted", with(deleting, method("None")), nil, "wait until it is gone", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := Judge(input(tc.change...))
			e := j.Pods[0]
			if e.Proven != (tc.missing == "") || !strings.Contains(e.Missing, tc.missing) {
				t.Errorf("proven %v, missing %q; want %q", e.Proven, e.Missing, tc.missing)
			}
			if !slices.Equal(e.Has, tc.has) {
				t.Errorf("has %v, want %v", e.Has, tc.has)
			}
			if (len(j.Never) == 1) != tc.never || (len(j.Missing) == 1) != (!tc.never && tc.missing != "") || j.Proven+len(j.Never)+len(j.Missing) != 1 {
				t.Errorf("proven %d, missing %q, never %q; want never %v", j.Proven, j.Missing, j.Never, tc.never)
			}
		})
	}
}

func kinds(k ...v1alpha1.EvidenceKind) []v1alpha1.EvidenceKind { return k }

// Those without proof come first, so that a status that is cut shows them.
func TestJudgeOrder(t *testing.T) {
	in := input(stamp("secret/db=d7"))
	for _, name := range []string{"web-2", "web-3"} {
		p := in.Pods[0]
		p.Object, p.UID = object("Pod", "shop", name), types.UID(name)
		if name == "web-3" {
			p.Stamp = ""
		}
		in.Pods = append(in.Pods, p)
	}
	j := Judge(in)
	var names []string
	for _, p := range j.Pods {
		names = append(names, p.Pod)
	}
	if got := strings.Join(names, " "); got != "web-3 web-1 web-2" || j.Proven != 2 {
		t.Errorf("order %q, %d proven", got, j.Proven)
	}
	if first := Limit(j.Pods, 1); len(first) != 1 || first[0].Pod != "web-3" {
		t.Errorf("limited to %v", first)
	}
	if all := Limit(j.Pods, 200); len(all) != 3 {
		t.Errorf("limited to %d", len(all))
	}
	if want := "shop/web-3: env DB_PASSWORD: it was started with older content of Secret db, and waits for its restart"; !slices.Equal(j.Missing, []string{want}) {
		t.Errorf("missing %q", j.Missing)
	}
	e := j.Pods[1]
	if e.Namespace != "shop" || e.UID != "u1" || e.Workload != "Deployment/web" || !slices.Equal(e.Uses, []string{"env DB_PASSWORD"}) {
		t.Errorf("evidence %+v", e)
	}
}

// Judge never proves a pod for which there is no evidence at all, whatever else
// there is; and what it says of a pod does not depend on other pods.
func TestJudgeNothingIsNoProof(t *testing.T) {
	all := []consumer.Use{env, side, volume, subPath, migrate, client, named}
	for mask := range 1 << len(all) {
		var some []consumer.Use
		for i, u := range all {
			if mask&(1<<i) != 0 {
				some = append(some, u)
			}
		}
		if len(some) == 0 {
			continue
		}
		for _, m := range []v1alpha1.RolloutMethod{"Template", "Evict", "None"} {
			if j := Judge(input(uses(some...), method(m))); j.Proven != 0 {
				t.Fatalf("%v by %s is proven by nothing", some, m)
			}
			if j := Judge(input(uses(some...), method(m), stamp("secret/db=d7"), found(Found{Application: no, Backend: yes, File: yes}))); j.Proven != 0 {
				t.Fatalf("%v by %s is proven against the application's word", some, m)
			}
		}
	}
}

func BenchmarkJudge500(b *testing.B) {
	in := input(stamp("secret/db=d7"))
	for i := range 499 {
		p := in.Pods[0]
		p.UID = types.UID(string(rune(i)))
		in.Pods = append(in.Pods, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		if Judge(in).Proven != 500 {
			b.Fatal("not all proven")
		}
	}
}

func TestDeclared(t *testing.T) {
	for _, tc := range []struct {
		value, version string
		ok             bool
	}{
		{"", "", false},
		{"shop/db=7", "7", true},
		{"shop/other=1, shop/db=7", "7", true},
		{"shop/db=", "", false},
		{"shop/dbx=7", "", false},
		{"shop/db", "", false},
	} {
		if version, ok := Declared(map[string]string{AnnotationVersion: tc.value}, "shop/db"); version != tc.version || ok != tc.ok {
			t.Errorf("%q: %q, %v", tc.value, version, ok)
		}
	}
}

// A status has room for 200 pods whatever each of them is.
func TestLimitIsInBytes(t *testing.T) {
	var pods []v1alpha1.PodEvidence
	for range 300 {
		e := v1alpha1.PodEvidence{Missing: strings.Repeat("env X: it was started with older content; ", 100)}
		for i := range 100 {
			e.Uses = append(e.Uses, fmt.Sprintf("volume %d/%s", i, strings.Repeat("p", 1000)))
		}
		pods = append(pods, e)
	}
	raw, err := json.Marshal(Limit(pods, 200))
	if err != nil || len(raw) > 400<<10 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if len(pods[0].Uses) != 100 || len(pods[0].Uses[0]) < 1000 {
		t.Error("the statement's evidence was cut too")
	}
	if few := Limit(pods[:1], 200); len(few) != 1 || few[0].Uses[8] != "and 92 more" {
		t.Errorf("%d pods, not cut as expected", len(few))
	}
}
