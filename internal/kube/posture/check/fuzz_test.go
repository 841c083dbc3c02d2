package check_test

import (
	"bytes"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// FuzzExceptions: whatever a file has, an exception that is read has an owner, a
// reason and an end, and anything else is refused as invalid.
func FuzzExceptions(f *testing.F) {
	f.Add([]byte("exceptions: [{check: SEC-90, name: a*, owner: o, reason: r, until: 2027-01-01}]"))
	f.Add([]byte("exceptions: [{fingerprint: ab, owner: o, reason: r, until: \"2027-01-01T00:00:00Z\"}]"))
	f.Add([]byte("exceptions: [{check: \"[\"}]"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := check.ReadExceptions("f", bytes.NewReader(text))
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, e := range all {
			if e.Owner == "" || e.Reason == "" || e.Until.IsZero() || e.Check+e.Fingerprint == "" {
				t.Errorf("an exception without an end: %+v", e)
			}
		}
	})
}

// FuzzReport: a report that is read can be compared with.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"schema":"strongkeep.io/check/v1","results":[{"id":"SEC-90","findings":[{"fingerprint":"a"}]}]}`))
	f.Add([]byte(`{"schema":"strongkeep.io/check/v2"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := check.ReadReport("f", bytes.NewReader(text))
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		check.Run([]check.Check{says("SEC-90", check.Verdict{Answer: check.Yes})}, input(all), r, nil)
	})
}
