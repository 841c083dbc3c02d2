package checktest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/kube/posture/activity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo/pipeline"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// fixture is a file of testdata: what is seen, and in comments before it what is said:
//
//	# answer: no
//	# finds: ReadsNamespace ServiceAccount shop/web at namespace shop
//	# live: yes
//	# file: .github/workflows/ci.yml
//
// CERTIFICATE and KEY in the text are a pair that is made for the run, GHTOKEN is a token by
// its issuer's prefix. finds is there for each finding. live has it be a cluster's and no
// folder's; file is what a pipeline's file is called.
type fixture struct {
	answer check.Answer
	finds  []string
	live   bool
	file   string
	text   []byte
}

func load(t *testing.T, name string) *fixture {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := pair(t)
	text = []byte(strings.NewReplacer("CERTIFICATE", string(cert), "KEY", string(key), "GHTOKEN", token).Replace(string(text)))
	out := &fixture{text: text}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), ": ")
		switch {
		case !strings.HasPrefix(line, "#"):
		case key == "answer":
			out.answer = check.Answer(value)
		case key == "finds":
			out.finds = append(out.finds, value)
		case key == "live":
			out.live = true
		case key == "file":
			out.file = value
		}
	}
	return out
}

// pair is a certificate that lasts a year more, and its key, as a Secret has them.
func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	as := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example"}, NotBefore: checktest.Ago(checktest.Day), NotAfter: checktest.Now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, as, as, own.Public(), own)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, raw []byte) []byte {
		return []byte(base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})))
	}
	return encoded("CERTIFICATE", der), encoded("PRIVATE KEY", raw)
}

// seen is what the text says: objects as `check -f` reads them, files of the control plane
// as its flags name them.
func (f *fixture) seen(t *testing.T) *snapshot.Snapshot {
	t.Helper()
	key, err := fingerprint.NewKey(bytes.Repeat([]byte{7}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	files := read.Files{Key: key}
	var c snapshot.Control
	var log activity.Log
	var history *history
	for _, text := range bytes.Split(f.text, []byte("\n---\n")) {
		var o struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(text, &o); err != nil {
			t.Fatal(err)
		}
		switch {
		case o.Kind == "":
		case o.Kind == "EncryptionConfiguration":
			c.Encryption, err = control.Encryption("encryption.yaml", text)
			if err == nil {
				c.Encryption.Since = checktest.Ago(30 * checktest.Day)
			}
		case o.Kind == "EventList":
			err = events(&log, text)
		case o.Kind == "Repository":
			err = yaml.UnmarshalStrict(text, &history)
		case strings.HasPrefix(o.APIVersion, "audit.k8s.io/"):
			c.AuditPolicy, err = control.AuditPolicy("audit.yaml", text)
			c.Servers = []snapshot.Server{{Name: "api", Flags: map[string]string{"audit-policy-file": "/audit.yaml", "audit-log-path": "/audit.log"}}}
		default:
			err = files.Add("here.yaml", bytes.NewReader(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := files.Snapshot(checktest.Now)
	if len(s.Wrong) > 0 {
		t.Fatal(s.Wrong)
	}
	c.Servers = append(c.Servers, s.Control.Servers...)
	s.Control, s.Live = c, f.live
	if a := log.Activity(); a.Place != "" {
		s.Activity = a
	}
	if history != nil {
		s.Repos = []snapshot.Repo{history.look(t, repo.Config{Key: key, Live: repo.Live(s)})}
	}
	return s
}

// TestFixtures asks each check about manifests in which it finds something, and in which
// it does not: what is known that other tools take for faults or pass over, above all.
func TestFixtures(t *testing.T) {
	for _, c := range app.Checks() {
		names, err := filepath.Glob(filepath.Join("testdata", strings.ToLower(c.ID), "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		answers := map[bool]int{}
		for _, name := range names {
			f := load(t, name)
			answers[f.answer == check.Yes]++
			t.Run(c.ID+"/"+filepath.Base(name), func(t *testing.T) { f.ask(t, c) })
		}
		if answers[true] == 0 || answers[false] == 0 {
			t.Errorf("%s has %d fixtures that pass and %d that fail", c.ID, answers[true], answers[false])
		}
	}
}

// committed is a repository with the text as a pipeline.
func (f *fixture) committed(t *testing.T) *snapshot.Snapshot {
	t.Helper()
	p, ok := pipeline.Read(f.file, f.text)
	if !ok {
		t.Fatalf("%s is no pipeline", f.file)
	}
	return &snapshot.Snapshot{Repos: []snapshot.Repo{{Place: "shop", Git: true, Pipelines: []snapshot.Pipeline{p}}}}
}

func (f *fixture) ask(t *testing.T, c check.Check) {
	see := f.seen
	if f.file != "" {
		see = f.committed
	}
	s := see(t)
	if s.Coverage == nil {
		s.Coverage = snapshot.Coverage{}
	}
	for _, need := range c.Needs {
		s.Coverage[need] = snapshot.Gap{}
	}
	r := &check.Run([]check.Check{c}, check.NewInput(s, checktest.Now.Add(time.Hour), check.Settings{}), nil, nil).Results[0]
	var got []string
	for i := range r.Findings {
		got = append(got, checktest.Line(&r.Findings[i].Finding))
	}
	slices.Sort(got)
	slices.Sort(f.finds)
	if r.Answer != f.answer || !slices.Equal(got, f.finds) {
		t.Errorf("it says %q (%s; needs %v) and finds\n  %s\nnot %q and\n  %s", r.Answer, r.Summary, r.Needs, strings.Join(got, "\n  "), f.answer, strings.Join(f.finds, "\n  "))
	}
}
