package backup

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// most bounds the files of a directory.
const most = 10_000

// Config of Look.
type Config struct {
	Dir    string // of the backups, and of the list
	Prefix string // of values in etcd; "" is stored.DefaultPrefix
	// Forget are names of backups that are not in the directory any more, and were given up.
	Forget []string
	Now    func() time.Time             // nil: time.Now
	Say    func(name string, n, of int) // before a snapshot is read; nil: nobody is told
}

func (c *Config) defaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Say == nil {
		c.Say = func(string, int, int) {}
	}
}

// Look reads the snapshots that are new in the directory, or have changed, and brings the
// list up to date. Kinds: NotExist (the directory; a name to be forgotten), Denied,
// Invalid (a damaged list), Conflict (a backup to be forgotten is there), Unavailable.
func Look(ctx context.Context, cfg Config) (*List, error) {
	cfg.defaults()
	dir, err := filepath.EvalSymlinks(cfg.Dir) // what walks it does not follow one
	if err != nil {
		return nil, explain(cfg.Dir, err)
	}
	cfg.Dir = dir
	list, err := load(cfg.Dir)
	if err != nil {
		return nil, err
	}
	found, err := files(cfg.Dir)
	if err != nil {
		return nil, err
	}
	next := &List{Format: format}
	for i, b := range found {
		if known := list.find(b.Name); known != nil && known.Unread == "" && known.same(&b) {
			b = *known
			b.Gone = time.Time{}
		} else if b.Unread == "" {
			cfg.Say(b.Name, i+1, len(found))
			if err := b.read(ctx, &cfg); err != nil {
				return nil, err
			}
		}
		next.Backups = append(next.Backups, b)
	}
	if err := next.keep(list, &cfg); err != nil {
		return nil, err
	}
	slices.SortFunc(next.Backups, func(a, b Backup) int { return strings.Compare(a.Name, b.Name) })
	if reflect.DeepEqual(next, list) {
		return next, nil
	}
	return next, next.save(cfg.Dir)
}

// keep takes over what is not there any more, but for what is to be forgotten. A backup
// that another one was written over may have been copied elsewhere before that.
func (l *List) keep(old *List, cfg *Config) error {
	forget := map[string]bool{}
	for _, name := range cfg.Forget {
		if l.find(name) != nil {
			return errs.Newf(errs.Conflict, "the backup %s is there: what it needs is not forgotten before it is removed", name)
		}
		if old.find(name) == nil {
			return errs.Newf(errs.NotExist, "the list of backups has none of the name %s", name)
		}
		forget[name] = true
	}
	for _, b := range old.Backups {
		if forget[b.Name] {
			continue
		}
		if is := l.find(b.Name); is != nil {
			if is.same(&b) || is.covers(&b) {
				continue
			}
			b.Of, b.Name = b.Name, l.free(old, b.Name+"@"+b.Modified.Format(time.RFC3339Nano))
		}
		if b.Gone.IsZero() {
			b.Gone = cfg.Now().UTC().Truncate(time.Second)
		}
		l.Backups = append(l.Backups, b)
	}
	l.merge()
	return nil
}

// files are what may be backups: everything but the list, directories, and what has a name
// that begins with a dot.
func files(dir string) ([]Backup, error) {
	var found []Backup
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == dir:
			return nil
		case strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir() || path == filepath.Join(dir, ListName):
			return nil
		case len(found) == most:
			return errs.Newf(errs.TooLarge, "there are over %d files in %s: name a directory that has backups only", most, dir)
		}
		b, err := entry(dir, path, e)
		if b != nil {
			found = append(found, *b)
		}
		return err
	})
	if err != nil {
		return nil, explain(dir, err)
	}
	return found, nil
}

// entry is what may be a backup; nil for a link to a file that is found by itself.
func entry(dir, path string, e fs.DirEntry) (*Backup, error) {
	info, err := e.Info()
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return nil, err
	}
	b := &Backup{Name: filepath.ToSlash(name), Keys: []Need{}}
	if info.Mode().Type() == fs.ModeSymlink {
		real, err := filepath.EvalSymlinks(path)
		to, lost := os.Stat(path)
		switch {
		case err != nil || lost != nil:
			b.Unread = "it is a link to what cannot be found, or not be reached"
		case to.IsDir():
			b.Unread = "it is a link to a directory, which is not followed: look there with -backups"
		case to.Mode().IsRegular() && within(dir, real):
			return nil, nil
		default:
			info = to
		}
	}
	if b.Unread == "" && !info.Mode().IsRegular() {
		b.Unread = "it is no file"
	}
	b.Size, b.Modified = info.Size(), info.ModTime().UTC()
	return b, nil
}

// within reports whether a file is one that is found in a directory.
func within(dir, path string) bool {
	name, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(name) && name != ListName && !slices.ContainsFunc(strings.Split(filepath.ToSlash(name), "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
}

func explain(dir string, err error) error {
	switch {
	case errs.KindOf(err) != errs.Internal:
		return err
	case os.IsNotExist(err):
		return errs.Newf(errs.NotExist, "looking for backups in %s: %w", dir, err)
	case os.IsPermission(err):
		return errs.Newf(errs.Denied, "looking for backups in %s: %w", dir, err)
	}
	return errs.Newf(errs.Unavailable, "looking for backups in %s: %w", dir, err)
}

// read finds out which keys a backup needs. What is no snapshot is one that could not be
// read: it may be a compressed one.
func (b *Backup) read(ctx context.Context, cfg *Config) error {
	from := &stored.Wide{Source: stored.Snapshot{Path: filepath.Join(cfg.Dir, filepath.FromSlash(b.Name))}}
	r, err := stored.Verify(ctx, from, stored.Config{Prefix: cfg.Prefix, Resources: []string{"*.*"}, Most: 1})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.Unread = err.Error()
		return nil
	}
	b.Revision = r.Revision
	values := 0
	for i := range r.Resources {
		values += r.Resources[i].Values
		for _, g := range r.Resources[i].Under {
			if g.KeyID != "" {
				b.count(g)
			}
		}
	}
	for u, n := range from.Elsewhere {
		if u.KeyID != "" {
			b.count(stored.Group{Provider: u.Provider(), KeyID: u.KeyID, Values: n})
		}
	}
	slices.SortFunc(b.Keys, func(a, b Need) int { return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.KeyID, b.KeyID)) })
	if values == 0 {
		b.Unread = "it has no value below " + cmp.Or(cfg.Prefix, stored.DefaultPrefix)
	}
	return nil
}

func (b *Backup) count(g stored.Group) {
	for i := range b.Keys {
		if n := &b.Keys[i]; n.Provider == g.Provider && n.KeyID == g.KeyID {
			n.Values += g.Values
			return
		}
	}
	b.Keys = append(b.Keys, Need{g.Provider, g.KeyID, g.Values})
}
