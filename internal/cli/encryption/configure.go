package encryption

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	clusters "github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// goalFlags are how people say what is to be, and where.
type goalFlags struct {
	cluster clusters.Flags
	configure.Config
}

func (g *goalFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.cluster.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG, ~/.kube/config)")
	f.StringVar(&g.cluster.Context, "context", "", "context of the kubeconfig; its current one when not given")
	f.StringSliceVar(&g.Servers, "server", nil, "each API server, as https://ADDRESS:6443; may be repeated; that of the kubeconfig when not given")
	f.StringVar(&g.File, "file", "/etc/kubernetes/encryption.yaml", "this node's EncryptionConfiguration")
	f.StringVar(&g.Manifest, "manifest", "/etc/kubernetes/manifests/kube-apiserver.yaml", "the API server's static pod; empty: not looked at")
	f.StringSliceVar(&g.Goal.Resources, "resource", []string{"secrets"}, "RESOURCE or RESOURCE.GROUP, or a wildcard: *.GROUP, *. (core), *.*; may be repeated")
	f.StringVar(&g.Goal.Name, "name", "strongkeep", "name of the provider, which never changes")
	f.StringVar(&g.Goal.Socket, "socket", serve.DefaultSocket, "the plugin's socket, at the same path on every node")
	f.DurationVar(&g.Goal.Timeout, "timeout", 3*time.Second, "how long API servers wait for the plugin; of a provider that is new")
	session.Filled(f, &g.Expect, "expect", "key id that the plugins of all nodes are to have; see strongkeep kms status")
	f.BoolVar(&g.TheseAreAll, "these-are-all", false, "the API servers given are all, in a cluster that keeps no leases of them")
	f.BoolVar(&g.Goal.Back, "back", false, "the way back: to write in the clear again")
}

// config is what was said, with the way to the cluster.
func (x command) config(g *goalFlags) (configure.Config, error) {
	rest, _, err := g.cluster.Rest(x.Env)
	if err != nil {
		return configure.Config{}, err
	}
	g.REST = rest
	return g.Config, nil
}

// look is where things stand.
func (x command) look(c *cobra.Command, g *goalFlags) (*configure.State, error) {
	cfg, err := x.config(g)
	if err != nil {
		return nil, err
	}
	return configure.Look(c.Context(), cfg)
}

func (x command) status() *cobra.Command {
	var g goalFlags
	c := &cobra.Command{
		Use: "status", Short: "Which EncryptionConfiguration each API server has in force", Args: session.Args(0, 0),
		Long: `Read this node's EncryptionConfiguration and ask every API server which file it has in
force, by the hash in its metrics. It changes nothing. Run it on a control-plane node,
with the rights to get /metrics and to list leases in kube-system.`,
		Example: "  strongkeep encryption status -server=https://10.0.0.1:6443 -server=https://10.0.0.2:6443",
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := x.look(c, &g)
			if err != nil {
				return err
			}
			rows := make([]session.Row, len(s.Servers))
			for i, at := range s.Servers {
				rows[i] = session.Row{at.URL, which[at.Which], stages[at.Stage], key(at, g.Goal.Name), moment(at.Reloaded), failures(at)}
			}
			return x.Print(s, session.Row{"API SERVER", "HAS IN FORCE", "WITH IT", "KEY", "RELOADED", "REFUSED"}, rows)
		},
	}
	g.add(c)
	return c
}

// which are words for the file that an API server has.
var which = map[string]string{"this": "this node's file", "before": "the file before it", "next": "the next file", "none": "no file that it tells of", "unknown": "another file"}

// stages are words for what a file does.
var stages = map[config.Stage]string{config.Away: "it does not know the provider", config.Reads: "it reads with the provider", config.Writes: "it writes with the provider", "": "it is not known what it does"}

// key is the beginning of the hash of the key id that the plugin of a provider has told.
func key(at configure.At, name string) string {
	k, ok := at.Keys[name]
	if !ok {
		return "-"
	}
	return k.Hash[:min(len(k.Hash), len("sha256:")+12)]
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func failures(at configure.At) string {
	if at.Failures == 0 {
		return "-"
	}
	return strconv.Itoa(at.Failures) + " times, last " + moment(at.Failed)
}

// step is one of a plan.
type step struct {
	What   string `json:"step"`
	State  string `json:"state"` // done, next, waits, later, not checked
	Detail string `json:"detail,omitempty"`
}

func (x command) plan() *cobra.Command {
	var g goalFlags
	c := &cobra.Command{
		Use: "plan", Short: "What is done, and what comes next, on the way to encryption and back", Args: session.Args(0, 0),
		Long: `Show the steps from where the API servers are to where all of them write with the
provider (with -back: in the clear), and which one is next. It changes nothing.`,
		Example: "  strongkeep encryption plan -resource=secrets -resource=configmaps",
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := x.look(c, &g)
			if err != nil {
				return err
			}
			steps := steps(s, &g.Config)
			rows := make([]session.Row, len(steps))
			for i, p := range steps {
				rows[i] = session.Row{strconv.Itoa(i + 1), p.What, p.State, p.Detail}
			}
			return x.Print(steps, session.Row{"", "STEP", "STATE", "DETAIL"}, rows)
		},
	}
	g.add(c)
	return c
}

