package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"--help"}, {"-h"}, {"up", "--help"}, {"build", "-h"}} {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), args, &stdout, &stderr); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		if stdout.String() != usage || stderr.Len() > 0 {
			t.Errorf("%q printed %q and %q", args, stdout.String(), stderr.String())
		}
	}
}

func TestWrongUsageNamesTheFault(t *testing.T) {
	for fault, args := range map[string][]string{
		`unknown command "down"`:   {"down"},
		`unexpected argument "x"`:  {"up", "x"},
		"-nodes":                   {"up", "--nodes"},
		"flag needs an argument":   {"up", "--dir"},
		`unknown command "--node"`: {"--node"},
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), args, &stdout, &stderr)
		if !errors.Is(err, errUsage) || !strings.Contains(stderr.String(), fault) || !strings.Contains(stderr.String(), "cluster help") {
			t.Errorf("%q: %v, said %q", args, err, stderr.String())
		}
		if stdout.Len() > 0 {
			t.Errorf("%q printed %q", args, stdout.String())
		}
	}
}
