package rig

import (
	"strings"
	"testing"
)

func TestCountLines(t *testing.T) {
	const log = "{a read}\n{a write}\n{another read}\n{a read, cut sho"
	for part, want := range map[string]int64{"": 3, "read": 2, "login": 0} {
		if got, err := countLines(strings.NewReader(log), []byte(part)); err != nil || got != want {
			t.Errorf("%q: %d lines, %v; want %d", part, got, err, want)
		}
	}
}
