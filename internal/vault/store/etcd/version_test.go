package etcd

import "testing"

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{
		"3.5.7": true, "3.5.0": true, "3.4.30": true, "2.3.8": true,
		"3.5.8": false, "3.5.21": false, "3.6.0": false, "3.10.0": false, "4.0.0": false,
		"3.6.0-rc.1": false, "3.5.7-rc.0": true, "": false, "unknown": false,
	} {
		if got := tooOld(version); got != want {
			t.Errorf("%q is too old: %v, want %v", version, got, want)
		}
	}
}
