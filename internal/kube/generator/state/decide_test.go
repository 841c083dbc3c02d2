package state

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	lease := record.Term{Since: noon, Expires: noon.Add(time.Hour), Renewable: true}
	for name, c := range map[string]struct {
		seen Seen
		want Plan
	}{
		"made, and not written yet":               {Seen{Now: noon, Deadline: noon.Add(unused)}, Plan{Action: Wait, Next: unused}},
		"killed before it was written":            {Seen{Now: noon.Add(unused), Deadline: noon.Add(unused)}, Plan{Action: Collect}},
		"written":                                 {Seen{Now: noon, Deadline: noon.Add(unused), Held: true}, Plan{Action: ClearDeadline}},
		"written late":                            {Seen{Now: noon.Add(time.Hour), Deadline: noon, Held: true}, Plan{Action: ClearDeadline}},
		"in use, without an end":                  {Seen{Now: noon, Held: true}, Plan{Action: Wait}},
		"in use":                                  {Seen{Now: noon, Held: true, Term: lease}, Plan{Action: Wait, Next: 40 * time.Minute}},
		"in use, to be renewed":                   {Seen{Now: noon.Add(40 * time.Minute), Held: true, Term: lease}, Plan{Action: Renew}},
		"in use, and over":                        {Seen{Now: noon.Add(time.Hour), Held: true, Term: lease}, Plan{Action: Wait}},
		"in use, by a clock that was ahead":       {Seen{Now: noon.Add(-24 * time.Hour), Held: true, Term: lease}, Plan{Action: Renew}},
		"replaced":                                {Seen{Now: noon, Grace: Grace}, Plan{Action: SetDeadline, Deadline: noon.Add(Grace)}},
		"replaced, in its grace":                  {Seen{Now: noon, Deadline: noon.Add(time.Second), Grace: Grace}, Plan{Action: Wait, Next: time.Second}},
		"replaced, grace over":                    {Seen{Now: noon, Deadline: noon}, Plan{Action: Collect}},
		"owner gone, Secret there":                {Seen{Now: noon, Orphan: true, Held: true}, Plan{Action: Wait, Next: orphanLook}},
		"owner gone, Secret there, deadline over": {Seen{Now: noon.Add(time.Hour), Deadline: noon, Orphan: true, Held: true}, Plan{Action: Wait, Next: orphanLook}},
		"owner and Secret gone":                   {Seen{Now: noon, Deadline: noon.Add(unused), Orphan: true}, Plan{Action: Collect}},
		"claimed":                                 {Seen{Now: noon, Claimed: true, Held: true}, Plan{Action: Collect}}, // which asks the live Secret
	} {
		if got := Decide(c.seen); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Whatever is seen: what a Secret holds is neither taken back nor given a deadline,
// unless it is claimed, and then the live Secret is asked.
func FuzzDecide(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), false, false, true, false)
	f.Fuzz(func(t *testing.T, now, deadline, expires int64, renewable, claimed, held, orphan bool) {
		s := Seen{Now: time.Unix(now, 0), Claimed: claimed, Held: held, Orphan: orphan, Grace: Grace,
			Term: record.Term{Since: time.Unix(0, 0), Expires: time.Unix(expires, 0), Renewable: renewable}}
		if deadline != 0 {
			s.Deadline = time.Unix(deadline, 0)
		}
		p := Decide(s)
		if held && !claimed && (p.Action == Collect || p.Action == SetDeadline) {
			t.Errorf("%+v: %+v", s, p)
		}
		if !held && !claimed && !orphan && p.Action == Collect && s.Now.Before(s.Deadline) {
			t.Errorf("%+v: collected before its deadline", s)
		}
	})
}
