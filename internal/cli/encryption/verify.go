package encryption

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	clusters "github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/tally"
)

// etcdFlags are how people name what is stored.
type etcdFlags struct {
	etcd     stored.EtcdConfig
	snapshot string
}

func (e *etcdFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&e.etcd.Endpoints, "etcd", nil, "an endpoint of etcd, such as https://127.0.0.1:2379; may be repeated")
	f.StringVar(&e.etcd.CAFile, "etcd-ca", "", "authority of etcd, PEM; with kubeadm /etc/kubernetes/pki/etcd/ca.crt")
	f.StringVar(&e.etcd.CertFile, "etcd-cert", "", "certificate to present, PEM; with kubeadm /etc/kubernetes/pki/apiserver-etcd-client.crt")
	f.StringVar(&e.etcd.KeyFile, "etcd-key", "", "its key, PEM; with kubeadm /etc/kubernetes/pki/apiserver-etcd-client.key")
	f.StringVar(&e.snapshot, "snapshot", "", "file of a snapshot (etcdctl snapshot save), instead of a running etcd")
}

func (e *etcdFlags) given() bool { return e.snapshot != "" || len(e.etcd.Endpoints) > 0 }

// open returns what was named, and what ends it.
func (e *etcdFlags) open() (stored.Source, func(), error) {
	switch {
	case e.snapshot != "" && len(e.etcd.Endpoints) > 0:
		return nil, nil, errs.New(errs.Invalid, "both -etcd and -snapshot are given: one of them is read")
	case e.snapshot != "":
		return stored.Snapshot{Path: e.snapshot}, func() {}, nil
	case len(e.etcd.Endpoints) == 0:
		return nil, nil, errs.New(errs.Invalid, "say where the values are: -etcd=https://127.0.0.1:2379 with -etcd-ca, -etcd-cert and -etcd-key, or -snapshot=FILE")
	}
	client, err := stored.Dial(e.etcd)
	if err != nil {
		return nil, nil, err
	}
	return client, func() { _ = client.Close() }, nil
}

func (x command) verify() *cobra.Command {
	var from etcdFlags
	var by counterFlags
	var cloud cloudFlags
	var cfg stored.Config
	c := &cobra.Command{
		Use: "verify", Short: "Read etcd, and name each value that is in the clear or under an old key", Args: session.Args(0, 0),
		Long: `Read every value of the resources in etcd, or in a snapshot of it, and count under which
provider and key each one is. It needs no key, decrypts nothing, shows no value and
changes nothing. What was not checked is said to be so, and is never a yes.

Where nobody may read etcd, -by-metrics has an API server read every object, and believes
what it counts meanwhile. That is weaker: it names no value, and is its own word. Where a
cloud runs the API servers, -eks-cluster and its like judge what the cloud says of itself.

Exit code 10 if a value is in the clear, broken, or not under -provider and -key-id; if
overwritten values in a snapshot are in the clear; or if etcd has nothing of a resource.`,
		Example: `  strongkeep encryption verify -snapshot=/var/backups/etcd.db -provider=strongkeep
  strongkeep encryption verify -etcd=https://127.0.0.1:2379 -etcd-ca=/etc/kubernetes/pki/etcd/ca.crt \
    -etcd-cert=/etc/kubernetes/pki/apiserver-etcd-client.crt -etcd-key=/etc/kubernetes/pki/apiserver-etcd-client.key \
    -provider=strongkeep -key-id="$(strongkeep kms status -field=key_id)"`,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := cloud.judge()
			switch {
			case err == nil && r == nil:
				r, err = x.verified(c.Context(), &from, &by, cfg)
			case err == nil && (by.on || from.given()):
				err = errs.New(errs.Invalid, "what a cloud says is judged by itself: leave out -etcd, -snapshot and -by-metrics")
			}
			if err != nil {
				return err
			}
			if err := x.printReport(r); err != nil {
				return err
			}
			if !r.Holds() {
				return exitFound
			}
			return nil
		},
	}
	from.add(c)
	by.add(c)
	cloud.add(c)
	f := c.Flags()
	f.StringVar(&cfg.Prefix, "etcd-prefix", stored.DefaultPrefix, "the API server's --etcd-prefix")
	f.StringSliceVar(&cfg.Resources, "resource", []string{"secrets"}, "RESOURCE or RESOURCE.GROUP to look at, *.GROUP for a group of custom resources, *.* for everything; may be repeated")
	f.StringVar(&cfg.Provider, "provider", "", "provider that all should be under: the name of a KMS v2 provider, or kms-v1/NAME, aescbc/KEY, aesgcm/KEY, secretbox/KEY")
	session.Filled(f, &cfg.KeyID, "key-id", "KMS v2 key id that all should be under; see strongkeep kms status")
	f.IntVar(&cfg.Most, "most", 1000, "how many values to name; all are counted")
	return c
}

