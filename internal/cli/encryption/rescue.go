package encryption

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	clusters "github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rescue"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// rescueFlags are what the command is told.
type rescueFlags struct {
	from     etcdFlags
	cluster  clusters.Flags
	servers  []string
	cfg      rescue.Config
	file     string
	old      []string
	backups  []string
	restore  string
	show     bool
	delete   bool
	confirm  string
	copy     string
	deleting bool // -delete, and -confirm says what
}

func (x command) rescue() *cobra.Command {
	var f rescueFlags
	c := &cobra.Command{
		Use: "rescue [NAMESPACE/NAME...]", Short: "Find what no longer decrypts, and restore or delete it", Args: session.Args(0, 1000),
		Long: `Find values that no longer decrypt, one by one, where LIST fails, and say what can be done
for each: who reads it still, which key is missing, which backup has a value that opens.

Values are read in etcd (-etcd) or a snapshot (-snapshot), and opened with the keys of the
EncryptionConfiguration (-file) and by its plugins. An API server that is named is asked
whether it reads them still, from memory. Without etcd an API server tells the names.

-restore writes the newest values that open to a file that only you can read, for kubectl
create. -delete tells which objects the API server would delete although it cannot read
them, and with the -confirm that it tells does it, after their encrypted values are in the
file of -copy. Nothing is deleted that a plugin that is away might open, that any API server
reads (name each with -server), or whose key you do not say is gone for ever (-gone).

Exit code 10 if there is anything that cannot be read.`,
		Example: `  strongkeep encryption rescue -snapshot=/var/backups/etcd.db -file=/etc/kubernetes/encryption.yaml
  strongkeep encryption rescue -etcd=https://127.0.0.1:2379 -etcd-ca=/etc/kubernetes/pki/etcd/ca.crt \
    -etcd-cert=/etc/kubernetes/pki/apiserver-etcd-client.crt -etcd-key=/etc/kubernetes/pki/apiserver-etcd-client.key \
    -server=https://10.0.0.1:6443 -backup=/var/backups/etcd.db -restore=restored.yaml`,
		RunE: func(c *cobra.Command, only []string) error {
			f.cfg.Only, f.deleting, f.cfg.Readable = only, c.Flags().Changed("confirm"), f.restore != ""
			return x.runRescue(c.Context(), &f)
		},
	}
	f.from.add(c)
	to := c.Flags()
	to.StringVar(&f.cfg.Prefix, "etcd-prefix", stored.DefaultPrefix, "the API server's --etcd-prefix")
	to.StringSliceVar(&f.cfg.Resources, "resource", []string{"secrets"}, "RESOURCE or RESOURCE.GROUP to look at; may be repeated")
	to.StringVar(&f.file, "file", "/etc/kubernetes/encryption.yaml", "the API servers' EncryptionConfiguration")
	to.StringSliceVar(&f.old, "old-file", nil, "an older EncryptionConfiguration, whose keys open what is restored; may be repeated")
	to.StringSliceVar(&f.cfg.Gone, "gone", nil, "key id, or provider such as aescbc/KEY, that you know is gone for ever; may be repeated")
	to.StringSliceVar(&f.backups, "backup", nil, "file of a snapshot that may have values that open; may be repeated")
	to.StringVar(&f.cluster.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG, ~/.kube/config)")
	to.StringVar(&f.cluster.Context, "context", "", "context of the kubeconfig; its current one when not given")
	to.StringSliceVar(&f.servers, "server", nil, "an API server, as https://ADDRESS:6443, to be asked whether it reads what is lost; may be repeated; to delete name each")
	to.BoolVar(&f.cfg.TheseAreAll, "these-are-all", false, "with -delete: the API servers given are all, in a cluster where none of them renews its lease")
	to.StringVar(&f.restore, "restore", "", "file to be made, with the newest values that open, as manifests; of a -snapshot also what is named and readable, and all of a file of -copy; - is standard output")
	to.BoolVar(&f.show, "show", false, "with -restore=-: also onto a terminal")
	to.BoolVar(&f.delete, "delete", false, "have the API server delete what is lost; without -confirm it only says what")
	to.StringVar(&f.confirm, "confirm", "", "with -delete: what is to be deleted, as it said before (such as 3-9f2c07d1)")
	to.StringVar(&f.copy, "copy", "", "with -delete: file to be made, with the encrypted values, for the day when the key turns up (-snapshot=FILE -restore=OTHER)")
	return c
}

