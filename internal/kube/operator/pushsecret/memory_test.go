package pushsecret

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Who is woken amid a push is pushed again, whatever came of that one.
func TestWokenAmidAPush(t *testing.T) {
	var m memories
	key := types.NamespacedName{Name: "p"}
	for name, end := range map[string]func(before memory){
		"failed":    func(before memory) { m.failed(key, before, "seen", time.Minute, time.Time{}) },
		"succeeded": func(before memory) { m.succeeded(key, before, "seen") },
	} {
		before := m.get(key)
		end(before)
		if got := m.get(key); got.seen != "seen" {
			t.Errorf("%s: %+v", name, got)
		}
		before = m.get(key)
		m.wake(key)
		m.patched(key, target.Patch{Version: "7"})
		end(before)
		if got := m.get(key); got.seen != "" || got.status.Version != "7" {
			t.Errorf("%s, and woken meanwhile: %+v", name, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		failures int
		kind     errs.Kind
		want     time.Duration
	}{
		{1, errs.Unavailable, time.Second}, {3, errs.Conflict, 4 * time.Second}, {99, errs.Unavailable, 5 * time.Minute},
		{1, errs.Invalid, 30 * time.Second}, {2, errs.Unsupported, time.Minute}, {99, errs.TooLarge, 5 * time.Minute},
	} {
		if got := retryAfter(c.failures, errs.New(c.kind, "x")); got != c.want {
			t.Errorf("%d failures of kind %v: %v, want %v", c.failures, c.kind, got, c.want)
		}
	}
}

// A condition tells of a few errors, each once, and is tried again as the most
// hopeful of them.
func TestJoined(t *testing.T) {
	if joined(nil) != nil {
		t.Error("no errors are one")
	}
	list := []error{errs.New(errs.Invalid, "a"), errs.New(errs.Invalid, "a"), errs.New(errs.Unavailable, "down")}
	for i := range 9 {
		list = append(list, errs.Newf(errs.Denied, "e%d", i))
	}
	err := joined(list)
	if want := fmt.Sprintf("a; down; e0; e1; and %d more", len(list)-maxTold); err.Error() != want || errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%q (%v), want %q", err, errs.KindOf(err), want)
	}
}
