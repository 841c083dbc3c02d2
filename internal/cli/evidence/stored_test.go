package evidence_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/cli/evidence"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/book"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// signedAt is before the second of reports says that it looked.
var signedAt = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// reports writes two of a cluster, and returns their files and the public key's.
func reports(t *testing.T) (files []string, public string) {
	t.Helper()
	dir := t.TempDir()
	text, err := book.GenerateKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := book.ReadKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	k.Name, k.Now = "encryption/c1", func() time.Time { return signedAt }
	b := book.Book{Dir: filepath.Join(dir, "reports"), Signer: k}
	var last *attest.Verified
	for i := range 2 {
		s := proof.Statement{
			Schema: proof.Schema, Cluster: "c1", Time: time.Date(2026, 11, 20+i, 0, 0, 0, 0, time.UTC), Read: proof.Read{Kind: proof.Running},
			Answers: []proof.Answer{
				{ID: proof.OfCluster, Answer: stored.Answer{Answer: stored.Yes}}, {ID: proof.Configuration, Answer: stored.Answer{Answer: stored.No, Detail: "2 different files"}},
			},
			Resources: []stored.Resource{
				{Name: "secrets", Values: 7, Under: []stored.Group{{Provider: "broken/x", Values: 1}, {Provider: "clear", Values: 2}, {Provider: "kms-v2/strongkeep", KeyID: "a", Values: 3}, {Provider: "kms-v2/strongkeep", KeyID: "b", Values: 1}}},
				{Name: "configmaps", Values: 9, Under: []stored.Group{{Provider: "clear", Values: 9}}},
			},
			Findings: []stored.Finding{
				{Object: stored.Object{Resource: "secrets", Name: "shop/db"}, Provider: "clear"}, {Object: stored.Object{Resource: "secrets", Name: "shop/web"}, Provider: "kms-v2/strongkeep"},
				{Object: stored.Object{Resource: "configmaps", Name: "shop/c"}, Provider: "clear"},
			},
		}
		raw, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		v, path, err := b.Add(t.Context(), last, raw)
		if err != nil {
			t.Fatal(err)
		}
		last, files = &v, append(files, path)
	}
	return files, file(t, "pub", text)
}

func TestReports(t *testing.T) {
	files, public := reports(t)
	s := seen(t)
	if err := into(t, &evidence.Flags{Reports: files, ReportKey: public}, s); err != nil {
		t.Fatal(err)
	}
	r := s.Control.Stored
	if r == nil || r.Cluster != "c1" || !r.Time.Equal(signedAt) || !r.Current || r.Values != 7 || r.Clear != 3 || r.Under["kms-v2/strongkeep"] != 4 || len(r.Under) != 1 ||
		len(r.Names) != 1 || r.Names[0] != "shop/db" || r.Configuration != snapshot.Differs || r.Why != "2 different files" || r.Digest == "" || r.KeyID == "" {
		t.Errorf("%+v", r)
	}
	// What does not verify is no evidence, and an error.
	raw, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	_, other := reports(t)
	for name, f := range map[string]*evidence.Flags{
		"changed":     {Reports: []string{file(t, "x", string(raw))}, ReportKey: public},
		"another key": {Reports: files, ReportKey: other},
		"no key":      {Reports: files},
		"no report":   {ReportKey: public},
		"no file":     {Reports: []string{"/none/x"}, ReportKey: public},
		"no key file": {Reports: files, ReportKey: "/none/x"},
		"not a key":   {Reports: files, ReportKey: files[0]},
	} {
		s := seen(t)
		if err := into(t, f, s); !errs.Is(err, errs.Invalid) || s.Control.Stored != nil {
			t.Errorf("%s: %v, %+v", name, err, s.Control.Stored)
		}
	}
}
