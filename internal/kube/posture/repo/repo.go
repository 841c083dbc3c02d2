package repo

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo/pipeline"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// largest bounds a file that is looked at, in bytes. Larger ones are counted.
const largest = 8 << 20

// Config is what to look for besides what looks like a secret.
type Config struct {
	// Key makes the prints; nil: none are made, and nothing is compared with Live.
	Key *fingerprint.Key
	// Live are the prints of values that a cluster has now, as the function Live makes them.
	Live map[fingerprint.Print]bool
}

// Result is what was found, and what could not be looked at.
type Result struct {
	Repo snapshot.Repo
	// Missing are reasons why something may be there that was not seen.
	Missing []string
}

// Look looks at a repository, bare or not, or at a folder without Git.
func Look(ctx context.Context, dir string, c Config) (*Result, error) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil, errs.Newf(errs.Invalid, "looking at %s: it is no directory", dir)
	}
	s, err := newScanner(c)
	if err != nil {
		return nil, err
	}
	l := &looker{scanner: s, out: &Result{Repo: snapshot.Repo{Place: dir, Compared: len(s.live)}}, leaks: map[string][]find{}}
	g := &git{dir: dir}
	switch is, err := g.is(ctx); {
	case err != nil:
		return nil, err
	case is:
		err = l.git(ctx, g)
		if err != nil {
			return nil, err
		}
	default:
		if err := l.folder(ctx, dir); err != nil {
			return nil, err
		}
	}
	if l.big > 0 {
		l.out.Missing = append(l.out.Missing, fmt.Sprintf("%d files of %s are over %d MiB and were not looked at", l.big, dir, largest>>20))
	}
	if l.pointers > 0 {
		l.out.Missing = append(l.out.Missing, fmt.Sprintf("%d file versions of %s are pointers of Git LFS: what they stand for is not in Git, and was not looked at", l.pointers, dir))
	}
	l.order()
	return l.out, nil
}

// looker gathers what is found.
type looker struct {
	*scanner
	out *Result

	mu    sync.Mutex // guards what follows
	leaks map[string][]find
	big   int
	// pointers are those of Git LFS.
	pointers int
}

// blob is a file version: its name as Git has it, or its path in a folder.
type blob struct {
	id   string
	text []byte
}

// scan looks at blobs from next until it returns false, on all processors.
func (l *looker) scan(ctx context.Context, feed func(context.Context, chan<- blob) error) error {
	g, ctx := errgroup.WithContext(ctx)
	blobs := make(chan blob, runtime.GOMAXPROCS(0))
	g.Go(func() error {
		defer close(blobs)
		return feed(ctx, blobs)
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			w := l.worker()
			for b := range blobs {
				found, text := w.find(b.text)
				l.note(b, found, text)
			}
			return nil
		})
	}
	return g.Wait()
}