// check refuses what cannot be meant.
func (f *rescueFlags) check(out io.Writer) error {
	terminal := false
	if file, ok := out.(*os.File); ok {
		terminal = term.IsTerminal(int(file.Fd()))
	}
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{!f.from.given() && f.more(), "an API server tells names only: for single objects, -backup, -old-file, -gone, -restore and -delete say where the values are (-etcd, or -snapshot)"},
		{f.delete && len(f.from.etcd.Endpoints) == 0, "what is deleted has to be in the running etcd (-etcd): a snapshot does not tell what is there now"},
		{f.deleting && !f.delete, "-confirm is asked with -delete only"},
		{f.deleting && f.copy == "", "name a file for the encrypted values (-copy=FILE): with the key, should it turn up, they can be restored from there (-snapshot=FILE -restore=OTHER)"},
		{f.restore == "-" && terminal && !f.show, "this would show secrets on a terminal: name a file (-restore=FILE), pipe it, or say -show"},
		{f.restore == "-" && f.delete, "first restore, then delete: -restore=- and -delete both write to standard output"},
	} {
		if c.wrong {
			return errs.New(errs.Invalid, c.text)
		}
	}
	return nil
}

// more reports whether more than names is asked for.
func (f *rescueFlags) more() bool {
	return len(f.backups)+len(f.old)+len(f.cfg.Gone)+len(f.cfg.Only) > 0 || f.restore != "" || f.delete
}

// asks reports whether API servers are to be asked.
func (f *rescueFlags) asks() bool {
	return !f.from.given() || f.delete || len(f.servers) > 0 || f.cluster.Kubeconfig != "" || f.cluster.Context != ""
}

func (x command) runRescue(ctx context.Context, f *rescueFlags) error {
	if err := f.check(x.Env.Stdout); err != nil {
		return err
	}
	if f.asks() {
		rest, _, err := f.cluster.Rest(x.Env)
		if err != nil {
			return err
		}
		if f.cfg.Servers, err = rescue.Connect(rest, f.servers); err != nil {
			return err
		}
	}
	if !f.from.given() {
		r, err := rescue.Names(ctx, f.cfg.Servers, f.cfg.Resources)
		if err != nil {
			return err
		}
		return x.rescued(r, f, nil)
	}
	end, err := f.open()
	defer end()
	if err != nil {
		return err
	}
	return x.found(ctx, f)
}

// found finds, and does what was asked for.
func (x command) found(ctx context.Context, f *rescueFlags) error {
	r, err := rescue.Find(ctx, f.cfg)
	if err != nil {
		return err
	}
	if err := x.restore(r, f); err != nil {
		return err
	}
	var done *rescue.Removed
	if f.deleting {
		if done, err = x.remove(ctx, r, f); done == nil {
			return err
		}
	}
	said := x.rescued(r, f, done)
	return cmp.Or(err, said) // an exit code of ours would hide the error
}

// open opens all that is read. end is never nil.
func (f *rescueFlags) open() (end func(), err error) {
	var ends []func()
	end = func() {
		for _, one := range ends {
			one()
		}
	}
	for i, path := range append([]string{f.file}, f.old...) {
		keys, err := rescue.Load(path)
		if err != nil {
			return end, err
		}
		ends = append(ends, keys.Close)
		if i == 0 {
			f.cfg.Keys = keys
		} else {
			f.cfg.Old = append(f.cfg.Old, keys)
		}
	}
	for _, path := range f.backups {
		f.cfg.Backups = append(f.cfg.Backups, stored.Snapshot{Path: path})
	}
	from, closing, err := f.from.open()
	if err != nil {
		return end, err
	}
	ends = append(ends, closing)
	f.cfg.From = from
	return end, nil
}

// restore writes what opens where it was asked for.
func (x command) restore(r *rescue.Report, f *rescueFlags) error {
	if f.restore == "" {
		return nil
	}
	text, n, missing := rescue.Manifest(slices.Concat(r.Lost, r.Unknown, r.Readable))
	for _, one := range missing {
		if _, err := fmt.Fprintf(x.Env.Stderr, "Not restored: %s\n", one); err != nil {
			return err
		}
	}
	if n == 0 {
		return errs.New(errs.NotExist, "nothing can be restored: no file was written; name backups (-backup) and older configurations (-old-file)")
	}
	if f.restore == "-" {
		_, err := x.Env.Stdout.Write(text.Reveal())
		return err
	}
	if f.deleting && same(f.restore, text) { // this is the command of before, with -confirm
		_, err := fmt.Fprintf(x.Env.Stderr, "%d objects are in %s already.\n", n, f.restore)
		return err
	}
	if err := private(f.restore, text); err != nil {
		return err
	}
	_, err := fmt.Fprintf(x.Env.Stderr, "%d objects are in %s, which only you can read. Delete what is lost (-delete), then: kubectl create -f %s\n", n, f.restore, f.restore)
	return err
}

// same reports whether a file of its owner's only has this already.
func same(path string, text redact.Secret) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() != int64(text.Len()) {
		return false
	}
	there, err := os.ReadFile(path)
	return err == nil && bytes.Equal(there, text.Reveal())
}

// private makes a file that only its owner reads, whole, where nothing is yet. What a run
// that was killed has left of it is removed.
func private(path string, text redact.Secret) error {
	if err := draft.Sweep(path); err != nil {
		return errs.Newf(errs.Unavailable, "removing what a run before has left beside %s: %w", path, err)
	}
	d, err := draft.Open(path)
	if err != nil {
		return errs.Newf(errs.Invalid, "writing what is restored: %w", err)
	}
	defer d.Discard()
	if _, err = d.Write(text.Reveal()); err == nil {
		err = d.Create()
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return errs.Newf(errs.Exist, "%s is there already: name another file", path)
	case err != nil:
		return errs.Newf(errs.Unavailable, "writing what is restored: %w", err)
	}
	return nil
}

