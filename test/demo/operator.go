package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/strongkeep/strongkeep/test/demo/report"
)

// What deploy/operator names.
const (
	operatorNamespace   = "strongkeep-system"
	operatorDeployment  = "strongkeep-operator"
	operatorMetricsPort = "8080"
)

// imageLine is the image of the one container in deploy/operator/operator.yaml.
var imageLine = regexp.MustCompile(`(?m)^\s*image:\s*(\S+)\s*$`)

// deploy is a file below deploy.
func (d *demo) deploy(name string) string { return filepath.Join(d.root, "deploy", name) }

// loadImages gives the node the images that the manifests name, made from our
// own programs: there is no registry.
func (d *demo) loadImages(ctx context.Context) error {
	manifest, err := os.ReadFile(d.deploy("operator/operator.yaml"))
	if err != nil {
		return fmt.Errorf("reading the operator's manifest: %w", err)
	}
	image := imageLine.FindSubmatch(manifest)
	if image == nil {
		return fmt.Errorf("the operator's manifest %s names no image", d.deploy("operator/operator.yaml"))
	}
	err = d.cluster.LoadImage(ctx, string(image[1]), map[string]string{"/strongkeep": d.binary}, "/strongkeep")
	if err != nil {
		return err
	}
	if err := d.cluster.LoadImage(ctx, "localhost/sample:1", map[string]string{"/sample": d.sample}, "/sample"); err != nil {
		return err
	}
	return d.cluster.LoadImage(ctx, "localhost/reader:1", map[string]string{"/reader": d.reader}, "/reader")
}

// runOperator runs the operator as a Deployment, with no permission but its own.
func (d *demo) runOperator(ctx context.Context) (report.Outcome, error) {
	if err := d.kube.apply(ctx, d.deploy("crds")); err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.kube.run(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"); err != nil {
		return report.Outcome{}, err
	}
	if err := d.kube.apply(ctx, d.deploy("operator/operator.yaml"), d.deploy("operator/rbac-cluster.yaml")); err != nil {
		return report.Outcome{}, err
	}
	_, err := d.kube.run(ctx, "rollout", "status", "--namespace="+operatorNamespace, "deployment/"+operatorDeployment, "--timeout=50s")
	return report.Outcome{Text: "Deployment " + operatorNamespace + "/" + operatorDeployment + " is available: two pods, one of them elected"}, err
}
