package encryption

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
)

func (x command) rewrite() *cobra.Command {
	var to cluster.Flags
	var cfg rewrite.Config
	c := &cobra.Command{
		Use: "rewrite", Short: "Have every object written again, under the provider and key of now", Args: session.Args(0, 0),
		Long: `Have the API server write every object of the resources again, when all API servers write
with the new provider or key: what lies in etcd otherwise is encrypted then. Objects do not
change, and no update of others is lost. Names are read and sent, never values.

Where the cluster has StorageVersionMigrations, and somebody who does them, they are left
that (-by). Otherwise it does as much as lets others wait about twice as long at most, which a
small request tells (-pace), and less when the API server says that it is too much. Where it
stands is kept in a ConfigMap: killed or interrupted, the same command goes on from there. When
it is done, prove it with "strongkeep encryption verify".

Exit code 10 if there are objects that the API server would not write.`,
		Example: "  strongkeep encryption rewrite -resource=secrets\n  strongkeep encryption rewrite -server=https://10.0.0.1:6443 -server=https://10.0.0.2:6443",
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if cfg.REST, _, err = to.Rest(x.Env); err != nil {
				return err
			}
			show := progress{out: x.Env.Stderr, now: time.Now}
			cfg.Progress = show.tell
			r, err := rewrite.Run(c.Context(), cfg)
			show.end()
			if err != nil {
				return err
			}
			if err := x.printRewritten(r); err != nil {
				return err
			}
			if r.Refused > 0 {
				return exitFound
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&to.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG, ~/.kube/config, or the pod's own)")
	f.StringVar(&to.Context, "context", "", "context of the kubeconfig; its current one when not given")
	f.StringSliceVar(&cfg.Resources, "resource", []string{"secrets"}, "RESOURCE or RESOURCE.GROUP to rewrite; may be repeated")
	f.IntVar(&cfg.Width, "parallel", 16, "how many requests to make at once, at most")
	f.StringSliceVar(&cfg.Servers, "server", nil, "each API server, as https://ADDRESS:6443, to be asked what it encrypts with; may be repeated; that of the kubeconfig when not given")
	f.StringVar((*string)(&cfg.By), "by", string(rewrite.Auto), "who has objects written: migration (a StorageVersionMigration), ourselves, or auto: the first one where the cluster takes it on")
	f.StringVar((*string)(&cfg.Pace), "pace", string(rewrite.Gentle), "gentle: others wait about twice as long at most; full: as fast as it goes")
	f.IntVar(&cfg.Page, "page", 250, "how many objects to list at once")
	f.BoolVar(&cfg.Anew, "anew", false, "begin at the beginning, also if an earlier run ended early")
	f.StringVar(&cfg.Namespace, "note-namespace", "kube-system", "namespace of the ConfigMap "+rewrite.NoteName)
	return c
}

func (x command) printRewritten(r *rewrite.Report) error {
	if x.Format != "table" || x.Field != "" {
		return x.Print(r, nil, nil)
	}
	for _, note := range r.Notes {
		if _, err := fmt.Fprintf(x.Env.Stderr, "Note: not left to a StorageVersionMigration: %s\n", note); err != nil {
			return err
		}
	}
	if err := x.printEncryptedWith(r); err != nil {
		return err
	}
	rows := []session.Row{
		{"objects", strconv.Itoa(r.Done)},
		{"rewritten", strconv.Itoa(r.Written)},
		{"left to a StorageVersionMigration", strconv.Itoa(r.Migrated)},
		{"as they should be already", strconv.Itoa(r.Current)},
		{"written by others meanwhile", strconv.Itoa(r.ByOthers)},
		{"deleted meanwhile", strconv.Itoa(r.Gone)},
		{"refused", strconv.Itoa(r.Refused)},
	}
	if err := x.Print(nil, session.Row{"WHAT", "COUNT"}, rows); err != nil {
		return err
	}
	var refused []session.Row
	for _, f := range r.Refusals {
		refused = append(refused, session.Row{f.Resource, f.Name, f.Why})
	}
	return x.table(session.Row{"RESOURCE", "OBJECT", "REFUSED AS"}, refused)
}

// printEncryptedWith says what is known of what API servers encrypt with.
func (x command) printEncryptedWith(r *rewrite.Report) error {
	said := fmt.Sprintf("Encrypted with %s, say all %d API servers that were named.", r.Configuration, len(r.Servers))
	switch {
	case r.Configuration == "":
		said = "Warning: the API server's metrics do not tell what it encrypts with. If that changed meanwhile, run it again."
	case len(r.Servers) == 0:
		said = "Encrypted with " + r.Configuration + ", says the API server that was asked. If there are others, name each with -server: they may have another."
	}
	_, err := fmt.Fprintln(x.Env.Stderr, said)
	return err
}

// progress tells people how far it is: on a terminal in one line that changes, else
// in a line now and then.
type progress struct {
	out  io.Writer
	now  func() time.Time
	last time.Time
	open bool // a line of the terminal is not ended
}

// between is how long nothing is told where each line stays.
const between = 10 * time.Second

func (p *progress) tell(at rewrite.Progress) {
	text := fmt.Sprintf("%s: a StorageVersionMigration is under way, for %s", at.Resource, at.Migrating.Round(time.Second))
	if at.Migrating == 0 {
		text = fmt.Sprintf("%s: %d of %d objects, %.0f/s with %d at once, %s left", at.Resource, at.Done, at.Total, at.Rate, at.Width, at.Left.Round(time.Second))
	}
	if f, ok := p.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s", text)
		p.open = true
		return
	}
	if now := p.now(); now.Sub(p.last) >= between {
		p.last = now
		_, _ = fmt.Fprintln(p.out, text)
	}
}

func (p *progress) end() {
	if p.open {
		_, _ = fmt.Fprintln(p.out)
	}
}
