package rotation_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Ctrl-C is no success for who waits for something: what goes on is said, with
// the command that shows it. A watch that waits for nothing just ends.
func TestCtrlCAmidAWait(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"watch":           {[]string{"watch"}, 0, ""},
		"watch for phase": {[]string{"watch", "-until=Done"}, 130, "last seen in phase Idle"},
		"start":           {[]string{"start", "-wait"}, 130, "rotation status -n NS db"},
	} {
		t.Run(name, func(t *testing.T) {
			r := rotation(t, at(v1alpha1.PhaseIdle, 1))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, in := io.Pipe()
			go func() { // until it shows where the Rotation is
				for s := bufio.NewScanner(out); s.Scan(); {
					if strings.Contains(s.Text(), "Idle") {
						cancel()
					}
				}
			}()
			code, complaint := newUser(t).into(ctx, in, append([]string{"rotation"}, append(c.args, r.Namespace+"/db")...)...)
			_ = in.Close()
			if want := strings.ReplaceAll(c.want, "NS", r.Namespace); code != c.code || !strings.Contains(complaint, want) || want == "" && complaint != "" {
				t.Errorf("exit code %d, %q; want %d, %q", code, complaint, c.code, want)
			}
		})
	}
}

// Ctrl-C amid a rehearsal is no answer.
func TestCtrlCAmidARehearsal(t *testing.T) {
	r := rotation(t, at(v1alpha1.PhaseIdle, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for now := r.DeepCopy(); ctx.Err() == nil; {
			if err := testClient.Get(ctx, client.ObjectKeyFromObject(r), now); err == nil && now.Annotations[v1alpha1.AnnotationTry] != "" {
				cancel()
			}
		}
	}()
	var out bytes.Buffer
	code, complaint := newUser(t).into(ctx, &out, "rotation", "rehearse", r.Namespace+"/db")
	if code != 130 || !strings.Contains(complaint, "interrupted") {
		t.Errorf("exit code %d, %q", code, complaint)
	}
}

// What a person mistypes is named, with what there is.
func TestMistyped(t *testing.T) {
	u := newUser(t)
	r := rotation(t, nil)
	u.fails(errs.Invalid, "use some of Idle, Staging", "rotation", "watch", r.Namespace+"/db", "-until=Finished")
	u.fails(errs.Invalid, `no context "prod"; it has: `, "rotation", "list", "-context=prod")
	none := filepath.Join(t.TempDir(), "none")
	u.settings = map[string]string{"KUBECONFIG": none}
	u.fails(errs.Invalid, "there is no "+none, "rotation", "list")
	u.fails(errs.Invalid, "there is no "+none, "rotation", "list", "-context=prod")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("apiVersion: v1\nkind: Config\nusers: [{name: a, user: {}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u.settings = map[string]string{"KUBECONFIG": empty}
	u.fails(errs.Invalid, "no context", "rotation", "list", "-context=prod")
}

// Programs that read the status learn whose it is.
func TestStatusForPrograms(t *testing.T) {
	u := newUser(t)
	r := rotation(t, at(v1alpha1.PhaseRolling, 4))
	var s struct {
		Namespace, Name string
		Turn            int64
		Phase           v1alpha1.Phase
	}
	text := u.does("rotation", "status", "-format=json", r.Namespace+"/db")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if s.Namespace != r.Namespace || s.Name != "db" || s.Turn != 4 || s.Phase != v1alpha1.PhaseRolling {
		t.Errorf("%+v in %s", s, text)
	}
	if got := strings.TrimSpace(u.does("rotation", "status", "-field=phase", r.Namespace+"/db")); got != "Rolling" {
		t.Errorf("-field=phase: %q", got)
	}
}
