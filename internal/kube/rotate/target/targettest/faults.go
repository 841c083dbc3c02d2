package targettest

import (
	"context"
	"encoding/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// faults lets one request to the vault fail: before the vault has it, or behind
// what it did, as when an operator is killed before it hears the answer.
type faults struct {
	at     int  // the number of the request, from 0
	behind bool // it is carried out, and its answer lost
	calls  int
	hit    bool
}

// maxRequests bounds those of one turn.
const maxRequests = 200

type faulty struct {
	target.Vault
	*faults
}

func (f faulty) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	now := f.calls == f.at
	f.calls++
	if !now {
		return f.Vault.Call(ctx, method, path, body)
	}
	f.hit = true
	if f.behind {
		_, _ = f.Vault.Call(ctx, method, path, body)
	}
	return nil, errs.New(errs.Unavailable, "the connection was lost on purpose")
}

// testFaults loses every request of a turn once, before and behind what it does,
// on the way forward and back. The act that was broken off is done again by an
// operator that has just started, and the turn ends as if nothing had been.
func testFaults(r *run) {
	ways := [][]act{
		{stage, publish, closing, retire},
		{stage, publish, closing, reopen, restore, discard},
	}
	number := int64(1)
	old := r.turn(number)
	for _, way := range ways {
		for _, behind := range []bool{false, true} {
			for at := 0; ; at++ {
				if at == maxRequests {
					r.Fatalf("a turn of %v makes over %d requests", way, maxRequests)
				}
				number++
				r.faults = &faults{at: at, behind: behind}
				r.goWay(way, number)
				hit := r.faults.hit
				r.faults = nil
				old = r.checkEnd(way, number, old)
				if r.Failed() {
					r.Fatalf("turn %d: %v with request %d lost, behind its effect: %v", number, way, at, behind)
				}
				if !hit {
					break
				}
			}
		}
	}
}

// goWay does each act until it succeeds; one of the requests fails once.
func (r *run) goWay(way []act, number int64) {
	r.Helper()
	for _, a := range way {
		var err error
		for range 2 {
			if _, err = r.try(a, number, Rotation); err == nil {
				break
			}
			if !errs.Is(err, errs.Unavailable) {
				r.Errorf("turn %d: %v: %v (%v), want the lost connection", number, a, err, errs.KindOf(err))
			}
		}
		if err != nil {
			r.Errorf("turn %d: %v does not go on: %v", number, a, err)
			return
		}
	}
}

// checkEnd checks what is left of a turn, and that all can be done again.
func (r *run) checkEnd(way []act, number int64, old Credential) Credential {
	r.Helper()
	now, _ := r.read()
	r.works("at the end:", now, true)
	last := way[len(way)-1]
	r.do(last, number)
	if last == retire {
		if now == old {
			r.Errorf("turn %d left the old credential", number)
		}
		r.works("at the end, the old one:", old, false)
	} else if now != old {
		r.Errorf("turn %d went back and left another credential", number)
	}
	return now
}
