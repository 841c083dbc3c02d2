package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/demo/load"
	"github.com/strongkeep/strongkeep/test/demo/report"
	"github.com/strongkeep/strongkeep/test/demo/server"
)

// The load that the server is killed under.
const (
	writers     = 16
	keysEach    = 25
	enoughAcked = 1000 // acknowledged writes before the kill
)

// writerPolicy is for the writers alone.
const writerPolicy = `path "secret/data/load/*" { capabilities = ["create", "read", "update"] }`

// kill has the server killed amid writes.
func (d *demo) kill(ctx context.Context) (report.Outcome, error) {
	if err := d.startLoad(ctx); err != nil {
		return report.Outcome{}, err
	}
	began := time.Now()
	ended := make(chan []error, 1)
	go func() { ended <- d.load.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for d.load.Acknowledged() < enoughAcked {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return report.Outcome{}, fmt.Errorf("waiting for %d acknowledged writes: %w", enoughAcked, ctx.Err())
		case errs := <-ended:
			return report.Outcome{}, fmt.Errorf("writing before the kill: %w", errors.Join(errs...))
		}
	}
	d.server.Kill()
	took := time.Since(began)
	for _, err := range <-ended {
		if err == nil {
			return report.Outcome{}, errors.New("a writer ended without an error though its server was killed")
		}
	}
	n := d.load.Acknowledged()
	return report.Outcome{Text: fmt.Sprintf("amid %d writers, after %s acknowledged writes (%s a second)",
		writers, report.Count(n), report.Count(int(float64(n)/took.Seconds())))}, nil
}

func (d *demo) startLoad(ctx context.Context) error {
	if _, err := d.server.CLI(ctx, writerPolicy, "policy", "write", "load", "-"); err != nil {
		return err
	}
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	if err := d.server.Read(ctx, &made, "", "token", "create", "-policy=load", "-ttl=1h"); err != nil {
		return err
	}
	d.canaries.Add("the token of the writers", made.Auth.Token)
	client, err := d.server.Client(made.Auth.Token)
	if err != nil {
		return err
	}
	marker := rand.Text()
	d.canaries.Add("a value of the writers", marker)
	d.load, err = load.Start(context.WithoutCancel(ctx), load.Config{
		Client: client, Mount: "secret", Folder: "load", Writers: writers, Keys: keysEach,
		Value: func(key string, version int) string { return fmt.Sprintf("%s %s %d", marker, key, version) },
	})
	return err
}

// restart starts the server on what the killed one has left.
func (d *demo) restart(ctx context.Context) (report.Outcome, error) {
	began := time.Now()
	if err := d.server.Start(ctx); err != nil {
		return report.Outcome{}, err
	}
	answered := time.Since(began)
	s := d.server.Shares
	if err := d.server.Unseal(ctx, s[1], s[2], s[3]); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "sealed and answering after " + report.Brief(answered) + "; unsealed with three other shares"}, nil
}

// verify asks for everything that was acknowledged.
func (d *demo) verify(ctx context.Context) (report.Outcome, error) {
	c, err := d.load.Verify(ctx)
	if err != nil {
		return report.Outcome{}, fmt.Errorf("the crash lost or damaged something: %w", err)
	}
	return report.Outcome{Text: fmt.Sprintf("%s keys hold their newest acknowledged version, or the one that was under way (%d)", report.Count(c.Keys), c.Ahead)}, nil
}

