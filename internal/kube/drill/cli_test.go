package drill_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// run runs the command line as a person with a kubeconfig does.
func (w *world) run(args ...string) (code int, out, complaint string) {
	w.Helper()
	var stdout, stderr bytes.Buffer
	env := session.System()
	env.Context, env.Stdin, env.Stdout, env.Stderr, env.ReadLine, env.ReadPassword = w.Context(), strings.NewReader(""), &stdout, &stderr, nil, nil
	settings := map[string]string{"KUBECONFIG": testCluster.Kubeconfig(), "HOME": w.TempDir()}
	env.Getenv = func(name string) string { return settings[name] }
	code = cli.Main(args, env)
	if strings.Contains(stdout.String()+stderr.String(), canary) {
		w.Errorf("%v shows a secret value", args)
	}
	return code, stdout.String(), stderr.String()
}

// does runs a command that must succeed, and say each of wants.
func (w *world) does(wants []string, args ...string) string {
	w.Helper()
	code, out, complaint := w.run(args...)
	if code != 0 {
		w.Fatalf("%v: exit code %d: %s", args, code, complaint)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			w.Errorf("%v lacks %q:\n%s", args, want, out)
		}
	}
	return out
}

func (w *world) fails(kind errs.Kind, want string, args ...string) {
	w.Helper()
	code, out, complaint := w.run(args...)
	if code != kind.ExitCode() || !strings.Contains(complaint, want) {
		w.Errorf("%v: exit code %d, %q %q; want %d, %q", args, code, complaint, out, kind.ExitCode(), want)
	}
}

// A drill from its beginning to its end, by the command line alone.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	w.ready()
	w.fails(errs.NotExist, "has none", "drill", "status", "-n", w.ns, "x")
	w.fails(errs.Invalid, "deployment/NAME", "drill", "start", "-n", w.ns, "web", "-failure=StoreAway")
	w.fails(errs.Invalid, "between 1s and 1h", "drill", "start", "-n", w.ns, "deployment/web", "-failure=StoreAway", "-duration=2h")
	w.fails(errs.Conflict, "NoWorkload", "drill", "start", "-n", w.ns, "deployment/nope", "-failure=StoreAway", "-name=nope")
	w.does([]string{"Refused (NoWorkload)", "there is no Deployment"}, "drill", "status", "-n", w.ns, "nope")
	w.does([]string{"has begun: CredentialRefused of Deployment web until", "strongkeep drill stop -n " + w.ns + " first"},
		"drill", "start", "-n", w.ns, "deploy/web", "-failure=CredentialRefused", "-duration=30m", "-name=first")
	w.wrong("first")
	w.does([]string{"first", "Deployment/web", "CredentialRefused", "Running"}, "drill", "list", "-n", w.ns)
	w.await("it is found", func() bool {
		_, out, _ := w.run("drill", "status", "-n", w.ns, "first")
		return strings.Contains(out, "wrote wrong values into Secret db")
	})
	w.fails(errs.NotExist, "has: first, nope", "drill", "stop", "-n", w.ns, "second")
	w.does([]string{"is over; everything is as it was"}, "drill", "stop", "-n", w.ns, "first")
	w.right()
	w.phase("first", v1alpha1.DrillOver, "Stopped")
	w.does([]string{"Over (Stopped)", "Recovered", "the workload was as well as before"}, "drill", "status", w.ns+"/first")
	w.does([]string{"is over (Stopped) already"}, "drill", "stop", w.ns+"/first")
	w.does([]string{`"phase": "Over"`}, "drill", "status", "-o", "json", w.ns+"/first")
	out := w.does([]string{"has begun: SlowSync", "Over (TimeIsUp)"}, "drill", "start", "-n", w.ns, "deployment/web", "-failure=slow-sync", "-delay=1s", "-duration=3s", "-wait")
	if !strings.Contains(out, w.ns+"/web-slowsync-") {
		t.Errorf("the name made up:\n%s", out)
	}
}
