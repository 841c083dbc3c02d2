package vault

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

var _ provider.Finder = (*store)(nil)

// Bounds of one search.
const (
	maxNames       = 10_000 // names met, folders too, matching or not
	maxDepth       = 32     // folders in folders
	searchTimeout  = 2 * time.Minute
	searchParallel = 8
	pageSize       = 1000 // names of one LIST, where the server has pages
)

// Find walks the folders below q.Path and returns what matches: by name, which
// is the path within the mount as the key of Read is, and by tags, which are the
// custom metadata of KV v2. Values are left to Read.
//
// A secret whose latest version is deleted is still listed by the server. Denied
// names the capability that lacks; TooLarge is a search that must be narrowed.
func (s *store) Find(ctx context.Context, q provider.Query) ([]provider.Found, error) {
	match, err := q.Matcher()
	if err != nil {
		return nil, err
	}
	if q.Tags != "" && s.settings.Version == "v1" {
		return nil, errs.New(errs.Unsupported, "find.tags: KV v1 has no metadata: search by name")
	}
	root, err := s.folder(q.Path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	w := walk{store: s, root: root}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	keys := slices.DeleteFunc(w.keys, func(key string) bool { return !match(key) })
	slices.Sort(keys)
	if keys, err = s.tagged(ctx, root, keys, q.Tags); err != nil {
		return nil, err
	}
	found := make([]provider.Found, 0, len(keys))
	for _, key := range keys {
		found = append(found, provider.Found{Key: s.exact(root, key)})
	}
	return found, nil
}

// folder is where a search is: what is listed, and what stands before the names
// there to make keys. Both are empty or end with a slash.
type folder struct{ list, prefix string }

func (f folder) below(name string) folder { return folder{f.list + name, f.prefix + name} }

// folder returns where a search of path begins. As with keys, path may or may not
// begin with the mount, and must when the settings name none.
func (s *store) folder(path string) (folder, error) {
	path = strings.Trim(path, "/")
	if path != "" {
		if err := checkSegments(path); err != nil {
			return folder{}, errs.Newf(errs.Invalid, "find.path: %w", err)
		}
		path += "/"
	}
	mount, v2 := s.settings.Path, s.settings.Version != "v1"
	if mount != "" {
		if rest, ok := strings.CutPrefix(path, mount+"/"); ok && rest != "" {
			path = rest
			if v2 {
				path = strings.TrimPrefix(path, "data/")
			}
		}
		if v2 {
			return folder{mount + "/metadata/" + path, path}, nil
		}
		return folder{mount + "/" + path, path}, nil
	}
	first, rest, _ := strings.Cut(path, "/")
	switch before, after, ok := strings.Cut(path, "/data/"); {
	case path == "":
		return folder{}, errs.New(errs.Invalid, "find.path names no mount: set spec.provider.vault.path, or write find.path as mount/folder")
	case !v2:
		return folder{path, path}, nil
	case ok:
		return folder{before + "/metadata/" + after, path}, nil
	}
	return folder{first + "/metadata/" + rest, path}, nil
}

// exact writes a key that was found below f so that Read reads it and no other:
// one whose name looks as if it began with the mount, or had "data/" behind
// that, is given in full.
func (s *store) exact(f folder, key string) string {
	mount, v2 := s.settings.Path, s.settings.Version != "v1"
	switch {
	case mount != "" && strings.HasPrefix(key, mount+"/"):
		if v2 {
			return mount + "/data/" + key
		}
		return mount + "/" + key
	case mount == "" && v2:
		if !strings.Contains(f.prefix, "/data/") && strings.Contains(key, "/data/") {
			first, rest, _ := strings.Cut(key, "/")
			return first + "/data/" + rest
		}
	}
	return key
}

// walk is one search under way.
type walk struct {
	store *store
	root  folder

	mu    sync.Mutex
	names int      // met until now
	keys  []string // of secrets
}

// run lists the folders level by level.
func (w *walk) run(ctx context.Context) error {
	level := []folder{w.root}
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxDepth {
			return errs.Newf(errs.TooLarge, "searching %q at %s: folders are more than %d deep: search below a longer find.path", w.root.list, w.store.settings.Server, maxDepth)
		}
		var mu sync.Mutex
		var next []folder
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(searchParallel)
		for _, f := range level {
			group.Go(func() error {
				below, err := w.open(ctx, f)
				mu.Lock()
				defer mu.Unlock()
				next = append(next, below...)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		level = next
	}
	return nil
}

// open lists one folder, all pages, and returns the folders in it.
func (w *walk) open(ctx context.Context, f folder) ([]folder, error) {
	var below []folder
	for after := ""; ; {
		names, err := w.store.list(ctx, f.list, after)
		if err != nil {
			return nil, err
		}
		if after != "" && len(names) > 0 && slices.Min(names) <= after {
			return below, nil // a server without pages, which gave everything the first time
		}
		if err := w.add(f, names, &below); err != nil {
			return nil, err
		}
		if len(names) != w.store.page {
			return below, nil // the last page, or more than was asked for: all
		}
		after = slices.Max(names)
	}
}

// add sorts names into secrets and folders.
func (w *walk) add(f folder, names []string, below *[]folder) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names += len(names)
	if w.names > maxNames {
		return errs.Newf(errs.TooLarge, "searching %q at %s: there are more than %d names: search below a longer find.path", w.root.list, w.store.settings.Server, maxNames)
	}
	for _, name := range names {
		plain, isFolder := strings.CutSuffix(name, "/")
		if strings.Contains(plain, "/") || checkSegments(plain) != nil {
			return w.store.notList(f.list)
		}
		if isFolder {
			*below = append(*below, f.below(name))
		} else {
			w.keys = append(w.keys, f.prefix+name)
		}
	}
	return nil
}

func (s *store) notList(path string) error {
	return errs.Newf(errs.Invalid, "listing %q at %s: the answer is not what a KV %s engine gives: check spec.provider.vault.version and path",
		path, s.settings.Server, s.settings.Version)
}

// list returns the names directly in a folder, behind after. A folder that is not
// there has none.
func (s *store) list(ctx context.Context, path, after string) ([]string, error) {
	query := url.Values{"list": {"true"}, "limit": {strconv.Itoa(s.page)}}
	if after != "" {
		query.Set("after", after)
	}
	body, err := s.fetch(ctx, path, query)
	switch {
	case errs.Is(err, errs.NotExist):
		return nil, nil
	case errs.Is(err, errs.Denied):
		return nil, errs.Newf(errs.Denied, `%w; give the policies of %s the capability "list" on "%s"`, err, s.settings.Auth, path)
	case err != nil:
		return nil, err
	}
	var answer struct {
		Data *struct{ Keys []string }
	}
	if json.Unmarshal(body, &answer) != nil || answer.Data == nil || answer.Data.Keys == nil {
		return nil, s.notList(path)
	}
	return answer.Data.Keys, nil
}

// tagged returns those of keys, in their order, whose custom metadata has tags.
func (s *store) tagged(ctx context.Context, root folder, keys []string, tags provider.Tags) ([]string, error) {
	if tags == "" {
		return keys, nil
	}
	has := make([]bool, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(searchParallel)
	for i, key := range keys {
		group.Go(func() error {
			v, err := s.Read(ctx, provider.Request{Key: s.exact(root, key), Metadata: true})
			if errs.Is(err, errs.NotExist) {
				return nil // deleted since it was listed
			}
			if err != nil {
				return errs.Newf(errs.KindOf(err), "find.tags: %w", err)
			}
			var have map[string]string
			if json.Unmarshal(v.Data.Reveal(), &have) != nil {
				return errs.Newf(errs.Invalid, "find.tags: the custom metadata of %q is not text", key)
			}
			has[i] = tags.In(have)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []string
	for i, key := range keys {
		if has[i] {
			out = append(out, key)
		}
	}
	return out, nil
}
