package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	. "github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func statement(pods int) Statement {
	s := Statement{
		Rotation: "shop/db", Credential: "vault.example/database/alternating-creds/app", Turn: 7, Cause: "Schedule",
		Result: rotate.ResultRotated, Version: "7", Previous: "6", Ended: noon,
	}
	in := input(stamp("secret/db=d7"))
	for i := 1; i < pods; i++ {
		p := in.Pods[0]
		p.Name = fmt.Sprint("web-", i+1)
		p.Stamp = ""
		if i%2 == 0 {
			p.Stamp = "secret/db=d7"
		}
		in.Pods = append(in.Pods, p)
	}
	s.SetSecrets(in.Secrets)
	s.SetPods(Judge(in).Pods)
	s.Backend = &BackendSeen{New: 3, Partial: "behind a proxy"}
	s.SetTimeline([]v1alpha1.TimelineEntry{
		{Turn: 6, Phase: "Done", Time: metav1.NewTime(noon.Add(-time.Hour))},
		{Turn: 7, Phase: "Staging", Time: metav1.NewTime(noon.Add(-time.Minute)), Reason: "Due"},
	})
	return s
}

func TestStatementRoundTrip(t *testing.T) {
	raw, err := statement(3).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseStatement(raw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Encode()
	if err != nil || !bytes.Equal(raw, again) {
		t.Errorf("%v\n%s\n%s", err, raw, again)
	}
	if s.Pods.Total != 3 || s.Pods.Proven != 2 || len(s.Pods.Evidence) != 3 || len(s.Secrets) != 1 || s.Secrets[0].ResourceVersion != "70" ||
		len(s.Phases) != 1 || s.Phases[0].Reason != "Due" || s.Backend.New != 3 || s.Backend.Partial != "behind a proxy" {
		t.Errorf("%+v", s)
	}
	// Lists are lists, for programs that count them.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || string(members["unknown"]) != "[]" {
		t.Errorf("unknown is %s, %v", members["unknown"], err)
	}
}

// A statement that is too large loses proven pods, and says so; what is not
// proven stays.
func TestStatementTooLarge(t *testing.T) {
	s := statement(4000)
	raw, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > MaxStatement || len(raw) < MaxStatement*9/10 {
		t.Errorf("%d bytes", len(raw))
	}
	got, err := ParseStatement(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Pods.Omitted == 0 || got.Pods.Omitted+len(got.Pods.Evidence) != 4000 || got.Pods.Total != 4000 || got.Pods.Proven != s.Pods.Proven {
		t.Errorf("omitted %d of %d, %d left", got.Pods.Omitted, got.Pods.Total, len(got.Pods.Evidence))
	}
	if got.Pods.Evidence[0].Proven {
		t.Error("those without proof were cut first")
	}
	again, _ := s.Encode()
	if !bytes.Equal(raw, again) {
		t.Error("equal statements are not equal bytes")
	}
}

// However much there is to say, there is a statement: what is left out of each
// list is counted, and known by a digest.
func TestStatementAlwaysEncodes(t *testing.T) {
	secrets := func(n int) (out []ConfirmedSecret) {
		for i := range n {
			out = append(out, ConfirmedSecret{Namespace: "shop", Name: fmt.Sprintf("secret-%06d", i), ResourceVersion: "1"})
		}
		return out
	}
	texts := func(n, size int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprint(i)+strings.Repeat("x", size))
		}
		return out
	}
	for what, change := range map[string]func(*Statement){
		"very many Secrets":    func(s *Statement) { s.Secrets = secrets(50_000) },
		"very many of all":     func(s *Statement) { s.Secrets, s.Unknown, s.Unproven = secrets(9000), texts(9000, 60), texts(9000, 60) },
		"one huge text":        func(s *Statement) { s.Unknown = texts(1, MaxStatement) },
		"a person's long word": func(s *Statement) { s.Accepted = &Decision{Reason: strings.Repeat("x", MaxStatement)} },
		"a long way back": func(s *Statement) {
			s.Result, s.Reason, s.Message = rotate.ResultRolledBack, "X", strings.Repeat("é", MaxStatement)
		},
		"a long partial": func(s *Statement) { s.Backend = &BackendSeen{Partial: strings.Repeat("é", MaxStatement)} },
		"nothing much":   func(*Statement) {},
	} {
		for _, limit := range []int{MaxStatement, 64 << 10, MinStatement} {
			s := statement(300)
			change(&s)
			whole, _ := json.Marshal(s.Secrets)
			raw, err := s.EncodeWithin(limit)
			if err != nil || len(raw) > limit {
				t.Errorf("%s in %d bytes: %d bytes, %v", what, limit, len(raw), err)
				continue
			}
			got, err := ParseStatement(raw)
			if err != nil || got.Turn != s.Turn || got.Result != s.Result || got.Pods.Total != 300 || got.Pods.Omitted+len(got.Pods.Evidence) != 300 {
				t.Errorf("%s in %d bytes: %v, %d pods and %d omitted", what, limit, err, len(got.Pods.Evidence), got.Pods.Omitted)
			}
			o, cut := got.Omitted["secrets"]
			if sum := fmt.Sprintf("%x", sha256.Sum256(whole)); cut && (o.Total != len(s.Secrets) || o.Kept != len(got.Secrets) || o.SHA256 != sum) {
				t.Errorf("%s in %d bytes: %d of %d Secrets, and it says %+v", what, limit, len(got.Secrets), len(s.Secrets), o)
			}
			if cut != (len(got.Secrets) != len(s.Secrets)) || len(s.Omitted) != 0 {
				t.Errorf("%s in %d bytes: Secrets are left out: %v; said: %v", what, limit, len(got.Secrets) != len(s.Secrets), cut)
			}
		}
	}
}

func TestStatementIncomplete(t *testing.T) {
	s := statement(1)
	s.Credential, s.Turn = "", 0
	if _, err := s.Encode(); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "credential, turn") {
		t.Error(err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"schema":"other"}`, `{"schema":"` + Schema + `"}`, `{"schema":"` + Schema + `","turn":"x"}`} {
		if _, err := ParseStatement([]byte(bad)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	raw, _ := statement(2).Encode()
	f.Add([]byte(raw))
	f.Add([]byte(`{"schema":"` + Schema + `","rotation":"a/b","credential":"c","turn":1,"result":"x","ended":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseStatement(raw)
		if err != nil {
			return
		}
		out, err := s.Encode()
		if err != nil {
			return // too large, or a time that JSON cannot have
		}
		if _, err := ParseStatement(out); err != nil {
			t.Errorf("what was encoded does not parse: %v", err)
		}
	})
}
