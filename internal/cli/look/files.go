package look

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/chart"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// files reads manifests, dumps and charts. What is wrong in them is said on standard
// error, and is in the snapshot.
func (f *Flags) files(ctx context.Context, s *session.Session, key *fingerprint.Key, now time.Time) (*snapshot.Snapshot, error) {
	g := gatherer{Flags: f, to: &read.Files{Namespace: f.Namespace, Key: key}, render: func(name string, values []string) ([]chart.File, error) {
		return chart.Render(ctx, chart.Request{Chart: name, Values: values, Release: f.Release, Namespace: session.First(f.Namespace, "default")})
	}}
	for _, name := range f.Files {
		if err := g.add(name, s.Env.Stdin); err != nil {
			return nil, err
		}
	}
	s.Warn(g.to.Wrong)
	if g.to.Empty() && !g.charts { // the wrong folder, or a pipe from a command that failed, is no clean cluster
		return nil, errs.Newf(errs.Invalid, "there is no Kubernetes object in %s: nothing was looked at", strings.Join(f.Files, ", "))
	}
	return g.to.Snapshot(now), nil
}

// gatherer is one reading of files.
type gatherer struct {
	*Flags
	to     *read.Files
	charts bool // one was rendered, of nothing perhaps
	render func(name string, values []string) ([]chart.File, error)
}

func (g *gatherer) add(name string, stdin io.Reader) error {
	if name == "-" {
		return g.to.Add("standard input", stdin)
	}
	info, err := os.Stat(name)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading manifests: %w", err)
	}
	switch {
	case info.IsDir() && has(name, "Chart.yaml"), strings.HasSuffix(name, ".tgz"), strings.HasSuffix(name, ".tar.gz"):
		return g.chart(name, g.Values)
	case info.IsDir():
		return g.folder(name)
	}
	return file(g.to, name)
}

// chart renders a chart. What its templates made is told by where they are.
func (g *gatherer) chart(name string, values []string) error {
	made, err := g.render(name, values)
	if err != nil {
		return err
	}
	g.charts = true
	for _, m := range made {
		_, inside, _ := strings.Cut(m.Name, "/")
		if err := g.to.Add(filepath.Join(name, inside), strings.NewReader(m.Text)); err != nil {
			return err
		}
	}
	return nil
}

func file(to *read.Files, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading manifests: %w", err)
	}
	defer func() { _ = f.Close() }()
	return to.Add(name, f)
}

// folder reads the manifests and charts below dir. What is wrong with a chart is noted,
// and the rest goes on. A kustomization is no manifest, and what it would make is not
// guessed.
func (g *gatherer) folder(dir string) error {
	if command := rendered(dir); command != "" {
		return errs.Newf(errs.Unsupported, "%s is not rendered here: %s | strongkeep COMMAND -f -", dir, command)
	}
	w := walk{gatherer: g, dir: dir, seen: map[string]bool{}}
	err := filepath.WalkDir(dir, w.visit)
	for _, name := range w.links {
		if err == nil {
			err = w.link(name)
		}
	}
	return err
}

// walk goes through a folder.
type walk struct {
	*gatherer
	dir   string
	links []string
	seen  map[string]bool // files that were read, by their names without links
}

func (w *walk) visit(name string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return errs.Newf(errs.Invalid, "reading manifests: %w", err)
	case d.IsDir():
		return w.enter(name, d)
	case d.Type()&fs.ModeSymlink != 0:
		if !strings.HasPrefix(d.Name(), "..") { // these a mounted ConfigMap has for itself
			w.links = append(w.links, name)
		}
		return nil
	case !manifest(d.Name()):
		return nil
	case !d.Type().IsRegular():
		w.to.Miss(name, "it is no regular file")
		return nil
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		w.seen[real] = true
	}
	return file(w.to, name)
}

// enter renders a chart, and says which folders are passed over.
func (w *walk) enter(name string, d fs.DirEntry) error {
	if name == w.dir {
		return nil
	}
	command := rendered(name)
	switch {
	case strings.HasPrefix(d.Name(), "."):
		return fs.SkipDir
	case has(name, "Chart.yaml"):
		err := w.chart(name, nil)
		if errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			w.to.Miss(name, err.Error())
		}
		return fs.SkipDir
	case command != "":
		w.to.Miss(name, "not rendered here: "+command+" | strongkeep COMMAND -f -")
		return fs.SkipDir
	}
	return nil
}

// link reads a symbolic link to a manifest within dir that was not read itself: files of
// a mounted ConfigMap are such links. One that leads elsewhere is not followed, since
// whoever made the folder chose where it leads, and is said.
func (w *walk) link(name string) error {
	root, err1 := filepath.EvalSymlinks(w.dir)
	real, err2 := filepath.EvalSymlinks(name)
	if err1 != nil || err2 != nil {
		w.to.Miss(name, "it is a symbolic link that leads nowhere")
		return nil
	}
	info, err := os.Stat(real)
	switch {
	case err == nil && !info.IsDir() && !manifest(name), w.seen[real]:
		return nil
	case err != nil || !info.Mode().IsRegular() || !within(root, real):
		w.to.Miss(name, "it is a symbolic link to what is no file of "+w.dir+": name that itself")
		return nil
	}
	w.seen[real] = true
	return file(w.to, name)
}

func within(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && filepath.IsLocal(rel)
}

// has reports whether a folder has one of names.
func has(dir string, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		_, err := os.Stat(filepath.Join(dir, n))
		return err == nil
	})
}

// rendered returns the command that makes manifests of a folder; "" for one that has them.
func rendered(dir string) string {
	if has(dir, "kustomization.yaml", "kustomization.yml", "Kustomization") {
		return "kubectl kustomize " + dir
	}
	return ""
}

func manifest(name string) bool {
	name = strings.TrimSuffix(name, ".gz")
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}
