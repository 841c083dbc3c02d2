package gauge_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof/gauge"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

func signed() *proof.Signed {
	return &proof.Signed{
		Verified: attest.Verified{Entry: attest.Entry{Seq: 7}},
		Report: &proof.Statement{
			Time: time.Unix(1_700_000_000, 0), Expected: proof.Expected{Provider: "strongkeep", KeyID: "sk2"},
			Answers: []proof.Answer{{ID: proof.Encrypted, Answer: stored.Answer{Answer: stored.No}}, {ID: proof.OfCluster, Answer: stored.Answer{Answer: stored.NotChecked}}},
			Resources: []stored.Resource{
				{Name: "secrets", Values: 15, Under: []stored.Group{
					{Provider: "clear", Values: 1}, {Provider: "broken/strongkeep", Values: 2}, {Provider: "aescbc/key1", Values: 3},
					{Provider: "kms-v2/strongkeep", KeyID: "sk1", Values: 4}, {Provider: "kms-v2/strongkeep", KeyID: "sk2", Values: 5},
				}},
				{Name: "configmaps", Under: []stored.Group{{Provider: "kms-v2/strongkeep", KeyID: "sk2", Values: 6}}},
			},
		},
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongkeep.prom")
	if err := gauge.Write(path, signed(), time.Unix(1_700_000_100, 0)); err != nil {
		t.Fatal(err)
	}
	text := read(t, path)
	for _, want := range []string{
		`strongkeep_encryption_values{provider="clear",resource="secrets",state="clear"} 1`,
		`strongkeep_encryption_values{provider="clear",resource="configmaps",state="clear"} 0`,
		`strongkeep_encryption_values{provider="broken/strongkeep",resource="secrets",state="broken"} 2`,
		`strongkeep_encryption_values{provider="aescbc/key1",resource="secrets",state="other_provider"} 3`,
		`strongkeep_encryption_values{provider="kms-v2/strongkeep",resource="secrets",state="other_key"} 4`,
		`strongkeep_encryption_values{provider="kms-v2/strongkeep",resource="secrets",state="expected"} 5`,
		`strongkeep_encryption_answer{answer="no",question="encrypted"} 1`, `strongkeep_encryption_answer{answer="yes",question="encrypted"} 0`,
		`strongkeep_encryption_answer{answer="not checked",question="cluster"} 1`,
		"strongkeep_encryption_report_timestamp_seconds 1.7e+09", "strongkeep_encryption_report_number 7",
		"strongkeep_encryption_run_timestamp_seconds 1.7000001e+09", "strongkeep_encryption_run_success 1",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	// A run that fails leaves what the last one said, and says so.
	for range 2 {
		if err := gauge.Failed(path, time.Unix(1_700_000_200, 0)); err != nil {
			t.Fatal(err)
		}
	}
	after := read(t, path)
	for _, want := range []string{`state="clear"} 1`, "strongkeep_encryption_report_number 7", "strongkeep_encryption_run_success 0", "strongkeep_encryption_run_timestamp_seconds 1.7000002e+09"} {
		if strings.Count(after, want+"\n") != 1 {
			t.Errorf("not once %s in:\n%s", want, after)
		}
	}
	// Who reads the file need not be root.
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	alerts(t, after)
}

// alerts fails unless those of deploy ask for what there is.
func alerts(t *testing.T, text string) {
	t.Helper()
	raw, err := os.ReadFile("../../../../../deploy/kms/alerts-report.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`strongkeep_encryption_[a-z_]+`).FindAllString(string(raw), -1)
	if len(asked) < 5 {
		t.Errorf("alerts ask for %q only", asked)
	}
	for _, name := range asked {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("an alert asks for %s, and there is no such metric", name)
		}
	}
	for _, label := range regexp.MustCompile(`(state|question)=~?"([a-z_|]+)"`).FindAllStringSubmatch(string(raw), -1) {
		for word := range strings.SplitSeq(label[2], "|") {
			known := []string{gauge.InTheClear, gauge.Broken, gauge.OtherProvider, gauge.OtherKey, proof.Configuration, proof.Plugins, proof.OfCluster, proof.Encrypted}
			if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+word+" ") {
				t.Errorf("an alert asks for %s %q, which there is not", label[1], word)
			}
		}
	}
}

// Each answer that is no yes, of the questions that are asked each day, has an alert, and a yes has none.
func TestAlerts(t *testing.T) {
	raw, err := os.ReadFile("../../../../../deploy/kms/alerts-report.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asks := regexp.MustCompile(`(?s)expr: strongkeep_encryption_answer\{question=~?"([^"]+)",answer="([^"]+)"\} (==|!=|>) ([01])\n\s+labels: \{severity: (\w+)\}`).FindAllStringSubmatch(string(raw), -1)
	alert := func(question, answer string) (severity string) {
		for _, a := range asks {
			value := 0
			if answer == a[2] {
				value = 1
			}
			bound := int(a[4][0] - '0')
			fires := a[3] == "==" && value == bound || a[3] == "!=" && value != bound || a[3] == ">" && value > bound
			if fires && slices.Contains(strings.Split(a[1], "|"), question) {
				severity = a[5]
			}
		}
		return severity
	}
	for question, not := range map[string]string{proof.Encrypted: "critical", proof.OfCluster: "warning", proof.Configuration: "warning", proof.Plugins: "warning"} {
		for answer, want := range map[string]string{stored.Yes: "", stored.No: "critical", stored.NotChecked: not} {
			if got := alert(question, answer); got != want {
				t.Errorf("%s, %s: an alert of severity %q, not %q", question, answer, got, want)
			}
		}
	}
}

// Without a file, or with a damaged one, a run that fails is told all the same.
func TestFailed(t *testing.T) {
	for name, before := range map[string]string{"none": "", "damaged": "strongkeep_encryption_values{\x00", "another's": "node_load1 3\n"} {
		path := filepath.Join(t.TempDir(), "strongkeep.prom")
		if before != "" {
			if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := gauge.Failed(path, time.Unix(1, 0)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text := read(t, path); !strings.Contains(text, "run_success 0") || strings.Contains(text, "node_load1") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if err := gauge.Failed("/none/x.prom", time.Unix(1, 0)); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
}