// note keeps what was found in a file version; text is false if it was not looked at.
func (l *looker) note(b blob, found []find, text bool) {
	inside, elsewhere := !text && closed(b.text), pointer(b.text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !text {
		l.out.Repo.Binary++
	}
	if inside {
		l.out.Repo.Closed++
	}
	if elsewhere {
		l.pointers++
	}
	if len(found) > 0 {
		l.leaks[b.id] = found
	}
}

// git looks at all objects of a repository.
func (l *looker) git(ctx context.Context, g *git) error {
	l.out.Repo.Git = true
	missing, err := g.missing(ctx)
	if err != nil {
		return err
	}
	l.out.Missing = append(l.out.Missing, missing...)
	err = l.scan(ctx, func(ctx context.Context, to chan<- blob) error {
		return g.blobs(ctx, func(b blob, size int64) error {
			l.out.Repo.Blobs++
			if size > largest {
				l.big++
				return nil
			}
			select {
			case to <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	if err != nil {
		return err
	}
	reachable, err := g.reachable(ctx)
	if err != nil {
		return err
	}
	l.out.Repo.Unreachable = max(0, l.out.Repo.Blobs-reachable)
	places, err := g.places(ctx, l.leaks)
	if err != nil {
		return err
	}
	for id, found := range l.leaks {
		l.keep(found, places[id])
	}
	return l.pipelines(ctx, g)
}

// pipelines reads those of the checked-out commit.
func (l *looker) pipelines(ctx context.Context, g *git) error {
	files, err := g.tree(ctx, "blob")
	if err != nil {
		return err
	}
	return g.read(ctx, slices.DeleteFunc(files, func(f file) bool { return !pipeline.Candidate(f.path) }), func(name string, text []byte) {
		if p, ok := pipeline.Read(name, text); ok {
			l.out.Repo.Pipelines = append(l.out.Repo.Pipelines, p)
		}
	})
}

// folder looks at files that are under no version control.
func (l *looker) folder(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return errs.Newf(errs.Unavailable, "looking at the files of %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	err = l.scan(ctx, func(ctx context.Context, to chan<- blob) error {
		return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text := l.file(root, name)
			if text == nil {
				return nil
			}
			select {
			case to <- blob{name, text}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	if err != nil {
		return errs.Newf(errs.Unavailable, "looking at the files of %s: %w", dir, err)
	}
	for id, found := range l.leaks {
		l.keep(found, where{file: id, present: true})
	}
	return nil
}

// file reads one, and the pipeline that it may be. nil is none that is looked at.
func (l *looker) file(root *os.Root, name string) []byte {
	l.out.Repo.Blobs++
	if info, err := root.Stat(name); err == nil && info.Size() > largest {
		l.big++
		return nil
	}
	text, err := root.ReadFile(name)
	if err != nil {
		l.out.Missing = append(l.out.Missing, "a file could not be read: "+name)
		return nil
	}
	if pipeline.Candidate(name) {
		if p, ok := pipeline.Read(name, text); ok {
			l.out.Repo.Pipelines = append(l.out.Repo.Pipelines, p)
		}
	}
	return text
}

// keep makes leaks of what was found at a place.
func (l *looker) keep(found []find, at where) {
	for _, f := range found {
		l.out.Repo.Leaks = append(l.out.Repo.Leaks, snapshot.Leak{
			Commit: at.commit, File: at.file, Line: f.line, Present: at.present, Unreachable: at.unreachable, Value: f.value,
		})
		l.same = append(l.same, f.print)
	}
}

// order sorts leaks, and makes one of those that are one value in many versions of
// a file: the one that is there now, else the first.
func (l *looker) order() {
	type one struct {
		leak  snapshot.Leak
		print fingerprint.Print
	}
	all := make([]one, len(l.out.Repo.Leaks))
	for i := range all {
		all[i] = one{l.out.Repo.Leaks[i], l.same[i]}
	}
	slices.SortFunc(all, func(a, b one) int {
		return cmp.Or(cmp.Compare(a.leak.File, b.leak.File), before(a.leak.Present, b.leak.Present), before(!a.leak.Unreachable, !b.leak.Unreachable),
			cmp.Compare(a.leak.Line, b.leak.Line), cmp.Compare(a.leak.Value.Field, b.leak.Value.Field), cmp.Compare(a.leak.Commit, b.leak.Commit), cmp.Compare(a.leak.Value.Looks, b.leak.Value.Looks))
	})
	type key struct {
		file  string
		print fingerprint.Print
	}
	seen := map[key]bool{}
	l.out.Repo.Leaks = nil
	for i := range all {
		if k := (key{all[i].leak.File, all[i].print}); !seen[k] {
			seen[k] = true
			l.out.Repo.Leaks = append(l.out.Repo.Leaks, all[i].leak)
		}
	}
	slices.SortFunc(l.out.Repo.Pipelines, func(a, b snapshot.Pipeline) int { return cmp.Compare(a.File, b.File) })
}

func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// newScanner makes what is shared by the workers. Without a key, one of its own
// tells equal values from others for the time of this look.
func newScanner(c Config) (*scanner, error) {
	s := &scanner{key: c.Key, live: c.Live, tell: c.Key != nil}
	if c.Key == nil {
		raw := make([]byte, fingerprint.KeySize)
		if _, err := rand.Read(raw); err != nil {
			return nil, errs.Newf(errs.Internal, "making a key: %w", err)
		}
		var err error
		if s.key, err = fingerprint.NewKey(raw); err != nil {
			return nil, err
		}
		s.live = nil
	}
	return s, nil
}
