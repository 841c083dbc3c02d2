package config

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func itoa(n int) string { return strconv.Itoa(n) }

// longestSocket is what the kernel takes for the path of a socket, in bytes.
const longestSocket = 107

// Goal is what is to write some resources in the end: a KMS v2 provider, or, on the
// way back, identity.
type Goal struct {
	Resources []string      // as in a file; at least one
	Name      string        // of the provider
	Socket    string        // of its plugin, absolute
	Timeout   time.Duration // default 3s
	Back      bool          // to identity; Name and Socket are not used
}

// Check refuses a goal that no file could have. The kind is Invalid.
func (g *Goal) Check() error {
	if len(g.Resources) == 0 {
		return errs.New(errs.Invalid, "no resource is named: give -resource=secrets")
	}
	if err := g.checkResources(); err != nil || g.Back {
		return err
	}
	switch {
	case g.Name == "" || strings.ContainsAny(g.Name, ":\n") || g.Name != strings.TrimSpace(g.Name):
		return errs.Newf(errs.Invalid, "provider name %q: it needs a name without a colon, which never changes", g.Name)
	case !path.IsAbs(g.Socket) || path.Clean(g.Socket) != g.Socket:
		return errs.Newf(errs.Invalid, "socket %q: its path has to be absolute, such as /run/strongkeep-kms/kms.sock", g.Socket)
	case len(g.Socket) > longestSocket:
		return errs.Newf(errs.Invalid, "socket %q: its path is over %d bytes, and no socket's can be: choose a shorter one", g.Socket, longestSocket)
	case g.Timeout < 0:
		return errs.New(errs.Invalid, "timeout: it has to be positive")
	}
	return nil
}

func (g *Goal) checkResources() error {
	for i, name := range g.Resources {
		gr := schema.ParseGroupResource(name)
		wrong := misnamedResource(name, gr)
		if name == "" || strings.ContainsAny(name, " \t\n,:/") {
			wrong = "write it as RESOURCE or RESOURCE.GROUP"
		}
		if wrong == "" {
			wrong = (&rules{}).overlap(gr, parsed(g.Resources[:i]))
		}
		if wrong != "" {
			return errs.Newf(errs.Invalid, "resource %q: %s", name, wrong)
		}
	}
	return nil
}

func parsed(names []string) []schema.GroupResource {
	out := make([]schema.GroupResource, len(names))
	for i, n := range names {
		out[i] = schema.ParseGroupResource(n)
	}
	return out
}

func (g *Goal) endpoint() string { return "unix://" + g.Socket }

// mark is that of what the goal's provider writes.
func (g *Goal) mark() string {
	if g.Back {
		return inClear
	}
	return mark("kms", "v2", g.Name)
}

// Stage is how far a file is.
type Stage string

// The stages, in the order in which they are reached.
const (
	Away   Stage = "away"   // the goal's provider is not there
	Reads  Stage = "reads"  // it can read what others write with it
	Writes Stage = "writes" // it writes, and what was there before can be read
)

// Stage returns how far f is for a goal: what all of the goal's resources have reached.
func (f *File) Stage(g *Goal) Stage {
	least := Writes
	for _, resource := range g.Resources {
		all := f.Providers(resource)
		switch {
		case !reads(all, g.mark()):
			return Away
		case all[0].marks[0] != g.mark():
			least = Reads
		}
	}
	return least
}

// Next returns the file that comes after f on the way to a goal, and f itself when it
// is there. It is deterministic: equal files have equal successors, on every node.
// Where no step of ours is safe, the kind is Invalid, with the line that is in the way.
func (f *File) Next(g *Goal) (*File, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	entry, err := f.goalEntry(g)
	if err != nil {
		return nil, err
	}
	stage := f.Stage(g)
	if stage == Writes {
		return f, nil
	}
	next, err := f.changed(g, entry, func(providers *yaml.Node) { g.advance(providers, stage) })
	if err != nil {
		return nil, err
	}
	// The change was one of text; what it means is looked at again.
	err = Follows(f, next, Allow{Clear: g.Back})
	if err == nil {
		err = Together(f, next)
	}
	if err != nil || next.Stage(g) == stage {
		return nil, errs.Newf(errs.Internal, "changing %s: the result is not what it should be (%v): change it by hand", f.Place, err)
	}
	return next, nil
}

// changed is f with the list of providers of an entry changed.
func (f *File) changed(g *Goal, entry int, change func(providers *yaml.Node)) (*File, error) {
	text, err := f.edit(g, entry, change)
	if err != nil {
		return nil, err
	}
	place := f.Place
	if place == "" {
		place = "the new file"
	}
	next, err := Parse(place, text.Reveal())
	if err != nil {
		return nil, errs.Newf(errs.Internal, "judging the changed file: %w", err)
	}
	return next, nil
}

