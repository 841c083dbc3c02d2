package target

import (
	"testing"
	"time"
)

// A cache that is behind is waited for, and not for ever: after a restore of etcd all
// objects are older than our writes, until each is written again.
func TestPatchWait(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := Patch{Version: "100", At: noon}
	for _, c := range []struct {
		version string
		since   time.Duration
		want    time.Duration
	}{
		{"99", 0, lookSoon},
		{"99", 200 * time.Millisecond, 200 * time.Millisecond},
		{"99", 10 * time.Second, lookLate},
		{"99", CacheLag + 1, 0},
		{"99", -time.Second, 0},
		{"100", 0, 0},
		{"101", 0, 0},
		{"opaque", 0, 0},
	} {
		if got := p.Wait(c.version, noon.Add(c.since)); got != c.want {
			t.Errorf("%s after %s: %s, want %s", c.version, c.since, got, c.want)
		}
	}
	if got := (Patch{}).Wait("1", noon); got != 0 {
		t.Errorf("no patch: %s", got)
	}
	looks := 0
	for now := noon; p.Wait("99", now) > 0; now = now.Add(p.Wait("99", now)) {
		looks++
	}
	if looks > 50 {
		t.Errorf("%d looks at an object that went back", looks)
	}
}
