package main

import (
	"context"
	"path/filepath"

	"github.com/strongkeep/strongkeep/test/demo/checklist"
	"github.com/strongkeep/strongkeep/test/demo/report"
)

// check is a step of the checklist.
func (d *demo) check(step func(*checklist.Act, context.Context) (report.Outcome, error)) func(context.Context) (report.Outcome, error) {
	return func(ctx context.Context) (report.Outcome, error) {
		if d.list == nil {
			d.list = checklist.New(checklist.Config{
				Control: d.plane, Examples: d.example(""), Dir: filepath.Join(d.dir, "checklist"), Server: d.server,
				Kubeconfig: d.cluster.Kubeconfig(), Kubectl: d.kube.pipe, Canary: d.canaries.Add,
			})
		}
		return step(d.list, ctx)
	}
}
