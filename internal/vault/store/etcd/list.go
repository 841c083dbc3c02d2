package etcd

import (
	"context"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Keys asked for at once. etcd walks its index to the end of the folder for
// each page to count what is there, so that few large pages cost less than many
// small ones; in subfolders most of a page is not used.
const (
	firstPage = 256
	largePage = 8192
	seekPage  = 16
)

// List implements store.Store. It reads names alone, and of every subfolder no
// more than a page. All of it is of one revision.
func (s *Store) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	if err := store.CheckFolder(folder); err != nil {
		return nil, err
	}
	ctx, finish, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer finish()
	for {
		l := listing{store: s, folder: s.keys.data + folder, after: after, limit: limit}
		names, err := l.run(ctx)
		switch {
		case err == nil:
			return names, nil
		case is(err, rpctypes.ErrCompacted) && ctx.Err() == nil:
			continue // it took longer than etcd remembers: anew, at a newer revision
		default:
			return nil, failure("listing a folder", err)
		}
	}
}

// listing is one run of List.
type listing struct {
	store  *Store
	folder string // with everything in front
	after  string
	limit  int
	rev    int64 // of the first page
	names  []string
}

func (l *listing) run(ctx context.Context) ([]string, error) {
	from, page := l.folder, int64(firstPage)
	if l.after != "" {
		from = behind(l.folder + l.after)
	}
	if l.limit > 0 {
		page = min(int64(l.limit), largePage)
	}
	for {
		r, err := l.store.client.Get(ctx, from, clientv3.WithRange(end(l.folder)),
			clientv3.WithKeysOnly(), clientv3.WithLimit(page), clientv3.WithRev(l.rev))
		if err != nil {
			return nil, err
		}
		if l.rev == 0 {
			l.rev = r.Header.Revision
		}
		before := len(l.names)
		for _, kv := range r.Kvs {
			if string(kv.Key) < from {
				continue // in a subfolder that has been named
			}
			name := child(string(kv.Key[len(l.folder):]))
			l.names = append(l.names, name)
			from = behind(l.folder + name)
			if len(l.names) == l.limit {
				return l.names, nil
			}
		}
		if !r.More {
			return l.names, nil
		}
		// Pages grow while they bring names, and shrink where one subfolder fills them.
		if page = min(2*page, largePage); len(l.names)-before < len(r.Kvs)/8 {
			page = seekPage
		}
	}
}

// child cuts rest behind its first slash: "a/b" becomes "a/", "a" stays.
func child(rest string) string {
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[:i+1]
	}
	return rest
}

// behind returns the first key that can follow name: for a folder that is
// behind all it holds, since '0' follows '/'.
func behind(name string) string {
	if folder, ok := strings.CutSuffix(name, "/"); ok {
		return folder + "0"
	}
	return name + "\x00"
}

// end returns the first key behind a folder.
func end(folder string) string { return folder[:len(folder)-1] + "0" }