// Final returns f with nothing left for the goal's resources but what writes them, and f
// itself if there is nothing else. What is taken away is in Losses: who writes this file
// has to know that nothing in etcd needs it. The kind is Conflict if the goal's provider
// does not write yet, and as that of Next otherwise.
func (f *File) Final(g *Goal) (*File, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	entry, err := f.goalEntry(g)
	switch {
	case err != nil:
		return nil, err
	case f.Hash == "" || f.Stage(g) != Writes:
		return nil, errs.Newf(errs.Conflict, "%s: the last step comes when all API servers write as they are to: do the steps before it, without -final, and have everything rewritten", f.place())
	case f.Alone(g):
		return f, nil
	}
	next, err := f.changed(g, entry, func(providers *yaml.Node) { providers.Content = providers.Content[:1] })
	if err != nil {
		return nil, err
	}
	err = Follows(f, next, Allow{Loss: true})
	if err == nil {
		err = Together(f, next)
	}
	if err != nil || !next.Alone(g) || next.Stage(g) != Writes {
		return nil, errs.Newf(errs.Internal, "changing %s: the result is not what it should be (%v): change it by hand", f.Place, err)
	}
	return next, nil
}

// Alone reports that the goal's resources have the goal's provider only.
func (f *File) Alone(g *Goal) bool {
	for _, resource := range g.Resources {
		if all := f.Providers(resource); len(all) != 1 || !slices.Equal(all[0].marks, []string{g.mark()}) {
			return false
		}
	}
	return true
}

func (f *File) place() string {
	if f.Place == "" {
		return "there is no file"
	}
	return f.Place
}

// goalEntry is the entry that is to be changed, -1 for a new one. A kms provider can
// stand in one entry only, and an entry is changed for all of its resources.
func (f *File) goalEntry(g *Goal) (int, error) {
	at := -2
	for _, resource := range g.Resources {
		found, by := f.entries(resource)
		here := -1
		switch {
		case len(found) > 1:
			return 0, f.fault(found[1], "%s is in two entries: make one of them", resource)
		case len(found) == 1 && schema.ParseGroupResource(by) != schema.ParseGroupResource(resource):
			return 0, f.fault(found[0], "%s is encrypted by the wildcard %s: name that with -resource=%q, or write an entry for %s by hand", resource, by, by, resource)
		case len(found) == 1:
			here = found[0]
		}
		if at != -2 && at != here {
			return 0, f.fault(max(at, here), "%s and %s are not in one entry, and a kms provider can be in one only: take them one after the other, each with a -name of its own", g.Resources[0], resource)
		}
		at = here
	}
	if at >= 0 {
		for _, other := range f.Entries[at].Resources {
			if !slices.Contains(parsed(g.Resources), schema.ParseGroupResource(other)) {
				return 0, f.fault(at, "%s is in the same entry: name it too, with -resource=%s", other, other)
			}
		}
	}
	return at, f.conflicting(g, at)
}

func (f *File) fault(entry int, format string, args ...any) error {
	return errs.Newf(errs.Invalid, "%s%w", f.Place, at(f.Entries[entry].Line, format, args...))
}

// conflicting refuses what there is already under the goal's name or socket.
func (f *File) conflicting(g *Goal, entry int) error {
	if g.Back {
		return nil
	}
	for i := range f.Entries {
		for _, p := range f.Entries[i].Providers {
			switch {
			case p.Kind != "kms":
			case p.Name == g.Name && i != entry:
				return f.wrong(p, "a provider is named %s already, for %s: choose another -name", p.Name, strings.Join(f.Entries[i].Resources, ", "))
			case p.Name == g.Name:
				if err := f.sameProvider(p, g); err != nil {
					return err
				}
			case p.Endpoint == g.endpoint() && i == entry:
				return f.wrong(p, "the provider at this socket is named %s, which stands in etcd before every value, and cannot be renamed: say -name=%s", p.Name, p.Name)
			}
		}
	}
	return nil
}

// sameProvider refuses one that has the goal's name and is another.
func (f *File) sameProvider(p Provider, g *Goal) error {
	switch {
	case p.Version != "v2":
		return f.wrong(p, "provider %s is KMS %s: choose another -name for the new one", p.Name, p.Version)
	case p.Endpoint != g.endpoint():
		return f.wrong(p, "provider %s has another endpoint, %s: say -socket=%s", p.Name, p.Endpoint, strings.TrimPrefix(p.Endpoint, "unix://"))
	}
	return nil
}

func (f *File) wrong(p Provider, format string, args ...any) error {
	return errs.Newf(errs.Invalid, "%s%w", f.Place, at(p.Line, format, args...))
}
