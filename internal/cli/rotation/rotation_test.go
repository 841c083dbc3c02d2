package rotation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/test/cluster"
)

var (
	testCluster *cluster.Cluster
	testClient  client.Client
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{Schemes: []func(*runtime.Scheme) error{v1alpha1.AddToScheme}}, func(s *apiserver.Server) (int, error) {
		testCluster, testClient = s.Cluster, s.Client
		return m.Run(), nil
	}))
}

// user is somebody at a terminal without a terminal.
type user struct {
	testing.TB
	settings map[string]string
	stdin    string
}

func newUser(t testing.TB) *user {
	return &user{TB: t, settings: map[string]string{"KUBECONFIG": testCluster.Kubeconfig(), "VAULT_MAX_RETRIES": "0"}}
}

func (u *user) into(ctx context.Context, out io.Writer, args ...string) (code int, complaint string) {
	var said bytes.Buffer
	env := session.System()
	env.Context, env.Stdin, env.Stdout, env.Stderr, env.ReadLine, env.ReadPassword = ctx, strings.NewReader(u.stdin), out, &said, nil, nil
	env.Getenv = func(name string) string { return u.settings[name] }
	return cli.Main(args, env), said.String()
}

// does runs a command that must succeed.
func (u *user) does(args ...string) string {
	u.Helper()
	var out bytes.Buffer
	if code, complaint := u.into(u.Context(), &out, args...); code != 0 {
		u.Fatalf("%v: exit code %d: %s", args, code, complaint)
	}
	return out.String()
}

// fails runs a command that must end with kind's exit code and say want.
func (u *user) fails(kind errs.Kind, want string, args ...string) {
	u.Helper()
	var out bytes.Buffer
	code, complaint := u.into(u.Context(), &out, args...)
	if code != kind.ExitCode() || !strings.Contains(complaint, want) {
		u.Errorf("%v: exit code %d, %q %q; want %d, %q", args, code, complaint, out.String(), kind.ExitCode(), want)
	}
}

// rotation makes a Rotation in a namespace of its own, with a status.
func rotation(t testing.TB, change func(*v1alpha1.Rotation)) *v1alpha1.Rotation {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "cli-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	r := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "db"}}
	r.Spec.Target.StoreRef.Name = "vault"
	r.Spec.Target.Database = &v1alpha1.DatabaseTarget{Role: "app"}
	if change != nil {
		change(r)
	}
	status := r.Status
	if err := testClient.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	setStatus(t, r, status)
	return r
}

