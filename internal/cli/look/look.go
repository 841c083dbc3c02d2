package look

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/archive"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/pages"
)

// garbage is how much of it, in percent of what is in use, is left lying between two
// collections: a large cluster is most of what a command that reads everything holds,
// and what it leaves while reading should not be as much again. GOGC is obeyed instead.
const garbage = 50

// Flags say where a cluster is read from. The zero Flags are the cluster of the
// current context.
type Flags struct {
	cluster.Flags
	// Files are manifests and dumps; Snapshot a file that -save wrote. At most one of
	// them is given.
	Files    []string
	Snapshot string
	// Values are files of values for the charts among Files, Release the name of their
	// release.
	Values  []string
	Release string
	// KeyFile has the key of the fingerprints; Save is where the snapshot goes.
	KeyFile, Save string

	whole bool
}

// Seen is what was read.
type Seen struct {
	*snapshot.Snapshot
	// Namespace is that of names that have none; never empty.
	Namespace string
	// Key of the fingerprints; nil without AddWhole, and of a saved snapshot whose key was
	// not given: then what is not in it cannot be compared with it.
	Key *fingerprint.Key
}

// Add adds the flags of a command for which RBAC, pods and names of Secrets are enough.
func (f *Flags) Add(to *pflag.FlagSet) {
	f.Flags.Add(to)
	to.StringSliceVarP(&f.Files, "file", "f", nil, "look at these manifests, dumps, charts, or folders of them instead of a cluster; - is standard input")
	to.StringSliceVar(&f.Values, "values", nil, "file of values for the chart that -f names; of several the later counts")
	to.StringVar(&f.Release, "release", "", "name of the release that the chart would be (default: the chart's)")
	to.StringVar(&f.Snapshot, "snapshot", "", "look at this file, which -save wrote, instead of a cluster")
}

// AddWhole adds the flags of a command that needs everything.
func (f *Flags) AddWhole(to *pflag.FlagSet) {
	f.Add(to)
	f.whole = true
	to.StringVar(&f.KeyFile, "key-file", "", "key of the fingerprints: 32 bytes, or 64 hexadecimal digits. Without one they are comparable within this run only")
	to.StringVar(&f.Save, "save", "", "save what was read, without any value, to this file for -snapshot")
}

// Read reads what the flags name, and saves it where Save says.
func (f *Flags) Read(ctx context.Context, s *session.Session, now time.Time) (*Seen, error) {
	seen, err := f.Look(ctx, s, now)
	if err != nil {
		return nil, err
	}
	return seen, f.Keep(s, seen)
}

// Look is Read for who adds to what was seen: Keep saves it then.
func (f *Flags) Look(ctx context.Context, s *session.Session, now time.Time) (*Seen, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.whole {
		lean(s)
	}
	key, err := f.key(s)
	if err != nil {
		return nil, err
	}
	return f.read(ctx, s, key, now)
}

// lean has the process hold less memory from now on.
func lean(s *session.Session) {
	if s.Env.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	_ = pages.Release() // what the start has read of the program is held as well without it
}

// Keep saves what was seen where Save says; nowhere if that is empty.
func (f *Flags) Keep(s *session.Session, seen *Seen) error {
	if f.Save == "" {
		return nil
	}
	if f.KeyFile == "" {
		s.Warn([]string{"the fingerprints in " + f.Save + " are of a key that ends with this run: give -key-file to compare it with others"})
	}
	return session.Unwritable(archive.Write(f.Save, seen.Snapshot))
}

func (f *Flags) check() error {
	if f.Snapshot != "" && (len(f.Files) > 0 || f.Save != "") {
		return errs.New(errs.Invalid, "-snapshot is what is looked at: it goes with neither -f nor -save")
	}
	if len(f.Files) == 0 && (len(f.Values) > 0 || f.Release != "") {
		return errs.New(errs.Invalid, "-values and -release are for a chart: name it with -f")
	}
	return nil
}

func (f *Flags) read(ctx context.Context, s *session.Session, key *fingerprint.Key, now time.Time) (*Seen, error) {
	switch {
	case f.Snapshot != "":
		return f.saved(key)
	case len(f.Files) > 0:
		out, err := f.files(ctx, s, key, now)
		return &Seen{out, session.First(f.Namespace, "default"), key}, err
	}
	return f.live(ctx, s, &f.Flags, read.Options{Now: now, Whole: f.whole, Key: key})
}

// live reads the cluster that at names.
func (f *Flags) live(ctx context.Context, s *session.Session, at *cluster.Flags, o read.Options) (*Seen, error) {
	config, namespace, err := at.Rest(s.Env)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the API server's priority and fairness is the better judge
	namespace = session.First(f.Namespace, namespace, "default")
	o.Namespaces = []string{namespace}
	out, err := read.Live(ctx, config, o)
	if err != nil {
		return nil, cluster.Explain(err, "looking at the cluster")
	}
	return &Seen{out, namespace, o.Key}, nil
}

// Other reads another cluster than f names, to be compared with what was seen: a
// snapshot that was saved (FILE), the cluster of a context (context:NAME) or of a
// kubeconfig (kubeconfig:FILE).
func (f *Flags) Other(ctx context.Context, s *session.Session, from string, seen *Seen) (*snapshot.Snapshot, error) {
	at := cluster.Flags{Kubeconfig: f.Kubeconfig}
	if name, ok := strings.CutPrefix(from, "context:"); ok && name != "" {
		at.Context = name
	} else if file, ok := strings.CutPrefix(from, "kubeconfig:"); ok && file != "" {
		at.Kubeconfig = file
	} else {
		return archive.Read(from)
	}
	if seen.Key == nil {
		return nil, errs.Newf(errs.Invalid, "%s cannot be compared with %s without the key that was made with: give -key-file", from, f.Snapshot)
	}
	other, err := f.live(ctx, s, &at, read.Options{Now: seen.Taken, Whole: true, Key: seen.Key})
	if err != nil {
		return nil, err
	}
	return other.Snapshot, nil
}

// saved reads a snapshot. Its fingerprints are of its own key: without that, nothing
// else is compared with them.
func (f *Flags) saved(key *fingerprint.Key) (*Seen, error) {
	out, err := archive.Read(f.Snapshot)
	if err != nil {
		return nil, err
	}
	if f.KeyFile == "" {
		key = nil
	} else if key.ID() != out.Key {
		return nil, errs.Newf(errs.Invalid, "-key-file has another key than %s was made with: their fingerprints cannot be compared", f.Snapshot)
	}
	return &Seen{out, session.First(f.Namespace, "default"), key}, nil
}
