package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/demo/feed"
	"github.com/strongkeep/strongkeep/test/demo/report"
)

// promised is how long a change may take from the vault to the Secret.
const promised = time.Second

// secretSeen is one state of the Kubernetes Secret.
type secretSeen struct {
	keys   []string
	config []byte // the value; never printed
}

// sum is the digest of the value as the pod prints it.
func (s secretSeen) sum() string {
	sum := sha256.Sum256(s.config)
	return hex.EncodeToString(sum[:])
}

// holds says whether the value is the JSON object of the vault's secret.
func (s secretSeen) holds(password string) bool {
	var fields map[string]string
	return json.Unmarshal(s.config, &fields) == nil && len(fields) == 1 && fields["password"] == password
}

// written is the answer to a put.
type written struct {
	Version int       `json:"version"`
	Created time.Time `json:"created_time"`
}

// put writes a new password into the vault, on standard input.
func (d *demo) put(ctx context.Context) (written, error) {
	d.password = rand.Text()
	d.canaries.Add("a password", d.password)
	var answer struct{ Data written }
	err := d.server.Read(ctx, &answer, d.password, "kv", "put", secretPath, "password=-")
	return answer.Data, err
}

func (d *demo) writeSecret(ctx context.Context) (report.Outcome, error) {
	w, err := d.put(ctx)
	return report.Outcome{Text: fmt.Sprintf("%s is version %d, its password given on standard input", secretPath, w.Version)}, err
}

// applyExternalSecret applies the store and the ExternalSecret and begins to
// watch for the Secret before there is one.
func (d *demo) applyExternalSecret(ctx context.Context) (report.Outcome, error) {
	var err error
	d.secrets, err = feed.Follow("the Secret", func(ctx context.Context) *exec.Cmd {
		return d.kube.command(ctx, "--namespace="+appNamespace, "get", "secret",
			"--field-selector=metadata.name="+secretName, "--watch", "--output=json")
	}, readSecrets)
	if err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.kube.run(ctx, "--namespace="+appNamespace, "create", "configmap", "strongkeep-ca",
		"--from-file=ca.crt="+d.server.CAFile()); err != nil {
		return report.Outcome{}, err
	}
	store, err := d.openExample("secretstore.yaml")
	if err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.kube.pipe(ctx, store, "apply", "--server-side", "-f", "-"); err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.kube.run(ctx, "--namespace="+appNamespace, "apply", "--server-side", "-f", d.example("externalsecret.yaml")); err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.kube.run(ctx, "--namespace="+appNamespace, "wait", "--for=condition=Ready", "--timeout=45s",
		"externalsecret.v1beta1.external-secrets.io/"+secretName); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "external-secrets.io/v1beta1, refreshInterval 1h, is Ready"}, nil
}

// readSecrets reads what kubectl get --watch prints.
func readSecrets(r io.Reader) func() (secretSeen, error) {
	dec := json.NewDecoder(r)
	return func() (secretSeen, error) {
		var object struct{ Data map[string][]byte }
		if err := dec.Decode(&object); err != nil {
			return secretSeen{}, err
		}
		s := secretSeen{config: object.Data[secretKey]}
		for key := range object.Data {
			s.keys = append(s.keys, key)
		}
		slices.Sort(s.keys)
		return s, nil
	}
}

func (d *demo) awaitSecret(ctx context.Context) (feed.Seen[secretSeen], error) {
	s, err := d.secrets.Await(ctx, "the Secret to hold the new value", func(s secretSeen) bool { return s.holds(d.password) })
	d.digest = s.Item.sum()
	return s, err
}

func (d *demo) seeSecret(ctx context.Context) (report.Outcome, error) {
	s, err := d.awaitSecret(ctx)
	return report.Outcome{Text: fmt.Sprintf("%s has key %s, sha256 %s", secretName, strings.Join(s.Item.keys, ", "), brief(d.digest))}, err
}

// seePod runs the application, and follows what it prints.
func (d *demo) seePod(ctx context.Context) (report.Outcome, error) {
	if err := d.kube.apply(ctx, d.example("pod.yaml")); err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.kube.run(ctx, "--namespace="+appNamespace, "wait", "--for=condition=Ready", "pod/my-app", "--timeout=45s"); err != nil {
		return report.Outcome{}, err
	}
	var err error
	d.digests, err = feed.Follow("the log of the pod", func(ctx context.Context) *exec.Cmd {
		return d.kube.command(ctx, "--namespace="+appNamespace, "logs", "--follow", "my-app")
	}, readDigests)
	if err != nil {
		return report.Outcome{}, err
	}
	_, err = d.awaitDigest(ctx)
	return report.Outcome{Text: "my-app reads the file, sha256 " + brief(d.digest)}, err
}

// readDigests reads what the program of the pod prints.
func readDigests(r io.Reader) func() (string, error) {
	lines := bufio.NewScanner(r)
	return func() (string, error) {
		for lines.Scan() {
			if digest, ok := strings.CutPrefix(lines.Text(), "sha256 "); ok {
				return digest, nil
			}
		}
		if err := lines.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	}
}

func (d *demo) awaitDigest(ctx context.Context) (feed.Seen[string], error) {
	return d.digests.Await(ctx, "the pod to read the new value", func(digest string) bool { return digest == d.digest })
}

// change writes version 2. How long it takes to arrive counts from the time the
// vault gives the version.
func (d *demo) change(ctx context.Context) (report.Outcome, error) {
	w, err := d.put(ctx)
	d.changed = w.Created
	return report.Outcome{Text: fmt.Sprintf("%s is version %d", secretPath, w.Version)}, err
}

func (d *demo) secretFollows(ctx context.Context) (report.Outcome, error) {
	s, err := d.awaitSecret(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	took := s.At.Sub(d.changed)
	return report.Outcome{
		Text: fmt.Sprintf("sha256 %s, %s after the write", brief(d.digest), report.Brief(took)),
		Slow: took > promised,
	}, nil
}

func (d *demo) podFollows(ctx context.Context) (report.Outcome, error) {
	s, err := d.awaitDigest(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: fmt.Sprintf("sha256 %s, %s after the write", brief(d.digest), report.Brief(s.At.Sub(d.changed)))}, nil
}

// brief shortens a digest for people.
func brief(digest string) string { return digest[:min(len(digest), 12)] + "…" }