func setStatus(t testing.TB, r *v1alpha1.Rotation, status v1alpha1.RotationStatus) {
	t.Helper()
	r.Status = status
	if err := testClient.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func annotations(t testing.TB, r *v1alpha1.Rotation) map[string]string {
	t.Helper()
	if err := testClient.Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil {
		t.Fatal(err)
	}
	return r.Annotations
}

func at(phase v1alpha1.Phase, turn int64) func(*v1alpha1.Rotation) {
	return func(r *v1alpha1.Rotation) {
		since := metav1.NewTime(time.Now().Add(-3 * time.Minute).Truncate(time.Second))
		r.Status = v1alpha1.RotationStatus{Phase: phase, Turn: turn, Cause: "Demand", Since: &since, Begun: &since}
		if phase == v1alpha1.PhaseHeld {
			r.Status.HeldFrom = v1alpha1.PhaseProving
		}
	}
}

func TestStatusShowsEvidence(t *testing.T) {
	u := newUser(t)
	old, fresh := int32(1), int32(2)
	r := rotation(t, func(r *v1alpha1.Rotation) {
		at(v1alpha1.PhaseHeld, 7)(r)
		s := &r.Status
		s.Version, s.PreviousVersion, s.Next, s.Statement = "7", "6", "2026-12-01T03:00:00Z", "evidence/statements/x/db/6"
		s.Proof = v1alpha1.ProofStatus{
			Summary: "1/2 pods", Secrets: 1, SecretsConfirmed: 1, Workloads: 2, Pods: 3, PodsProven: 1, OldSessions: &old, NewSessions: &fresh,
			Unknown: []string{"cluster eu: not reachable"},
			Evidence: []v1alpha1.PodEvidence{
				{Namespace: "shop", Pod: "worker-1", UID: "a", Workload: "Deployment/worker", Uses: []string{"env DB_PASSWORD"}, Missing: "restart it"},
				{Namespace: "shop", Pod: "web-1", UID: "b", Workload: "Deployment/web", Uses: []string{"volume /db"}, Has: []v1alpha1.EvidenceKind{v1alpha1.EvidenceFile, v1alpha1.EvidenceBackend}, Proven: true},
			},
		}
		s.Timeline = []v1alpha1.TimelineEntry{{Time: *s.Since, Turn: 7, Phase: v1alpha1.PhaseProving, Reason: "Rolled", Message: "every workload is restarted"}}
		s.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionHeld, Status: "True", Reason: "ProofImpossible", Message: "worker-1 never reloads; next: strongkeep rotation resume", LastTransitionTime: *s.Since}}
	})
	out := u.does("rotation", "status", "-n", r.Namespace, "db")
	for _, want := range []string{
		"Held (in Proving), for 3m", "7, cause Demand", "7, before 6", "1/1 hold the version", "1/3 proven, 2 workloads", "1 on the old credential, 2 on the new one",
		"cluster eu: not reachable", "worker-1", "restart it", "File, Backend", "and 1 more pods", "every workload is restarted", "ProofImpossible", "rotation evidence -n " + r.Namespace + " db",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
	var status struct {
		Namespace, Name string
		v1alpha1.RotationStatus
	}
	err := json.Unmarshal([]byte(u.does("rotation", "status", "-o=json", r.Namespace+"/db")), &status)
	if err != nil || status.Proof.PodsProven != 1 || status.Namespace != r.Namespace || status.Name != "db" {
		t.Errorf("as JSON: %v, %+v", err, status)
	}
	if got := u.does("rotation", "status", "-field=phase", r.Namespace+"/db"); strings.TrimSpace(got) != "Held" {
		t.Errorf("field phase: %q", got)
	}
	list := u.does("rotation", "list", "-A")
	if !strings.Contains(list, r.Namespace) || !strings.Contains(list, "ProofImpossible") || !strings.Contains(list, "never") {
		t.Errorf("list:\n%s", list)
	}
}

// What people ask for is written so that it counts for what they saw, and no more.
func TestAsks(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct {
		phase      v1alpha1.Phase
		args       []string
		annotation string
		value      func(*v1alpha1.Rotation) string // nil: any
	}{
		"start":    {v1alpha1.PhaseIdle, []string{"start"}, v1alpha1.AnnotationRotate, nil},
		"again":    {v1alpha1.PhaseFailed, []string{"start"}, v1alpha1.AnnotationRotate, nil},
		"leaked":   {v1alpha1.PhaseDone, []string{"leaked"}, v1alpha1.AnnotationLeaked, nil},
		"approve":  {v1alpha1.PhaseStaged, []string{"approve"}, v1alpha1.AnnotationApprove, turn},
		"hold":     {v1alpha1.PhaseRolling, []string{"hold", "-reason=release day"}, v1alpha1.AnnotationHold, func(*v1alpha1.Rotation) string { return "release day" }},
		"resume":   {v1alpha1.PhaseHeld, []string{"resume"}, v1alpha1.AnnotationResume, func(r *v1alpha1.Rotation) string { return r.Status.ResumeKey() }},
		"rollback": {v1alpha1.PhaseProving, []string{"rollback"}, v1alpha1.AnnotationBack, turn},
		"accept":   {v1alpha1.PhaseHeld, []string{"accept-unproven"}, v1alpha1.AnnotationAccept, turn},
	} {
		t.Run(name, func(t *testing.T) {
			u := &user{t, u.settings, ""}
			r := rotation(t, at(c.phase, 4))
			u.does(append([]string{"rotation", c.args[0], r.Namespace + "/db"}, c.args[1:]...)...)
			got := annotations(t, r)[c.annotation]
			if c.value == nil && got == "" || c.value != nil && got != c.value(r) {
				t.Errorf("annotation %q", got)
			}
		})
	}
}

func turn(r *v1alpha1.Rotation) string { return fmt.Sprint(r.Status.Turn) }

func TestResumeTakesThePersonsHoldAway(t *testing.T) {
	u := newUser(t)
	r := rotation(t, at(v1alpha1.PhaseProving, 2))
	u.does("rotation", "hold", r.Namespace+"/db", "-reason=lunch")
	u.does("rotation", "resume", r.Namespace+"/db")
	if a := annotations(t, r); a[v1alpha1.AnnotationHold] != "" || a[v1alpha1.AnnotationResume] != "" {
		t.Errorf("%v", a)
	}
}