// remove deletes what was confirmed. Without an answer nothing was.
func (x command) remove(ctx context.Context, r *rescue.Report, f *rescueFlags) (*rescue.Removed, error) {
	all := r.Deletable()
	if len(all) == 0 || f.confirm != rescue.Confirmation(all) {
		return nil, errs.Newf(errs.Conflict, "%d objects would be deleted, and they are not those of -confirm=%s: look at what they are (-delete without -confirm); nothing was deleted", len(all), f.confirm)
	}
	done, err := rescue.Remove(ctx, f.cfg, all, f.copy)
	if err != nil && len(done.Deleted) == 0 {
		return nil, err
	}
	return done, err
}

// answer is the report as JSON.
type answer struct {
	*rescue.Report
	*rescue.Removed
	Deletable int    `json:"deletable"`
	Confirm   string `json:"confirm,omitempty"` // for -confirm; "": nothing would be deleted
}

// rescued prints what was found and done.
func (x command) rescued(r *rescue.Report, f *rescueFlags, done *rescue.Removed) error {
	if f.restore != "-" {
		if err := x.printRescue(r, f, done); err != nil {
			return err
		}
	}
	left := len(r.Lost) + len(r.Unknown)
	if done != nil {
		left -= len(done.Deleted)
	}
	if left > 0 {
		return exitFound
	}
	return nil
}

func (x command) printRescue(r *rescue.Report, f *rescueFlags, done *rescue.Removed) error {
	deletable, confirm := len(r.Deletable()), ""
	if deletable > 0 {
		confirm = rescue.Confirmation(r.Deletable())
	}
	if x.Format != "table" || x.Field != "" {
		return x.Print(answer{r, done, deletable, confirm}, nil, nil)
	}
	read := fmt.Sprintf("Read %d values of %s", r.Read, r.Source)
	if !f.from.given() {
		read = "Asked the " + r.Source
	}
	err := x.say("%s: %d are lost, of %d it is not known.\n", read, len(r.Lost), len(r.Unknown))
	for _, all := range [][]rescue.Finding{r.Lost, r.Unknown} {
		err = errors.Join(err, x.table(session.Row{"RESOURCE", "OBJECT", "STATE", "PROVIDER", "KEY ID", "VALUES THAT OPEN", "DELETABLE"}, lostRows(all)))
	}
	err = errors.Join(err, x.advise(r))
	switch {
	case done != nil:
		err = errors.Join(err, x.say("\nDeleted: %d. Their encrypted values are in %s.\n", len(done.Deleted), f.copy))
		for _, l := range done.Left {
			err = errors.Join(err, x.say("Left: %s %s: %s\n", l.Resource, l.Name, l.Why))
		}
	case f.delete && deletable == 0:
		err = errors.Join(err, x.say("\n0 objects would be deleted: none is DELETABLE, and above is why.\n"))
	case f.delete:
		err = errors.Join(err, x.say("\n%d objects would be deleted (DELETABLE: yes), and nothing was. To do it: the same command with -confirm=%s -copy=FILE\n", deletable, confirm), x.restorable(r, f))
	}
	return err
}

// restorable reminds of what could be restored, and is not yet.
func (x command) restorable(r *rescue.Report, f *rescueFlags) error {
	n := 0
	for _, one := range r.Deletable() {
		if len(one.Values) > 0 {
			n++
		}
	}
	if n == 0 || f.restore != "" {
		return nil
	}
	return x.say("Of %d of them a value opens: restore those first (-restore=FILE)\n", n)
}

var yesNo = map[bool]string{true: "yes", false: "no"}

func lostRows(all []rescue.Finding) (rows []session.Row) {
	for i := range all {
		f := &all[i]
		rows = append(rows, session.Row{f.Resource, f.Name, string(f.State), session.First(f.Provider, "-"), session.First(f.KeyID, "-"), strconv.Itoa(len(f.Values)), yesNo[f.Deletable]})
	}
	return rows
}

// advise says what can be done, each once, with how many objects it is for.
func (x command) advise(r *rescue.Report) error {
	var order []string
	counts := map[string]int{}
	for _, all := range [][]rescue.Finding{r.Lost, r.Unknown} {
		for i := range all {
			for _, text := range append([]string{"why: " + all[i].Why}, all[i].Do...) {
				if counts[text]++; counts[text] == 1 {
					order = append(order, text)
				}
			}
		}
	}
	var rows []session.Row
	for _, text := range order {
		rows = append(rows, session.Row{strconv.Itoa(counts[text]), text})
	}
	return x.table(session.Row{"OBJECTS", "WHAT IS KNOWN, AND WHAT CAN BE DONE"}, rows)
}
