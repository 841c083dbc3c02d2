package rotation

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// until cancels once what is written holds want.
type until struct {
	want string
	said strings.Builder
	end  func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.said.Write(p)
	if strings.Contains(u.said.String(), u.want) {
		u.end()
	}
	return n, err
}

func with(t *testing.T, r *v1alpha1.Rotation) *cluster.Cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{coordinationv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return &cluster.Cluster{WithWatch: fake.NewClientBuilder().WithScheme(scheme).WithObjects(r).Build(), Namespace: "shop"}
}

func newRotation() *v1alpha1.Rotation {
	return &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", Generation: 1}}
}

// Who waits where no operator works is told so, and goes on waiting.
func TestNobodyWorksOnIt(t *testing.T) {
	r := newRotation()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stderr := &until{want: "is it running?", end: cancel}
	x := &commands{Session: &session.Session{Env: session.Env{Stdout: io.Discard, Stderr: stderr}}, now: time.Now, quiet: time.Millisecond}
	err := x.follow(ctx, with(t, r), r, func(*v1alpha1.Rotation) (bool, error) { return false, nil })
	if !strings.Contains(stderr.said.String(), stderr.want) {
		t.Errorf("nobody was told: %q, %v", stderr.said.String(), err)
	}
}

// Ctrl-C amid a rehearsal says where its answer will be.
func TestRehearsalGoesOn(t *testing.T) {
	r := newRotation()
	r.Annotations = map[string]string{v1alpha1.AnnotationTry: "once"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x := &commands{Session: &session.Session{}, now: time.Now}
	_, err := x.rehearsal(ctx, with(t, r), r, "once", time.Minute)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "rotation status -n shop db -format=json") {
		t.Error(err)
	}
}