// Where the operator's message says confirm-retired, that is taken: of manual keys and
// of certificates that others issued, on the way forward and on the way back.
func TestConfirmRetiredWhereItIsAskedFor(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct {
		target v1alpha1.Target
		phase  v1alpha1.Phase
		from   v1alpha1.Phase // where it is held
		want   string
	}{
		"manual":                      {v1alpha1.Target{Manual: &v1alpha1.ManualTarget{KVPath: v1alpha1.KVPath{Path: "x"}}}, v1alpha1.PhaseRetiring, "", "old credential"},
		"manual that goes back":       {v1alpha1.Target{Manual: &v1alpha1.ManualTarget{KVPath: v1alpha1.KVPath{Path: "x"}}}, v1alpha1.PhaseRollingBack, "", "new credential"},
		"manual, held going back":     {v1alpha1.Target{Manual: &v1alpha1.ManualTarget{KVPath: v1alpha1.KVPath{Path: "x"}}}, v1alpha1.PhaseHeld, v1alpha1.PhaseRollingBack, "new credential"},
		"certificate":                 {v1alpha1.Target{Certificate: &v1alpha1.CertificateTarget{KVPath: v1alpha1.KVPath{Path: "x"}, PKIRole: "web", CommonName: "web.test"}}, v1alpha1.PhaseRetiring, "", "old credential"},
		"certificate that goes back":  {v1alpha1.Target{Certificate: &v1alpha1.CertificateTarget{KVPath: v1alpha1.KVPath{Path: "x"}, PKIRole: "web", CommonName: "web.test"}}, v1alpha1.PhaseRollingBack, "", "new credential"},
		"manual, while it is needed":  {v1alpha1.Target{Manual: &v1alpha1.ManualTarget{KVPath: v1alpha1.KVPath{Path: "x"}}}, v1alpha1.PhaseProving, "", ""},
		"certificate, before it ends": {v1alpha1.Target{Certificate: &v1alpha1.CertificateTarget{KVPath: v1alpha1.KVPath{Path: "x"}, PKIRole: "web", CommonName: "web.test"}}, v1alpha1.PhaseQuiescing, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := &user{t, u.settings, ""}
			r := rotation(t, func(r *v1alpha1.Rotation) {
				at(c.phase, 4)(r)
				r.Spec.Target.Database, r.Spec.Target.Manual, r.Spec.Target.Certificate = nil, c.target.Manual, c.target.Certificate
				r.Status.HeldFrom = c.from
			})
			if c.want == "" {
				u.fails(errs.Conflict, "still needed", "rotation", "confirm-retired", r.Namespace+"/db")
				return
			}
			if said := u.does("rotation", "confirm-retired", r.Namespace+"/db"); !strings.Contains(said, c.want) {
				t.Errorf("it says %q", said)
			}
			if a := annotations(t, r); a[v1alpha1.AnnotationLost] != turn(r) {
				t.Errorf("annotations %v", a)
			}
		})
	}
}

