package rig

import "testing"

func TestParseMemory(t *testing.T) {
	m, err := parseMemory([]byte("Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\nRssAnon:\t     700 kB\nRssFile:\t     300 kB\n"))
	if err != nil || m != (Memory{Resident: 1.024, Peak: 2.048, File: 0.3072}) {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := parseMemory([]byte("Name:\tx\nState:\tZ (zombie)\n")); err == nil {
		t.Errorf("a process that has ended holds %+v", m)
	}
}
