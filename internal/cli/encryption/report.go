package encryption

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	clusters "github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/book"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof/event"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof/gauge"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// DefaultReports is where reports are kept.
const DefaultReports = "/var/lib/strongkeep/encryption-reports"

// reportFlags are how people say what is to be reported, and where it is kept.
type reportFlags struct {
	cluster    clusters.Flags
	from       etcdFlags
	cfg        proof.Config
	dir        string
	key, mount string
	html       string
	socket     string
	metrics    string
	events     bool
}

func (r *reportFlags) add(f *pflag.FlagSet) {
	f.StringVar(&r.cluster.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG, ~/.kube/config)")
	f.StringVar(&r.cluster.Context, "context", "", "context of the kubeconfig; its current one when not given")
	f.StringSliceVar(&r.cfg.Servers, "server", nil, "each API server, as https://ADDRESS:6443; may be repeated; that of the kubeconfig when not given")
	f.BoolVar(&r.cfg.TheseAreAll, "these-are-all", false, "the API servers given are all, in a cluster that keeps no leases of them")
	f.StringVar(&r.cfg.File, "file", "/etc/kubernetes/encryption.yaml", "this node's EncryptionConfiguration; empty: not looked at")
	f.StringVar(&r.cfg.Verify.Prefix, "etcd-prefix", stored.DefaultPrefix, "the API server's --etcd-prefix")
	f.StringSliceVar(&r.cfg.Verify.Resources, "resource", []string{"secrets"}, "RESOURCE or RESOURCE.GROUP to look at, *.GROUP for a group of custom resources, *.* for everything; may be repeated")
	f.StringVar(&r.cfg.Verify.Provider, "provider", "", "provider that all should be under: the name of a KMS v2 provider, or kms-v1/NAME, aescbc/KEY, aesgcm/KEY, secretbox/KEY")
	session.Filled(f, &r.cfg.Verify.KeyID, "key-id", "KMS v2 key id that all should be under; see strongkeep kms status")
	f.IntVar(&r.cfg.Verify.Most, "most", 1000, "how many values to name; all are counted")
	f.StringVar(&r.dir, "dir", DefaultReports, "folder of reports, one file each")
	f.StringVar(&r.key, "sign-key", "", "sign with this key of the machine (report new-key), instead of the vault's evidence engine")
	f.StringVar(&r.mount, "mount", "evidence", "where the evidence engine is mounted in the vault (VAULT_ADDR, VAULT_TOKEN)")
	f.StringVar(&r.socket, "socket", "", "instead of -key-id: take the key id that the plugin at this socket has now")
	f.StringVar(&r.metrics, "metrics-file", "", "replace this file by metrics of the report, for node_exporter's textfile collector; its name ends in .prom")
	f.BoolVar(&r.events, "events", false, "write an Event in the namespace default for each question that is answered with no")
	f.StringVar(&r.html, "html", "", "write it to this file too, as a page that opens without a network")
}

func (x command) report() *cobra.Command {
	var r reportFlags
	c := &cobra.Command{
		Use: "report", Short: "Write a signed report of what lies in etcd, for an auditor", Args: session.Args(0, 0),
		Long: `Read etcd as "verify" does, ask the API servers which configuration they have in force and
which keys their plugins told, and write one signed report of it: counts by resource,
provider and key id, the names of exceptions, and an answer to each question. What was not
checked is said to be so. No value is in it, and no digest of one.

Reports are a chain, each with the digest of the one before. They are signed by the vault's
evidence engine, as statements of rotations are, or with -sign-key by a key of this machine,
which is worth as much as the machine is. An auditor verifies them with a public key and
nothing else: "strongkeep encryption report verify".

Exit code 10 if a question is answered with no, or not all is encrypted for certain: the
report is written then too.`,
		Example: `  strongkeep encryption report -etcd=https://127.0.0.1:2379 -etcd-ca=/etc/kubernetes/pki/etcd/ca.crt \
    -etcd-cert=/etc/kubernetes/pki/apiserver-etcd-client.crt -etcd-key=/etc/kubernetes/pki/apiserver-etcd-client.key \
    -provider=strongkeep -key-id="$(strongkeep kms status -field=key_id)" -sign-key=/etc/strongkeep/report.key`,
		RunE: func(c *cobra.Command, _ []string) error { return x.runReport(c.Context(), &r) },
	}
	r.add(c.Flags())
	r.from.add(c)
	c.AddCommand(x.reportVerify(), x.reportKey())
	return c
}

