package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster"
	"github.com/strongkeep/strongkeep/test/demo/atrest"
	"github.com/strongkeep/strongkeep/test/demo/canary"
	"github.com/strongkeep/strongkeep/test/demo/checklist"
	"github.com/strongkeep/strongkeep/test/demo/feed"
	"github.com/strongkeep/strongkeep/test/demo/load"
	"github.com/strongkeep/strongkeep/test/demo/report"
	"github.com/strongkeep/strongkeep/test/demo/server"
	"github.com/strongkeep/strongkeep/test/demo/shop"
)

// demo is one run. It is for one goroutine.
type demo struct {
	root   string // of the repository
	dir    string // for everything the run writes
	log    *os.File
	report *report.Report

	canaries canary.Set // every secret of this run
	binary   string     // strongkeep
	reader   string     // the program of the pod
	sample   string     // the program of the pods with a database
	cluster  *cluster.Cluster
	kube     kube
	server   *server.Server
	secrets  *feed.Feed[secretSeen] // versions of the Kubernetes Secret
	digests  *feed.Feed[string]     // what the pod prints
	password string                 // the newest value
	digest   string                 // of what the newest Secret holds
	changed  time.Time              // when the vault took the newest value
	load     *load.Load

	atRest    *atrest.Act
	plane     checklist.Control // files of the control plane
	list      *checklist.Act
	shop      *shop.Shop
	statement string // where the vault keeps what was signed of the rotation
}

// step is one line of the demo.
type step struct {
	name  string
	run   func(context.Context) (report.Outcome, error)
	limit time.Duration // zero: stepLimit
}

const (
	// stepLimit is generous: the machine may be busy.
	stepLimit = time.Minute
	// buildLimit is that of the first build of Kubernetes on a small machine.
	buildLimit = time.Hour
)

// steps are the demo.
func (d *demo) steps() []step {
	return []step{
		{name: "build", run: d.build, limit: buildLimit},
		{name: "programs", run: d.programs, limit: buildLimit},
		{name: "KMS plugin", run: d.startPlugin},
		{name: "cluster", run: d.startCluster, limit: 3 * time.Minute},
		{name: "in the clear", run: d.encryption((*atrest.Act).Begin)},
		{name: "server", run: d.startServer},
		{name: "init", run: d.initialise},
		{name: "unseal", run: d.unseal},
		{name: "policy", run: d.allow},
		{name: "kubernetes auth", run: d.trustCluster},
		{name: "secret", run: d.writeSecret},
		{name: "operator", run: d.runOperator},
		{name: "external secret", run: d.applyExternalSecret},
		{name: "Secret", run: d.seeSecret},
		{name: "pod", run: d.seePod},
		{name: "change", run: d.change},
		{name: "Secret follows", run: d.secretFollows},
		{name: "pod follows", run: d.podFollows},
		{name: "refusal", run: d.refuse},
		{name: "audit", run: d.audit},
		{name: "kill -9", run: d.kill},
		{name: "restart", run: d.restart},
		{name: "nothing lost", run: d.verify},
		{name: "audit proven", run: d.proveAudit},
		{name: "operator again", run: d.recover},
		{name: "database", run: d.openShop, limit: buildLimit}, // may have to be installed
		{name: "consumers", run: d.consume, limit: 2 * time.Minute},
		{name: "rotation", run: d.rotate, limit: 2 * time.Minute},
		{name: "encrypts", run: d.encryption((*atrest.Act).Await), limit: 3 * time.Minute},
		{name: "untidy", run: d.check((*checklist.Act).Untidy)},
		{name: "checklist", run: d.check((*checklist.Act).Ask)},
		{name: "remedies", run: d.check((*checklist.Act).Mend), limit: 3 * time.Minute},
		{name: "encrypted", run: d.encryption((*atrest.Act).End)},
		{name: "checklist again", run: d.check((*checklist.Act).Again)},
		{name: "no leak", run: d.searchLeaks},
	}
}

// run goes through the steps until one fails.
func (d *demo) run(ctx context.Context) error {
	for _, s := range d.steps() {
		d.report.Begin(s.name)
		limit := s.limit
		if limit == 0 {
			limit = stepLimit
		}
		o, err := d.bounded(ctx, limit, s.run)
		if ctx.Err() != nil {
			err = errInterrupted
		}
		if err != nil {
			return err
		}
		d.report.Done(o)
	}
	return nil
}

func (d *demo) bounded(ctx context.Context, limit time.Duration, run func(context.Context) (report.Outcome, error)) (report.Outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	o, err := run(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return o, err
}

// errInterrupted ends a run that its user does not want any more.
var errInterrupted = errors.New("interrupted")

// tearDown removes whatever exists. It may be called again.
func (d *demo) tearDown() error {
	d.report.Begin("tear down")
	if d.load != nil {
		d.load.Stop()
	}
	d.secrets.Close()
	d.digests.Close()
	d.shop.Close()
	var errs []error
	if d.cluster != nil {
		errs = append(errs, d.cluster.Stop())
	}
	d.atRest.Stop()
	if d.server != nil {
		d.server.Stop()
	}
	errs = append(errs, d.log.Close(), os.RemoveAll(d.dir))
	err := errors.Join(errs...)
	if err != nil {
		d.report.Fail("something is left")
		return err
	}
	d.report.Done(report.Outcome{Text: "cluster, server and database ended, everything they wrote removed"})
	return nil
}

// example is a file that people can apply too.
func (d *demo) example(name string) string {
	return filepath.Join(d.root, "examples", "demo", name)
}

// openExample opens an example whose placeholder for the server's address is
// replaced by the real one.
func (d *demo) openExample(name string) (io.Reader, error) {
	text, err := os.ReadFile(d.example(name))
	if err != nil {
		return nil, fmt.Errorf("reading an example: %w", err)
	}
	return fill(text, d.server.URL()), nil
}