// counterFlags are how people name an API server whose counters are believed.
type counterFlags struct {
	on      bool
	cluster clusters.Flags
	server  string
}

func (b *counterFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&b.on, "by-metrics", false, "instead of etcd: have an API server read every object, and believe its counters")
	f.StringVar(&b.server, "server", "", "with -by-metrics: the own address of one API server, https://ADDRESS:6443; that of the kubeconfig when not given")
	f.StringVar(&b.cluster.Kubeconfig, "kubeconfig", "", "with -by-metrics: how to reach the API server (KUBECONFIG, ~/.kube/config)")
	f.StringVar(&b.cluster.Context, "context", "", "context of the kubeconfig; its current one when not given")
}

// verified asks what was named.
func (x command) verified(ctx context.Context, from *etcdFlags, by *counterFlags, cfg stored.Config) (*stored.Report, error) {
	if !by.on {
		source, end, err := from.open()
		if err != nil {
			return nil, err
		}
		defer end()
		return stored.Verify(ctx, source, cfg)
	}
	if from.given() {
		return nil, errs.New(errs.Invalid, "-by-metrics is the weaker evidence: leave it out where -etcd or -snapshot are given")
	}
	rest, _, err := by.cluster.Rest(x.Env)
	if err != nil {
		return nil, err
	}
	return tally.Verify(ctx, tally.Config{REST: rest, Server: by.server, Resources: cfg.Resources, Provider: cfg.Provider, KeyID: cfg.KeyID, Most: cfg.Most})
}

func (x command) printReport(r *stored.Report) error {
	if x.Format != "table" || x.Field != "" {
		return x.Print(r, nil, nil)
	}
	var answers, counts, found []session.Row
	for _, a := range r.Answers {
		answers = append(answers, session.Row{a.Answer, a.Question, a.Detail})
	}
	for i := range r.Resources {
		for _, g := range r.Resources[i].Under {
			counts = append(counts, session.Row{r.Resources[i].Name, strconv.Itoa(g.Values), g.Provider, session.First(g.KeyID, "-")})
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		found = append(found, session.Row{f.Resource, f.Name, f.Why, f.Provider, session.First(f.KeyID, "-")})
	}
	more := ""
	if n := r.Found - len(r.Findings); n > 0 {
		more = fmt.Sprintf("and %d more: -most=%d names all\n", n, r.Found)
	}
	read := "Read " + r.Source
	if r.Revision > 0 {
		read += " at revision " + strconv.FormatInt(r.Revision, 10)
	}
	return errors.Join(
		x.say("%s.\n\n", read),
		x.Print(nil, session.Row{"ANSWER", "QUESTION", "DETAIL"}, answers),
		x.table(session.Row{"RESOURCE", "VALUES", "PROVIDER", "KEY ID"}, counts),
		x.table(session.Row{"RESOURCE", "OBJECT", "WHY", "PROVIDER", "KEY ID"}, found),
		x.say("%s", more))
}

func (x command) say(format string, args ...any) error {
	_, err := fmt.Fprintf(x.Env.Stdout, format, args...)
	return err
}

// table is one more, if it has any row.
func (x command) table(header session.Row, rows []session.Row) error {
	if len(rows) == 0 {
		return nil
	}
	return errors.Join(x.say("\n"), x.Print(nil, header, rows))
}
