package doctor

import (
	"bytes"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// What conditions, events and names say cannot steer the terminal, nor make a line.
func TestShowIsPlain(t *testing.T) {
	const bad = "x\x1b[1A\x1b[2K\nForged\u009b2K"
	var out bytes.Buffer
	x := &commands{Session: &session.Session{Env: session.Env{Stdout: &out}}}
	err := x.text([]doctor.Diagnosis{{
		Symptom: bad, Cause: bad, Object: snapshot.Ref{Kind: "Role", Namespace: "shop", Name: bad}, Affected: []string{bad},
		Evidence: []check.Evidence{{Object: snapshot.Ref{Kind: "Role", Name: bad}, Field: bad, Fact: bad}}, Fix: check.Fix{Command: bad, Text: bad, Patch: "a: 1\nb: x\x1b[2K\n"},
	}}, bad)
	if err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\u009b") || strings.Contains(text, "\nForged") || !strings.Contains(text, "\n    a: 1\n    b: x") {
		t.Errorf("shown as %q", text)
	}
}
