package checklist

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func answers(t *testing.T, change func([]Result)) *Answers {
	t.Helper()
	a := &Answers{}
	for i := range questions {
		a.Results = append(a.Results, Result{ID: fmt.Sprintf("SEC-%02d", i+1), Title: "title", Answer: "yes", Summary: "seen"})
	}
	text := `{"rule":"MadeByHand","object":{"kind":"Secret","namespace":"orders","name":"db"}}`
	a.Results[4].Findings = make([]Finding, 1)
	if err := json.Unmarshal([]byte(text), &a.Results[4].Findings[0]); err != nil {
		t.Fatal(err)
	}
	a.Results[4].Answer = "no"
	if change != nil {
		change(a.Results)
	}
	return a
}

// What is not answered, or without evidence, ends the demo.
func TestComplete(t *testing.T) {
	if err := answers(t, nil).complete(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func([]Result){
		"SEC-03": func(r []Result) { r[2].Answer, r[2].Needs = "cannot tell", []string{"list on secrets"} },
		"SEC-14": func(r []Result) { r[13].Summary = "" },
	} {
		if err := answers(t, change).complete(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	few := answers(t, nil)
	few.Results = few.Results[1:]
	if few.complete() == nil {
		t.Error("13 answers are enough")
	}
}

func TestFound(t *testing.T) {
	a := answers(t, nil)
	if !a.has("SEC-05", "MadeByHand", "Secret orders/db") || a.has("SEC-05", "MadeByHand", "Secret billing/db") || a.has("SEC-06", "MadeByHand", "Secret orders/db") {
		t.Error("what is found is not known by check, rule and object")
	}
}

func TestLines(t *testing.T) {
	act := &Act{before: answers(t, nil)}
	if lines := act.lines(act.before); lines[4] != "SEC-05  no          1 found      title" {
		t.Errorf("%q", lines[4])
	}
	after := answers(t, func(r []Result) { r[4].Findings, r[4].Answer = nil, "yes" })
	lines := act.lines(after)
	if !slices.Contains(lines, "SEC-05  no     → yes      1 → 0 found  title") {
		t.Errorf("%q", lines[4])
	}
}

// The API server has a folder for its log, which nobody else reads.
func TestPrepare(t *testing.T) {
	c, err := Prepare(t.TempDir(), "policy.yaml", "encryption.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Dir(c.Log)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", err, info)
	}
	if !slices.Contains(c.Flags(), "--audit-policy-file=policy.yaml") {
		t.Errorf("%v", c.Flags())
	}
}
