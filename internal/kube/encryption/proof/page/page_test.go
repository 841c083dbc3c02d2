package page_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof/page"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

const script = "<script>alert(1)</script>"

// Who can write into etcd can name objects and key ids: nothing of that is run by who reads
// the page, and the page says all that the report does.
func TestNamesAreNotRun(t *testing.T) {
	v := page.View{Reports: 3, Doubts: []string{"doubt-7"}}
	v.Verified = attest.Verified{Entry: attest.Entry{Name: "encryption/c1", Seq: 12, Log: "log-1", Previous: "sha256:before"}, Digest: "sha256:this", KeyID: "key-9"}
	v.Report = &proof.Statement{
		Cluster: "c1", Expected: proof.Expected{Resources: []string{"secrets"}, Provider: "strongkeep", KeyID: "sk1"}, Found: 5,
		Answers:   []proof.Answer{{ID: proof.Encrypted, Answer: stored.Answer{Question: "is it?", Answer: stored.NotChecked, Detail: "because " + script}}},
		Resources: []stored.Resource{{Name: "secrets", Under: []stored.Group{{Provider: "kms-v2/" + script, KeyID: `"onload=` + script, Values: 4}}}, {Name: "configmaps"}},
		Findings:  []stored.Finding{{Object: stored.Object{Resource: "secrets", Name: "a/" + script}, Why: "in the clear"}},
		Servers:   []proof.Server{{URL: "https://10.0.0.1:6443", Hash: "sha256:file"}},
		File:      &proof.File{Path: "/etc/e.yaml", Hash: "sha256:file"},
		Evidence:  []proof.Digest{{What: "what was read", SHA256: "sha256:read"}},
	}
	var out strings.Builder
	if err := page.Write(&out, v); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "<script") {
		t.Error("a name is run")
	}
	for _, want := range []string{
		"doubt-7", "Report 12 of chain", "verified with 3", "log-1", "sha256:before", "sha256:this", "key-9", `class="answer not-checked"`, "is it?", "a/&lt;script&gt;", "and 4 more",
		"https://10.0.0.1:6443", "/etc/e.yaml", "sha256:read", "configmaps", "default-src &#39;none&#39;",
	} {
		if !strings.Contains(strings.ReplaceAll(out.String(), "'", "&#39;"), want) {
			t.Errorf("no %q", want)
		}
	}
	if err := page.Write(full{}, v); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a full disk: %v", err)
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }
