package targettest

import (
	"encoding/json"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// What is lent is what readers see once it is published; nobody sees it before,
// and nothing is lent of a turn that is not staged, or is another's.
func testLender(r *run) {
	old := r.turn(1)
	if _, ok := r.open(Rotation).(target.Lender); !ok {
		return
	}
	r.lendsNothing("a turn that is over", 1, Rotation)
	r.do(stage, 2)
	r.lendsNothing("the turn after", 3, Rotation)
	r.lendsNothing("another's turn", 2, "team/other")
	staged := r.lent(2)
	if c, _ := r.read(); c != old {
		r.Error("readers see another credential than before")
	}
	r.works("lent, the old one:", old, true)
	r.do(publish, 2)
	if fresh, _ := r.read(); !slices.Contains(staged, fresh.Secret) {
		r.Error("what was published is not what was lent")
	}
	r.do(restore, 2)
	r.do(discard, 2)
	r.do(stage, 3)
	gone := r.lent(3)
	r.do(discard, 3)
	r.lendsNothing("a turn that was discarded", 3, Rotation)
	if c, _ := r.read(); c != old || !slices.ContainsFunc(gone, func(value string) bool { return value != old.Secret }) {
		r.Error("readers see another credential than before, or nothing new was lent")
	}
}

// lent returns the values of what is staged.
func (r *run) lent(number int64) []string {
	r.Helper()
	raw, err := r.open(Rotation).(target.Lender).Lend(r.Context(), target.Turn{Number: number, Rotation: Rotation})
	if err != nil {
		r.Fatalf("lending what turn %d has staged: %v", number, err)
	}
	var properties map[string]any
	if err := json.Unmarshal(raw.Reveal(), &properties); err != nil {
		r.Fatalf("what turn %d lends is no JSON object", number)
	}
	var values []string
	for _, v := range properties {
		if text, ok := v.(string); ok {
			values = append(values, text)
		}
	}
	return values
}

func (r *run) lendsNothing(what string, number int64, rotation string) {
	r.Helper()
	raw, err := r.open(rotation).(target.Lender).Lend(r.Context(), target.Turn{Number: number, Rotation: rotation})
	if !errs.Is(err, errs.Conflict) || !raw.Empty() {
		r.Errorf("lending of %s: %v (%v)", what, err, errs.KindOf(err))
	}
	if err != nil {
		r.note(err.Error())
	}
}
