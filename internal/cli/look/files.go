package look

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// files reads manifests and dumps. What is wrong in them is said on standard error,
// and is in the snapshot.
func (f *Flags) files(s *session.Session, key *fingerprint.Key, now time.Time) (*snapshot.Snapshot, error) {
	files := read.Files{Namespace: f.Namespace, Key: key}
	for _, name := range f.Files {
		if err := add(&files, name, s.Env.Stdin); err != nil {
			return nil, err
		}
	}
	s.Warn(files.Wrong)
	return files.Snapshot(now), nil
}

func add(to *read.Files, name string, stdin io.Reader) error {
	if name == "-" {
		return to.Add("standard input", stdin)
	}
	info, err := os.Stat(name)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading manifests: %w", err)
	}
	switch {
	case info.IsDir():
		return folder(to, name)
	case strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz"):
		return errs.Newf(errs.Unsupported, "%s is a chart or another archive, which is not rendered here: helm template NAME %s | strongkeep COMMAND -f -", name, name)
	}
	return file(to, name)
}

func file(to *read.Files, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading manifests: %w", err)
	}
	defer func() { _ = f.Close() }()
	return to.Add(name, f)
}

// folder reads the manifests below dir. A chart or a kustomization is no manifest, and
// what it would make is not guessed.
func folder(to *read.Files, dir string) error {
	if command := rendered(dir); command != "" {
		return errs.Newf(errs.Unsupported, "%s is not rendered here: %s | strongkeep COMMAND -f -", dir, command)
	}
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return errs.Newf(errs.Invalid, "reading manifests: %w", err)
		case d.IsDir() && name != dir && (strings.HasPrefix(d.Name(), ".") || rendered(name) != ""):
			if command := rendered(name); command != "" {
				to.Wrong = append(to.Wrong, name+": not rendered here: "+command+" | strongkeep COMMAND -f -")
			}
			return fs.SkipDir
		case !d.Type().IsRegular() || !manifest(d.Name()):
			return nil
		}
		return file(to, name)
	})
}

// rendered returns the command that makes manifests of a folder; "" for one that has them.
func rendered(dir string) string {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			_, err := os.Stat(filepath.Join(dir, n))
			return err == nil
		})
	}
	switch {
	case has("Chart.yaml"):
		return "helm template NAME " + dir
	case has("kustomization.yaml", "kustomization.yml", "Kustomization"):
		return "kubectl kustomize " + dir
	}
	return ""
}

func manifest(name string) bool {
	name = strings.TrimSuffix(name, ".gz")
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}
