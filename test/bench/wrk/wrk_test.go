package wrk

import "testing"

func TestParseOutcome(t *testing.T) {
	o, err := parseOutcome("Running 1s test\n  1 threads\n" + `{"requests":3000,"micros":1500000,"p50":900,"p99":12500,"failed":1,"refused":2}` + "\n")
	if err != nil || o.PerSecond() != 2000 || o.P99ms() != 12.5 || o.Failed != 1 || o.Refused != 2 {
		t.Errorf("%+v %v", o, err)
	}
	for _, broken := range []string{"", "unable to connect to 127.0.0.1:1 Connection refused\n", `{"requests":0,"micros":10}`} {
		if _, err := parseOutcome(broken); err == nil {
			t.Errorf("%q is no error", broken)
		}
	}
}
