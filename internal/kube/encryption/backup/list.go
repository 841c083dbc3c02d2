package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// ListName is the list's file, in the directory of the backups. It is JSON:
//
//	{"format": 1, "backups": [{"name": …, "keys": [{"provider": …, "key_id": …, "values": 7}]}]}
const ListName = "strongkeep-backups.json"

const (
	format = 1
	// largestList bounds what is read of one, in bytes.
	largestList = 64 << 20
)

// List is which backup needs which keys, by their names.
type List struct {
	Format  int      `json:"format"`
	Backups []Backup `json:"backups"`
}

// Backup is a snapshot of etcd.
type Backup struct {
	Name     string    `json:"name"` // its path below the directory, with slashes
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Revision int64     `json:"revision,omitempty"` // of etcd, the last one in it
	// Keys are those of KMS v2 that its values are under; superseded ones are not counted.
	Keys []Need `json:"keys"`
	// Unread says why it is not known which keys it needs; "": it was read.
	Unread string `json:"unread,omitempty"`
	// Gone is when it was first not in the directory any more; zero: it is there.
	Gone time.Time `json:"gone,omitzero"`
	// Of is the name that it had before another one was written over it; "": it has it.
	Of string `json:"of,omitempty"`
}

// same reports whether two of one name are one.
func (b *Backup) same(old *Backup) bool { return b.Size == old.Size && b.Modified.Equal(old.Modified) }

// covers reports whether what is known of b says all that is to be known of another one.
func (b *Backup) covers(old *Backup) bool {
	if old.Unread != "" && b.Unread == "" {
		return false
	}
	return !slices.ContainsFunc(old.Keys, func(n Need) bool {
		return !slices.ContainsFunc(b.Keys, func(has Need) bool { return has.Provider == n.Provider && has.KeyID == n.KeyID })
	})
}

// merge makes one of those that were written over, had one name and need the same, since
// a job may do that each night: the last one stands for those before it.
func (l *List) merge() {
	slices.SortStableFunc(l.Backups, func(a, b Backup) int { return b.Modified.Compare(a.Modified) })
	var kept []Backup
	for i := range l.Backups {
		b := &l.Backups[i]
		if b.Of == "" || !slices.ContainsFunc(kept, func(k Backup) bool { return k.Of == b.Of && k.covers(b) && b.covers(&k) }) {
			kept = append(kept, *b)
		}
	}
	l.Backups = kept
}

// There is how many of them are in the directory, and were read.
func (l *List) There() (n int) {
	for i := range l.Backups {
		if b := &l.Backups[i]; b.Gone.IsZero() && b.Unread == "" {
			n++
		}
	}
	return n
}

// free is a name that no backup has in either list.
func (l *List) free(old *List, name string) string {
	for l.find(name) != nil || old.find(name) != nil {
		name += "~"
	}
	return name
}

// Need is a key, and how many values are under it.
type Need struct {
	Provider string `json:"provider"` // kms-v2/NAME
	KeyID    string `json:"key_id"`
	Values   int    `json:"values"`
}

// Needing are the names of the backups that have values under a key id.
func (l *List) Needing(keyID string) []string {
	return l.names(func(b *Backup) bool {
		return slices.ContainsFunc(b.Keys, func(n Need) bool { return n.KeyID == keyID })
	})
}

// Unread are the names of the backups of which it is not known what they need.
func (l *List) Unread() []string { return l.names(func(b *Backup) bool { return b.Unread != "" }) }

func (l *List) names(are func(*Backup) bool) []string {
	var names []string
	for i := range l.Backups {
		if are(&l.Backups[i]) {
			names = append(names, l.Backups[i].Name)
		}
	}
	return names
}

func (l *List) find(name string) *Backup {
	for i := range l.Backups {
		if l.Backups[i].Name == name {
			return &l.Backups[i]
		}
	}
	return nil
}

// parse reads a list. Kind Invalid: it may have what is known of backups that are not here
// any more, so that one which cannot be read is not begun anew.
func parse(text []byte) (*List, error) {
	l := &List{}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, errs.New(errs.Invalid, "it is not JSON as this command writes it")
	}
	if l.Format != format {
		return nil, errs.Newf(errs.Unsupported, "it has format %d, and this version of Strongkeep knows %d only", l.Format, format)
	}
	for i := range l.Backups {
		b := &l.Backups[i]
		if b.Name == "" || !filepath.IsLocal(filepath.FromSlash(b.Name)) || l.find(b.Name) != b {
			return nil, errs.Newf(errs.Invalid, "backup number %d has no name, or that of another one", i+1)
		}
		if slices.ContainsFunc(b.Keys, func(n Need) bool { return n.KeyID == "" || n.Values < 0 }) {
			return nil, errs.Newf(errs.Invalid, "backup number %d needs a key that is none", i+1)
		}
	}
	return l, nil
}

// load reads the list of a directory; where there is none it is empty.
func load(dir string) (*List, error) {
	path := filepath.Join(dir, ListName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &List{Format: format}, nil
	}
	if err == nil && info.Size() > largestList {
		return nil, errs.Newf(errs.TooLarge, "the list %s has over %d MiB: it is none of this command's", path, largestList>>20)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading the list of backups: %w", err)
	}
	l, err := parse(text)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "reading the list of backups %s: %w: bring it back, or move it away to have those that are here read anew", path, err)
	}
	return l, nil
}

// save writes the list.
func (l *List) save(dir string) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the list of backups: %w", err)
	}
	if err := draft.Write(filepath.Join(dir, ListName), append(text, '\n'), 0o600); err != nil {
		return errs.Newf(errs.Unavailable, "writing the list of backups: %w: it is kept beside them, so that it is there when it is needed", err)
	}
	return nil
}