// steps are all, in their order.
func steps(s *configure.State, cfg *configure.Config) []step {
	provider := "kms " + cfg.Goal.Name
	if cfg.Goal.Back {
		provider = "identity"
	}
	names := strings.Join(cfg.Goal.Resources, ", ")
	last := step{What: "nothing but " + provider + " is left for " + names, State: "not checked", Detail: "on every control-plane node: strongkeep encryption configure -final -etcd=…"}
	if s.Alone() {
		last.State, last.Detail = "done", ""
	}
	out := []step{
		{What: fmt.Sprintf("every API server can read %s with %s", names, provider)},
		{What: fmt.Sprintf("every API server writes %s with %s", names, provider)},
	}
	reached := map[config.Stage]int{config.Reads: 1, config.Writes: 2}
	found := false
	for i := range out {
		behind := ""
		for _, at := range s.Servers {
			if reached[at.Stage] <= i {
				behind = at.URL
			}
		}
		switch {
		case behind == "":
			out[i].State = "done"
		case found:
			out[i].State = "later"
		case s.Blocked != "":
			out[i].State, out[i].Detail, found = "waits", s.Blocked, true
		case s.Manifest != "":
			out[i].State, out[i].Detail, found = "waits", s.Manifest, true
		case reached[s.Stage] > i:
			out[i].State, out[i].Detail, found = "waits", behind+" does not have this node's file in force yet", true
		default:
			out[i].State, out[i].Detail, found = "next", strings.Join(append([]string{"on every control-plane node: strongkeep encryption configure"}, unknown(s)...), "; "), true
		}
	}
	return append(out,
		step{What: "all that lies in etcd is rewritten", State: "not checked", Detail: "strongkeep encryption rewrite"},
		step{What: "and that is proven", State: "not checked", Detail: "strongkeep encryption verify"}, last)
}

func (x command) configure() *cobra.Command {
	var g goalFlags
	var from etcdFlags
	c := &cobra.Command{
		Use: "configure", Short: "Do the next step on this node: write its EncryptionConfiguration", Args: session.Args(0, 0),
		Long: `Write the next EncryptionConfiguration of this node, if it may be in force beside that of
every API server, and wait until an API server has it in force. Run it on each
control-plane node, then again for the next step: the first one has all API servers
read with the provider, the second one has them write with it.

The file before stays beside it, with .previous behind its name. If the API servers
refuse the new one it is put back. Killed at any moment, run it again.

With -from a file of your own is written instead, if it is one that may follow.

The last step is -final: what else there is beside the provider is taken away, identity
above all. etcd is read right before, and again behind it: nothing there may need what
goes. With -back -final, identity alone is left.`,
		Example: `  strongkeep encryption configure -server=https://10.0.0.1:6443 -server=https://10.0.0.2:6443
  strongkeep encryption configure -from=new.yaml
  strongkeep encryption configure -final -etcd=https://127.0.0.1:2379 -etcd-ca=/etc/kubernetes/pki/etcd/ca.crt \
    -etcd-cert=/etc/kubernetes/pki/apiserver-etcd-client.crt -etcd-key=/etc/kubernetes/pki/apiserver-etcd-client.key`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := x.config(&g)
			if err != nil {
				return err
			}
			end, err := running(&cfg, &from)
			if err != nil {
				return err
			}
			defer end()
			cfg.Say = func(format string, args ...any) { _, _ = fmt.Fprintf(x.Env.Stderr, format+"\n", args...) }
			s, err := configure.Run(c.Context(), cfg)
			if err != nil {
				return err
			}
			return x.Done("%s", told(s))
		},
	}
	g.add(c)
	from.add(c)
	c.Flags().StringVar(&g.EtcdPrefix, "etcd-prefix", stored.DefaultPrefix, "the API server's --etcd-prefix")
	c.Flags().BoolVar(&g.Final, "final", false, "the last step: take away what nothing in etcd needs")
	c.Flags().StringVar(&g.From, "from", "", "a file to take instead of the next step")
	c.Flags().DurationVar(&g.Wait, "wait", 3*time.Minute, "how long API servers get to take the file")
	return c
}

// running opens the etcd by which the last step is proven. A copy of it proves nothing.
func running(cfg *configure.Config, from *etcdFlags) (end func(), err error) {
	switch {
	case from.snapshot != "":
		return nil, errs.New(errs.Invalid, "-snapshot says how etcd was: the last step asks the running one, with -etcd")
	case !cfg.Final && len(from.etcd.Endpoints) > 0:
		return nil, errs.New(errs.Invalid, "-etcd is asked with -final only")
	case !cfg.Final || len(from.etcd.Endpoints) == 0:
		return func() {}, nil
	}
	cfg.Stored, end, err = from.open()
	return end, err
}

// unknown is what the next step rests on without it having been seen, for people.
func unknown(s *configure.State) []string {
	var out []string
	for _, what := range s.NotKnown {
		out = append(out, "not known: "+what)
	}
	return out
}

// told says how it ended and what to do next.
func told(s *configure.State) string {
	behind := 0
	for _, at := range s.Servers {
		if at.Hash != s.Hash {
			behind++
		}
	}
	none := len(s.Servers) > 0 && s.Servers[0].Which == "none"
	switch {
	case behind == 0 && s.Done() && s.Alone():
		return "Success! All API servers have this file in force, and nothing else is left in it. The way back begins with strongkeep encryption configure -back"
	case behind == 0 && s.Done():
		return "Success! All API servers have this file in force, and it is the last one but one. Rewrite what is there with strongkeep encryption rewrite, then prove it with strongkeep encryption verify; then run this with -final"
	case behind == 0:
		return "Success! All API servers have this file in force. Run this again for the next step."
	case none:
		return fmt.Sprintf("Wrote %s. Do the same on every control-plane node; then give each API server --encryption-provider-config=%s and --encryption-provider-config-automatic-reload=true. If one has another file there already, do not: name that with -file, for what lies in etcd needs it.", s.File, s.File)
	}
	return fmt.Sprintf("Success! The API server of this node has this file in force; %d of %d do not: run this on their nodes.", behind, len(s.Servers))
}
