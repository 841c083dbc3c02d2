package slot

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// of is a Rotation "namespace/name" that entered its phase a minute ago.
func of(name string, phase v1alpha1.Phase) v1alpha1.Rotation {
	ns, _, _ := strings.Cut(name, "/")
	since := metav1.NewTime(now.Add(-time.Minute))
	return v1alpha1.Rotation{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(name), Namespace: ns, Name: name},
		Status:     v1alpha1.RotationStatus{Phase: phase, PublishedAt: &since, Since: &since},
	}
}

func TestSlots(t *testing.T) {
	s := New(2)
	all := []v1alpha1.Rotation{of("a", v1alpha1.PhaseStaged), of("b", v1alpha1.PhaseStaged), of("c", v1alpha1.PhaseStaged), of("held", v1alpha1.PhaseHeld), of("idle", v1alpha1.PhaseIdle)}
	a, b, c := &all[0], &all[1], &all[2]
	if !s.Offer(a, all, now) || !s.Offer(b, all, now) || s.Offer(c, all, now) {
		t.Fatal("two of three that ask at once must get a slot, though the cache shows none")
	}
	if !s.Offer(a, all, now) {
		t.Error("a slot that was granted is refused to who has it")
	}
	a.Status.Phase = v1alpha1.PhaseRolling
	b.Status.Phase = v1alpha1.PhaseRollingBack
	if s.Offer(c, all, now) || len(s.granted) != 0 {
		t.Errorf("what the cache shows is not counted once: %v", s.granted)
	}
	a.Status.Phase = v1alpha1.PhaseDone
	if !s.Offer(c, all, now) {
		t.Error("a turn that is over keeps its slot")
	}
	s.Release("c")
	s.granted["gone"] = true
	if !s.Offer(a, all, now) || s.granted["gone"] {
		t.Error("a Rotation that is gone keeps its slot")
	}
}

// Turns of one tenant that wait for proof, for ever, keep nobody from turning.
func TestWaitingTakesNoSlot(t *testing.T) {
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing, v1alpha1.PhaseRetiring, v1alpha1.PhaseHeld, v1alpha1.PhaseDone} {
		var all []v1alpha1.Rotation
		for i := range 10 {
			all = append(all, of(fmt.Sprintf("tenant/%d", i), phase))
		}
		all = append(all, of("other/a", v1alpha1.PhaseStaged), of("tenant/a", v1alpha1.PhaseStaged))
		s := New(10)
		for _, asks := range []int{10, 11} {
			if !s.Offer(&all[asks], all, now) {
				t.Errorf("ten turns in %s keep %s waiting", phase, all[asks].Name)
			}
		}
	}
}

// One namespace gets half of the slots, and all of them where it is alone.
func TestOneNamespaceTakesHalf(t *testing.T) {
	for limit, most := range map[int]int{1: 1, 2: 1, 3: 2, 10: 5} {
		for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseStaged, v1alpha1.PhaseRolling} { // granted, or seen
			s := New(limit)
			var all []v1alpha1.Rotation
			for i := range 20 {
				all = append(all, of(fmt.Sprintf("tenant/%02d", i), v1alpha1.PhaseStaged))
			}
			offer := func(all []v1alpha1.Rotation) (got int) {
				for i := range all {
					if all[i].Namespace == "tenant" && all[i].Status.Phase == v1alpha1.PhaseStaged && s.Offer(&all[i], all, now) {
						all[i].Status.Phase = phase
						got++
					}
				}
				return got
			}
			shared := append(append([]v1alpha1.Rotation(nil), all...), of("other/a", v1alpha1.PhaseStaged))
			if got := offer(shared); got != most {
				t.Errorf("of %d slots one namespace takes %d, want %d", limit, got, most)
			}
			if got := s.Offer(&shared[20], shared, now); got != (limit > 1) {
				t.Errorf("of %d slots another namespace gets one: %v", limit, got)
			}
			s = New(limit)
			if got := offer(all); got != limit {
				t.Errorf("alone, a namespace takes %d of %d slots", got, limit)
			}
		}
	}
}

// Whatever a turn waits for, it does not keep others waiting for ever.
func TestSlotsEnd(t *testing.T) {
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseRollingBack} {
		all := []v1alpha1.Rotation{of("a/x", phase), of("b/x", v1alpha1.PhaseStaged)}
		s := New(1)
		for after, want := range map[time.Duration]bool{0: false, Longest - 2*time.Minute: false, Longest: true} {
			if got := s.Offer(&all[1], all, now.Add(after)); got != want {
				t.Errorf("%s for %v and a minute: another gets the slot: %v", phase, after, got)
			}
			s.Release("b/x")
		}
	}
}

// The holder of a turn that goes on wins, whoever is older; else the oldest does.
func TestRival(t *testing.T) {
	rotation := func(name string, age time.Duration, phase v1alpha1.Phase) v1alpha1.Rotation {
		r := of("ns/"+name, phase)
		r.Name, r.CreationTimestamp = name, metav1.NewTime(now.Add(-age))
		r.Status.Location, r.Status.Turn = "there", 7
		return r
	}
	deleted := func(r v1alpha1.Rotation) v1alpha1.Rotation {
		r.DeletionTimestamp = &metav1.Time{Time: now}
		return r
	}
	elsewhere := rotation("elsewhere", 9*time.Hour, v1alpha1.PhaseRolling)
	elsewhere.Status.Location = "elsewhere"
	me := rotation("me", 2*time.Hour, v1alpha1.PhaseIdle)
	for what, c := range map[string]struct {
		others []v1alpha1.Rotation
		want   string // who is named; "" = nobody is in the way
	}{
		"alone":                       {nil, ""},
		"another credential":          {[]v1alpha1.Rotation{elsewhere}, ""},
		"a younger":                   {[]v1alpha1.Rotation{rotation("young", time.Hour, v1alpha1.PhaseIdle)}, ""},
		"an older":                    {[]v1alpha1.Rotation{rotation("old", 3*time.Hour, v1alpha1.PhaseIdle)}, "ns/old"},
		"the oldest of several":       {[]v1alpha1.Rotation{rotation("old", 3*time.Hour, v1alpha1.PhaseIdle), rotation("oldest", 4*time.Hour, v1alpha1.PhaseFailed)}, "ns/oldest"},
		"a younger amid its turn":     {[]v1alpha1.Rotation{rotation("young", time.Hour, v1alpha1.PhaseRolling)}, "turn 7 of Rotation ns/young"},
		"a younger, held":             {[]v1alpha1.Rotation{rotation("old", 3*time.Hour, v1alpha1.PhaseIdle), rotation("young", time.Hour, v1alpha1.PhaseHeld)}, "turn 7 of Rotation ns/young"},
		"one that ends its last turn": {[]v1alpha1.Rotation{deleted(rotation("old", 3*time.Hour, v1alpha1.PhaseQuiescing))}, "turn 7 of Rotation ns/old"},
		"one that goes":               {[]v1alpha1.Rotation{deleted(rotation("old", 3*time.Hour, v1alpha1.PhaseIdle))}, ""},
	} {
		got := Rival(&me, "there", append(c.others, me))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	if got := Rival(&me, "", []v1alpha1.Rotation{rotation("old", 3*time.Hour, v1alpha1.PhaseIdle)}); got != "" {
		t.Errorf("without a location: %q", got)
	}
}