// What makes no sense is refused with what to do instead, and nothing is written.
func TestRefusals(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct {
		change func(*v1alpha1.Rotation)
		args   []string
		kind   errs.Kind
		want   string
	}{
		"start amid a turn":      {at(v1alpha1.PhaseRolling, 3), []string{"start"}, errs.Conflict, "in turn 3 already"},
		"start while suspended":  {func(r *v1alpha1.Rotation) { r.Spec.Suspend = true }, []string{"start"}, errs.Conflict, "spec.suspend"},
		"approve too late":       {at(v1alpha1.PhaseProving, 3), []string{"approve"}, errs.Conflict, "approved already"},
		"approve nothing":        {at(v1alpha1.PhaseDone, 3), []string{"approve"}, errs.Conflict, "rotation start"},
		"roll back too late":     {at(v1alpha1.PhaseRetiring, 3), []string{"rollback"}, errs.Conflict, "nothing is left to go back to"},
		"roll back nothing":      {nil, []string{"rollback"}, errs.Conflict, "no turn under way"},
		"hold without a reason":  {at(v1alpha1.PhaseProving, 3), []string{"hold"}, errs.Invalid, "-reason"},
		"resume what goes on":    {at(v1alpha1.PhaseProving, 3), []string{"resume"}, errs.Conflict, "not held"},
		"confirm what is proven": {at(v1alpha1.PhaseRetiring, 3), []string{"confirm-retired"}, errs.Invalid, "not of kind manual or certificate"},
		"leak that is ignored":   {func(r *v1alpha1.Rotation) { no := false; r.Spec.Schedule.OnLeak = &no }, []string{"leaked"}, errs.Conflict, "onLeak"},
		"provide to a database":  {nil, []string{"provide"}, errs.Invalid, "not of kind manual"},
	} {
		t.Run(name, func(t *testing.T) {
			u := &user{t, u.settings, ""}
			r := rotation(t, c.change)
			u.fails(c.kind, c.want, "rotation", c.args[0], r.Namespace+"/db")
			if a := annotations(t, r); len(a) > 0 {
				t.Errorf("annotations %v", a)
			}
		})
	}
	r := rotation(t, nil)
	u.fails(errs.NotExist, "has: db", "rotation", "status", r.Namespace+"/bd")
	u.fails(errs.NotExist, "has none", "rotation", "status", "nowhere/db")
	u.fails(errs.Invalid, "NAMESPACE/NAME", "rotation", "status", "a/b/c")
	u.settings = map[string]string{}
	u.fails(errs.Invalid, "KUBECONFIG", "rotation", "list")
	u.settings = map[string]string{"KUBECONFIG": filepath.Join(t.TempDir(), "none")}
	u.fails(errs.Invalid, "no cluster is named", "rotation", "list")
}

// watch prints each step once, outlives what it saw, and ends where it is asked to.
func TestWatch(t *testing.T) {
	u := newUser(t)
	r := rotation(t, at(v1alpha1.PhaseRolling, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		got, complaint := u.into(ctx, in, "rotation", "watch", r.Namespace+"/db", "-until=done")
		if got != 0 {
			t.Error(complaint)
		}
		_ = in.Close()
		code <- got
	}()
	lines := make(chan string, 100)
	go func() {
		raw, _ := io.ReadAll(io.TeeReader(out, lineWriter{lines}))
		_ = raw
		close(lines)
	}()
	see := func(want string) {
		t.Helper()
		for line := range lines {
			if strings.Contains(line, want) {
				return
			}
		}
		t.Fatalf("never saw %q", want)
	}
	see("Rolling")
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseProving, v1alpha1.PhaseDone} {
		annotations(t, r)
		status := r.Status
		status.Phase = phase
		setStatus(t, r, status)
		see(string(phase))
	}
	if got := <-code; got != 0 {
		t.Error(got)
	}
}

type lineWriter struct{ to chan string }

func (w lineWriter) Write(p []byte) (int, error) { w.to <- string(p); return len(p), nil }

// start -wait ends as the turn does.
func TestWaitHeld(t *testing.T) {
	u := newUser(t)
	r := rotation(t, at(v1alpha1.PhaseIdle, 1))
	out, in := io.Pipe()
	go func() {
		buffer := make([]byte, 1000)
		for first := true; ; first = false {
			if _, err := out.Read(buffer); err != nil {
				return
			}
			if first {
				annotations(t, r)
				held := &v1alpha1.Rotation{}
				at(v1alpha1.PhaseHeld, 2)(held)
				setStatus(t, r, held.Status)
			}
		}
	}()
	code, complaint := u.into(t.Context(), in, "rotation", "start", "-wait", r.Namespace+"/db")
	_ = in.Close()
	if code != errs.Conflict.ExitCode() || !strings.Contains(complaint, "turn 2 is held") {
		t.Errorf("exit code %d: %s", code, complaint)
	}
}

const statement = `{"schema":"strongkeep.io/rotation-statement/v1","rotation":"shop/db","credential":"vault database/alternating-creds/app","turn":%d,
"cause":"Schedule","result":"Rotated","version":"%[1]d","phases":[],"ended":"2026-11-20T03:10:00Z","secrets":[{"namespace":"shop","name":"db","resourceVersion":"9"}],
"pods":{"total":1,"proven":1,"evidence":[{"namespace":"shop","pod":"web-1","uid":"u","workload":"Deployment/web","has":["Template"],"proven":true}]},
"retired":{"side":"old","time":"2026-11-20T03:09:00Z","proven":true},"unknown":[]}`

