package externalsecret

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	pool "github.com/strongkeep/strongkeep/internal/kube/provider/session"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// rendering is what render was asked for.
type rendering struct {
	files  []string
	values []string
	live   bool
	delims template.Delimiters
	show   bool
	key    string
}

func (x *commands) render() *cobra.Command {
	var r rendering
	c := &cobra.Command{
		Use: "render -f FILE", Short: "Show the Secret that an ExternalSecret would make, values masked", Args: session.Args(0, 0),
		Long: `Show the Secret that each ExternalSecret of the files would make. It is made by the
operator's own code: gathering, rewriting, decoding, templates, limits.

Nothing is written, and without -live nothing is asked of any server: values come
from stores of provider fake in the same files, or from -values. Files may hold
several documents and lists: stores, ConfigMaps and Secrets that templates come
from, generators. Each value is shown as its length and a digest that tells whether
two values are equal; the digest's key is thrown away unless -digest-key names one.`,
		Example: `  strongkeep render -f es.yaml -values vault=values.yaml
  kubectl get es -n shop db -o yaml | strongkeep render -f - -live`,
		RunE: func(c *cobra.Command, _ []string) error { return x.run(c.Context(), &r) },
	}
	f := c.Flags()
	f.StringArrayVarP(&r.files, "filename", "f", nil, "file of manifests, - for standard input; may be repeated")
	f.StringArrayVar(&r.values, "values", nil, "FILE of keys and values, YAML or JSON, in place of stores; STORE=FILE for one store, KIND/NAME=FILE for one generator; may be repeated")
	f.BoolVar(&r.live, "live", false, "ask the stores themselves, and the cluster for what is in no file, with your own rights")
	f.BoolVar(&r.show, "show-values", false, "show the values")
	f.StringVar(&r.key, "digest-key", "", "file of at least 16 bytes that keys the digests, so that those of two runs can be compared")
	f.StringVar(&r.delims.Left, "template-left-delimiter", "", "as the operator's flag of this name (default \"{{\")")
	f.StringVar(&r.delims.Right, "template-right-delimiter", "", "as the operator's flag of this name (default \"}}\")")
	x.flags.Add(f)
	_ = c.MarkFlagFilename("filename", "yaml", "yml", "json")
	return c
}

func (x *commands) run(ctx context.Context, r *rendering) error {
	if len(r.files) == 0 {
		return errs.New(errs.Invalid, "no file is given: -f es.yaml, or -f - for standard input")
	}
	if err := r.delims.Check(); err != nil {
		return err
	}
	m, err := newMask(r.show, r.key)
	if err != nil {
		return err
	}
	manifests, err := x.read(r.files)
	if err != nil {
		return err
	}
	given, stand, err := x.substitutes(r.values)
	if err != nil {
		return err
	}
	if err := manifests.Substitute(given); err != nil {
		return err
	}
	maker, done, err := x.maker(manifests, r.live)
	if err != nil {
		return err
	}
	defer done()
	maker.Stand, maker.Delimiters = stand, r.delims
	if r.show {
		x.Warn([]string{"the values below are secret: keep them out of logs, tickets and shell histories"})
	}
	return x.renderAll(ctx, manifests, maker, m)
}

// read reads the files. Those without a namespace get that of the flags, or of the
// kubeconfig if there is one.
func (x *commands) read(files []string) (*preview.Manifests, error) {
	m := &preview.Manifests{Namespace: session.First(x.flags.Namespace, "default")}
	if k, err := x.flags.Connect(x.Env); err == nil {
		m.Namespace = k.Namespace
	}
	for _, name := range files {
		if err := x.readFile(m, name); err != nil {
			return nil, err
		}
	}
	for _, p := range m.PassedOver {
		x.Warn([]string{p + " is not what render reads: passed over"})
	}
	if len(m.ExternalSecrets) == 0 {
		return nil, errs.Newf(errs.Invalid, "there is no ExternalSecret in %s", strings.Join(files, ", "))
	}
	return m, nil
}

func (x *commands) readFile(m *preview.Manifests, name string) error {
	if name == "-" {
		return m.Add("standard input", x.Env.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return unopened(err)
	}
	err = m.Add(name, f)
	return errors.Join(err, f.Close())
}

func unopened(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errs.Newf(errs.NotExist, "reading the file: %w", err)
	case errors.Is(err, os.ErrPermission):
		return errs.Newf(errs.Denied, "reading the file: %w", err)
	}
	return errs.Newf(errs.Invalid, "reading the file: %w", err)
}

// substitutes reads what stands in for stores and generators.
func (x *commands) substitutes(given []string) (preview.Substitutes, map[preview.GeneratorKey]map[string]redact.Secret, error) {
	s := preview.Substitutes{Stores: map[string]preview.Values{}}
	stand := map[preview.GeneratorKey]map[string]redact.Secret{}
	seen := map[string]bool{}
	for _, g := range given {
		of, file, named := strings.Cut(g, "=")
		if !named {
			of, file = "", g
		}
		if seen[of] {
			return s, nil, errs.Newf(errs.Invalid, "-values %s: there is a second file for the same store: -values STORE=FILE says whose each is", g)
		}
		seen[of] = true
		values, err := readValues(file)
		if err != nil {
			return s, nil, err
		}
		generator, is, err := preview.ParseGenerator(of)
		switch {
		case err != nil:
			return s, nil, errs.Newf(errs.KindOf(err), "-values %s: %w", g, err)
		case is:
			stand[generator] = values
		case named:
			s.Stores[of] = values
		default:
			s.All = values
		}
	}
	return s, stand, nil
}

// largestValues bounds a file of values, in bytes.
const largestValues = 1 << 20

func readValues(file string) (preview.Values, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, unopened(err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, largestValues+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, unopened(err)
	}
	values, err := preview.ParseValues(raw)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s: %w", file, err)
	}
	return values, nil
}

// maker reads from the files alone, or from the cluster and the stores behind them.
// done lets go of them.
func (x *commands) maker(m *preview.Manifests, live bool) (_ *preview.Maker, done func(), err error) {
	if !live {
		if err := m.Complete(); err != nil {
			return nil, nil, err
		}
		return x.makerOf(m.Reader(nil), nil, x.offline())
	}
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return nil, nil, err
	}
	reader := m.Reader(k)
	return x.makerOf(reader, operator.Objects(reader, k), x.cfg.Providers)
}

func (x *commands) makerOf(reader client.Reader, objects provider.Cluster, providers map[string]provider.Provider) (*preview.Maker, func(), error) {
	sessions := pool.New(pool.Config{
		Providers: providers, Cluster: objects, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	return &preview.Maker{
		Reader: reader, Stores: sessions, Generators: x.cfg.Generators, Cluster: objects, Clock: clock.RealClock{},
	}, sessions.Close, nil
}

// offline are the providers when nobody is to be asked.
func (x *commands) offline() map[string]provider.Provider {
	all := map[string]provider.Provider{}
	for name := range x.cfg.Providers {
		all[name] = away{}
	}
	all[fake.Name] = fake.Provider{}
	return all
}

// away is a provider that is not asked.
type away struct{}

// Open refuses.
func (away) Open(_ context.Context, cfg provider.Config) (provider.Store, error) {
	return nil, errs.Newf(errs.Unsupported, "it is not asked offline: give its values with -values %s=FILE, or ask it with -live", cfg.Scope.Store().Name)
}
