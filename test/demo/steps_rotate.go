package main

import (
	"context"
	"fmt"

	"github.com/strongkeep/strongkeep/test/demo/report"
	"github.com/strongkeep/strongkeep/test/demo/shop"
)

// openShop starts a database that pods reach, and has the vault make users in it.
func (d *demo) openShop(ctx context.Context) (report.Outcome, error) {
	var err error
	d.shop, err = shop.Open(ctx, shop.Config{
		Host: d.cluster.HostIP(), Examples: d.example(""), Dir: d.dir, Server: d.server,
		Kubeconfig: d.cluster.Kubeconfig(), Kubectl: d.kube.pipe, Canary: d.canaries.Add,
	})
	if err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "PostgreSQL at " + d.shop.Address() + "; two users are to take turns in it, made by the vault"}, nil
}

// consume starts applications that query without pause.
func (d *demo) consume(ctx context.Context) (report.Outcome, error) {
	sum, err := d.shop.Consume(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	user := ""
	for user = range sum.Users { // there is one
	}
	return report.Outcome{Text: fmt.Sprintf("%d pods, by environment and by file, log in as %s: %s queries by now",
		sum.Pods, user, report.Count(int(sum.Queries)))}, nil
}

// rotate rotates the credential under load, and shows the evidence.
func (d *demo) rotate(ctx context.Context) (report.Outcome, error) {
	r, err := d.shop.Rotate(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	d.statement = r.Statement
	notes := append(r.Table,
		fmt.Sprintf("user %s is gone from the database, and its password logs in no more", r.Old),
		"signed by the vault, and verified with its public key alone: "+r.Statement)
	return report.Outcome{
		Text: fmt.Sprintf("%s to %s in %s under load: %s queries meanwhile, %s failed queries",
			r.Old, r.New, report.Brief(r.Took), report.Count(int(r.Queries)), report.Count(int(r.Failed))),
		Notes: notes,
	}, nil
}
