package main

import (
	"context"
	"io"
	"path/filepath"

	"github.com/strongkeep/strongkeep/test/demo/atrest"
	"github.com/strongkeep/strongkeep/test/demo/report"
)

// startPlugin starts the KMS plugin, which needs no cluster.
func (d *demo) startPlugin(ctx context.Context) (report.Outcome, error) {
	logs, err := d.logs()
	if err != nil {
		return report.Outcome{}, err
	}
	if d.atRest, err = atrest.Prepare(ctx, atrest.Config{Binary: d.binary, Dir: filepath.Join(d.dir, "kms"), LogDir: logs, Kubectl: d.kubectl, Canary: d.canaries.Add}); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "it runs before the cluster, with a key that API server and etcd never have"}, nil
}

// kubectl runs it, once there is a cluster.
func (d *demo) kubectl(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	return d.kube.pipe(ctx, stdin, args...)
}

// controlPlane is the cluster's API server and etcd.
func (d *demo) controlPlane() atrest.Control {
	return atrest.Control{URL: d.cluster.URL(), Kubeconfig: d.cluster.Kubeconfig(), Etcd: d.cluster.Etcd()}
}

// seeClear has the API server be told to encrypt.
func (d *demo) seeClear(ctx context.Context) (report.Outcome, error) {
	return d.atRest.Begin(ctx, d.controlPlane())
}

// encrypt rewrites what is in the clear, and reads in etcd that nothing is.
func (d *demo) encrypt(ctx context.Context) (report.Outcome, error) {
	return d.atRest.End(ctx, d.controlPlane())
}