// proveAudit has the audit log, over which the server was killed, proven
// complete and unaltered, and a copy with one line taken out refused.
func (d *demo) proveAudit(ctx context.Context) (report.Outcome, error) {
	key, err := d.server.CLI(ctx, "", "audit", "key", "file")
	if err != nil {
		return report.Outcome{}, err
	}
	verify := []string{"audit", "verify", "-key=" + strings.TrimSpace(string(key))}
	var proven struct{ Lines, Checkpoints int }
	if err := d.server.Read(ctx, &proven, "", append(verify, d.server.AuditFile())...); err != nil {
		return report.Outcome{}, err
	}
	log, err := os.ReadFile(d.server.AuditFile())
	if err != nil {
		return report.Outcome{}, fmt.Errorf("reading the audit log: %w", err)
	}
	lines := bytes.SplitAfter(log, []byte("\n"))
	altered := filepath.Join(d.dir, "altered.log")
	if err := os.WriteFile(altered, bytes.Join(slices.Delete(lines, 7, 8), nil), 0o600); err != nil {
		return report.Outcome{}, fmt.Errorf("writing an altered audit log: %w", err)
	}
	defer func() { _ = os.Remove(altered) }()
	if _, err := d.server.CLI(ctx, "", append(verify, altered)...); server.ExitCode(err) != tampered {
		return report.Outcome{}, fmt.Errorf("a line was taken out of the audit log, and the answer is %w", cmp.Or(err, errors.New("that it is complete")))
	}
	return report.Outcome{Text: fmt.Sprintf("%s lines are complete and unaltered by %s signed checkpoints; with one line less they are not",
		report.Count(proven.Lines), report.Count(proven.Checkpoints))}, nil
}

// tampered is the exit code of "audit verify" for a file that was altered.
const tampered = 10

// recover changes the secret once more: the operator must have found back by
// itself.
func (d *demo) recover(ctx context.Context) (report.Outcome, error) {
	if _, err := d.change(ctx); err != nil {
		return report.Outcome{}, err
	}
	s, err := d.awaitSecret(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	pod, err := d.awaitDigest(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: fmt.Sprintf("found back by itself: a change is in the Secret after %s and in the pod after %s",
		report.Brief(s.At.Sub(d.changed)), report.Brief(pod.At.Sub(d.changed)))}, nil
}

// searchLeaks looks for every secret of this run in everything that was written.
func (d *demo) searchLeaks(ctx context.Context) (report.Outcome, error) {
	if err := d.collect(ctx); err != nil {
		return report.Outcome{}, err
	}
	places := []string{
		filepath.Join(d.dir, "demo.log"), d.server.LogDir, filepath.Dir(d.server.AuditFile()),
		filepath.Join(d.server.Dir, "store"), d.cluster.LogDir(), d.collected(), filepath.Dir(d.plane.Log), filepath.Join(d.dir, "checklist"),
	}
	var leaks []string
	files, bytes := 0, int64(0)
	for _, place := range places {
		r, err := d.canaries.Tree(place)
		if err != nil {
			return report.Outcome{}, err
		}
		if r.Bytes == 0 {
			return report.Outcome{}, fmt.Errorf("there is nothing to search in %s", place)
		}
		files, bytes = files+r.Files, bytes+r.Bytes
		for _, f := range r.Findings {
			leaks = append(leaks, f.String())
		}
	}
	if len(leaks) > 0 {
		return report.Outcome{}, fmt.Errorf("secret values are where none may be:\n  %s", strings.Join(leaks, "\n  "))
	}
	if err := d.control(); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: fmt.Sprintf("%d secret values, in every encoding, are in none of %s files (%d MB): logs, audit, events, status, metrics, store",
		d.canaries.Len(), report.Count(files), bytes>>20)}, nil
}

// control finds in the same files what must be there, so that a search of the
// wrong files does not pass.
func (d *demo) control() error {
	for place, want := range map[string]string{
		d.server.AuditFile():                           "secret/data/my-app/config",
		filepath.Join(d.collected(), "pod.log"):        d.digest,
		filepath.Join(d.collected(), "objects"):        "SecretSynced",
		filepath.Join(d.collected(), "describe"):       d.statement, // the Rotation's status
		filepath.Join(d.collected(), "server-metrics"): "strongkeep_requests_total",
	} {
		content, err := os.ReadFile(place)
		if err != nil {
			return fmt.Errorf("checking the search: %w", err)
		}
		if !strings.Contains(string(content), want) {
			return fmt.Errorf("checking the search: %q is not in %s", want, place)
		}
	}
	return nil
}