// runReport makes a report, keeps it, tells of it and shows it. A run that fails is told too.
func (x command) runReport(ctx context.Context, r *reportFlags) error {
	if r.metrics != "" && filepath.Ext(r.metrics) != ".prom" {
		return errs.Newf(errs.Invalid, "-metrics-file=%s: the textfile collector reads names that end in .prom, and no other file is replaced", r.metrics)
	}
	signed, path, err := x.write(ctx, r)
	if err != nil {
		if r.metrics != "" {
			err = errors.Join(err, gauge.Failed(r.metrics, time.Now()))
		}
		return err
	}
	if err := x.tell(ctx, r, &signed); err != nil {
		return err
	}
	if err := x.showReport(signed, nil, r.html); err != nil {
		return err
	}
	if x.Format == "table" && x.Field == "" {
		if err := x.say("\nWrote %s, number %d of its chain. Keep its digest elsewhere: %s\n", path, signed.Seq, signed.Digest); err != nil {
			return err
		}
	}
	if !signed.Report.Holds() {
		return exitFound
	}
	return nil
}

// tell tells others of a report that is written. That Events cannot be written is no
// reason for it to fail.
func (x command) tell(ctx context.Context, r *reportFlags, signed *proof.Signed) error {
	if r.events {
		err := errs.New(errs.Invalid, "no API server is known")
		if r.cfg.REST != nil {
			_, err = event.Tell(ctx, r.cfg.REST, signed.Report)
		}
		if err != nil {
			x.Warn([]string{"no Events are written: " + err.Error()})
		}
	}
	if r.metrics == "" {
		return nil
	}
	return gauge.Write(r.metrics, signed, time.Now())
}

// reach finds out where to look, and what for.
func (x command) reach(ctx context.Context, r *reportFlags) (end func(), err error) {
	if r.socket != "" {
		if r.cfg.Verify.KeyID != "" {
			return nil, errs.New(errs.Invalid, "both -key-id and -socket are given: one of them says which key it should be")
		}
		if r.cfg.Verify.KeyID, err = configure.KeyID(ctx, r.socket); err != nil {
			return nil, err
		}
	}
	rest, _, err := r.cluster.Rest(x.Env)
	switch {
	case err == nil:
		r.cfg.REST = rest
	case r.cluster.Kubeconfig != "" || r.cluster.Context != "" || len(r.cfg.Servers) > 0:
		return nil, err
	default:
		x.Warn([]string{"no API server is asked: " + err.Error()})
	}
	r.cfg.SnapshotPath, r.cfg.Version = r.from.snapshot, x.version
	r.cfg.Host, _ = os.Hostname() // "" is not known
	r.cfg.Stored, end, err = r.from.open()
	return end, err
}

// write makes a report and has it signed. What it takes to sign is looked at first, since
// reading etcd takes long.
func (x command) write(ctx context.Context, r *reportFlags) (proof.Signed, string, error) {
	sign, err := x.signer(r)
	if err != nil {
		return proof.Signed{}, "", err
	}
	end, err := x.reach(ctx, r)
	if err != nil {
		return proof.Signed{}, "", err
	}
	defer end()
	s, err := proof.Make(ctx, r.cfg)
	if err != nil {
		return proof.Signed{}, "", err
	}
	b := book.Book{Dir: r.dir, Signer: sign(proof.ChainOf(s.Cluster), r.cfg.Host)}
	last, err := b.Last(ctx)
	if err != nil {
		return proof.Signed{}, "", err
	}
	if last != nil {
		s.Behind(last.Time)
	}
	raw, err := s.Encode()
	if err != nil {
		return proof.Signed{}, "", err
	}
	v, path, err := b.Add(ctx, last, raw)
	return proof.Signed{Verified: v, Report: s}, path, err
}

// signer returns what makes the signer of a chain.
func (x command) signer(r *reportFlags) (func(name, by string) book.Signer, error) {
	if r.key != "" {
		key, err := book.ReadKey(r.key)
		if err != nil {
			return nil, err
		}
		return func(name, by string) book.Signer {
			key.Name, key.By = name, by
			return key
		}, nil
	}
	if x.Env.Lookup("ADDR") == "" {
		return nil, errs.New(errs.Invalid, "who is to sign? Give VAULT_ADDR and VAULT_TOKEN of a vault with an evidence engine, or a key of this machine with -sign-key=FILE (strongkeep encryption report new-key FILE makes one)")
	}
	client, err := x.Client()
	if err != nil {
		return nil, err
	}
	return func(name, _ string) book.Signer {
		return &book.Vault{Client: client, Mount: strings.Trim(r.mount, "/"), Name: name}
	}, nil
}

func (x command) reportKey() *cobra.Command {
	return &cobra.Command{
		Use: "new-key FILE", Short: "Make a key for reports, and print its public half", Args: session.Args(1, 1),
		Long: `Make an Ed25519 key with which this machine signs reports, in a file that only its owner
reads, and print the public half. Give that to whoever is to verify reports, by another way
than the reports: who has the machine can make another key.`,
		Example: "  strongkeep encryption report new-key /etc/strongkeep/report.key > report.pub",
		RunE: func(_ *cobra.Command, given []string) error {
			public, err := book.GenerateKey(given[0])
			if err != nil {
				return err
			}
			return x.say("%s", public)
		},
	}
}