const wentBack = `{"schema":"strongkeep.io/rotation-statement/v1","rotation":"shop/back","credential":"vault database/alternating-creds/app","turn":1,
"cause":"Schedule","result":"RolledBack","reason":"RollBackAsked","message":"somebody asked to go back","version":"6","staged":"2026-11-20T03:01:00Z",
"phases":[{"phase":"Held","time":"2026-11-20T03:05:00Z","reason":"ProofImpossible","message":"worker-1 never reloads"}],"ended":"2026-11-20T03:10:00Z","secrets":[],
"pods":{"total":1,"proven":0,"evidence":[{"namespace":"shop","pod":"web-1","uid":"u","proven":false,"missing":"the turn ended before"}]},
"retired":{"side":"new","time":"2026-11-20T03:09:00Z","proven":true},"unknown":[]}`

// The statement of a turn is printed only if it and all before it verify, with
// the vault and without.
func TestEvidence(t *testing.T) {
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("evidence", &vault.MountInput{Type: "evidence"}); err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	u.settings["VAULT_ADDR"], u.settings["VAULT_CACERT"], u.settings["VAULT_TOKEN"] = v.Server.URL(), v.Server.CAFile(), v.Root
	keys := filepath.Join(t.TempDir(), "evidence.pem")
	if err := os.WriteFile(keys, []byte(u.does("read", "-field=public_keys", "evidence/keys")), 0o600); err != nil {
		t.Fatal(err)
	}
	for turn := range 3 {
		var s map[string]any
		if err := json.Unmarshal(fmt.Appendf(nil, statement, turn+1), &s); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Logical().Write("evidence/statements/shop/db", map[string]any{"turn": turn + 1, "statement": s}); err != nil {
			t.Fatal(err)
		}
		if turn == 1 {
			u.does("write", "-f", "evidence/keys/rotate")
		}
	}
	saved := filepath.Join(t.TempDir(), "statements")
	out := u.does("rotation", "evidence", "shop/db", "-key="+keys, "-save="+saved)
	for _, want := range []string{"turn 3: Rotated", "web-1", "Template", "a use of it was tried and refused", "3 statement(s)", "as number 3"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if out := u.does("rotation", "evidence", "-n=shop", "db", "-turn=2"); !strings.Contains(out, "turn 2: Rotated") {
		t.Error(out)
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(wentBack), &back); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Logical().Write("evidence/statements/shop/back", map[string]any{"turn": 1, "statement": back}); err != nil {
		t.Fatal(err)
	}
	out = u.does("rotation", "evidence", "shop/back")
	for _, want := range []string{"turn 1: RolledBack", "RollBackAsked: somebody asked to go back", "for ProofImpossible: worker-1 never reloads", "2026-11-20T03:01:00Z", "the new credential at", "0 of 1 proven"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if out := u.does("rotation", "evidence", "shop/back", "-o=json"); !strings.Contains(out, `"result": "RolledBack"`) || !strings.Contains(out, `"reason": "RollBackAsked"`) {
		t.Error(out)
	}
	u.fails(errs.NotExist, "no statement of turn 9", "rotation", "evidence", "shop/db", "-turn=9")
	u.fails(errs.NotExist, "no statement at evidence/", "rotation", "evidence", "shop/other")
	u.fails(errs.Invalid, "-key", "rotation", "verify", saved)

	// The key that was kept does not know the third statement's; all keys do.
	var printed bytes.Buffer
	if code, complaint := u.into(t.Context(), &printed, "rotation", "verify", saved, "-key="+keys); code != 10 || !strings.Contains(complaint, "not among the 1 trusted") || printed.Len() > 0 {
		t.Errorf("exit code %d, %s %s", code, complaint, printed.String())
	}
	all := filepath.Join(t.TempDir(), "all.pem")
	if err := os.WriteFile(all, []byte(u.does("read", "-field=public_keys", "evidence/keys")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := u.does("rotation", "verify", saved, "-key="+all, "-o=json"); !strings.Contains(out, `"verified": true`) {
		t.Error(out)
	}
	raw, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	for name, c := range map[string]struct {
		spoilt []byte
		code   int
	}{
		"one left out": {append(bytes.Clone(lines[0]), lines[2]...), 10},
		"cut":          {raw[:len(raw)-20], 10},
		"empty":        {nil, errs.Invalid.ExitCode()},
	} {
		if err := os.WriteFile(saved, c.spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		var printed bytes.Buffer
		if code, complaint := u.into(t.Context(), &printed, "rotation", "verify", saved, "-key="+all); code != c.code || printed.Len() > 0 {
			t.Errorf("%s: exit code %d, %s %s", name, code, complaint, printed.String())
		}
	}
}

// A key that a person makes reaches the vault, and nothing else.
func TestProvide(t *testing.T) {
	const canary = "canary-91ad"
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	u.settings["VAULT_ADDR"], u.settings["VAULT_CACERT"], u.settings["VAULT_TOKEN"] = v.Server.URL(), v.Server.CAFile(), v.Root
	r := rotation(t, func(r *v1alpha1.Rotation) {
		r.Spec.Target.Database = nil
		r.Spec.Target.Manual = &v1alpha1.ManualTarget{KVPath: v1alpha1.KVPath{Path: "shop/payment"}}
	})
	name := r.Namespace + "/db"
	u.stdin = canary
	if out := u.does("rotation", "provide", name, "api_key=-"); strings.Contains(out, canary) || !strings.Contains(out, "rotation start") {
		t.Error(out)
	}
	got, err := v.KVv2("secret").Get(t.Context(), "strongkeep-provided/shop/payment")
	if err != nil || got.Data["api_key"] != canary {
		t.Errorf("%v", err)
	}
	u.fails(errs.Invalid, "no property", "rotation", "provide", name)
	u.stdin = " \n"
	u.fails(errs.Invalid, "empty", "rotation", "provide", name, "api_key=-")
	u.stdin = canary
	u.settings["VAULT_TOKEN"] = v.Policy("none", `path "x" { capabilities = ["read"] }`)
	u.fails(errs.Denied, "manual.md", "rotation", "provide", name, "api_key=-")
	if text := fmt.Sprint(annotations(t, r), r.Status); strings.Contains(text, canary) {
		t.Error("the Rotation holds the key")
	}
}

// The report has Rotations, fed Secrets and those of a class, and never a value.
func TestReport(t *testing.T) {
	const canary = "canary-77c1"
	u := newUser(t)
	old := metav1.NewTime(time.Now().Add(-400 * 24 * time.Hour))
	r := rotation(t, func(r *v1alpha1.Rotation) {
		at(v1alpha1.PhaseIdle, 3)(r)
		r.Labels = map[string]string{"strongkeep.io/owner": "payments"}
		r.Status.PublishedAt, r.Status.LastDone = &old, &old
	})
	age := metav1.Duration{Duration: 90 * 24 * time.Hour}
	p := &v1alpha1.RotationPolicy{ObjectMeta: metav1.ObjectMeta{Name: r.Namespace}, Spec: v1alpha1.RotationPolicySpec{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: r.Namespace}},
		Classes:           []v1alpha1.CredentialClass{{Name: "database", MaxAge: &age}, {Name: "tls", MaxAge: &age, SecretTypes: []string{"example.com/key"}}},
	}}
	key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: "key"}, Type: "example.com/key", StringData: map[string]string{"k": canary}}
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: "other"}, StringData: map[string]string{"k": canary}}
	for _, o := range []client.Object{p, key, other} {
		if err := testClient.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	out := u.does("rotation", "report", "-n="+r.Namespace)
	for _, want := range []string{"payments", "400d", "90d", "key", "2 credentials: 1 overdue"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "other") || strings.Contains(out, canary) {
		t.Errorf("too much in:\n%s", out)
	}
	var rows bytes.Buffer
	if code, complaint := u.into(t.Context(), &rows, "rotation", "report", "-n="+r.Namespace, "-overdue", "-fail-overdue", "-csv"); code != 10 || strings.Count(rows.String(), "\n") != 2 {
		t.Errorf("exit code %d, %s, %s", code, complaint, rows.String())
	}
	var all struct{ Credentials []map[string]any }
	if err := json.Unmarshal([]byte(u.does("rotation", "report", "-A", "-o=json")), &all); err != nil || len(all.Credentials) < 2 {
		t.Errorf("%v, %d rows", err, len(all.Credentials))
	}
}
