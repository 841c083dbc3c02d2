package chart

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// The bounds of what a chart has, before it is rendered.
const (
	largest = 64 << 20 // bytes of all its files
	files   = 20_000
)

// load reads a chart, a folder or an archive. Helm bounds what an archive unpacks to.
func load(name string) (*loaded, error) {
	name, err := filepath.EvalSymlinks(name) // whoever names a link means where it leads
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading it: %w", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading it: %w", err)
	}
	if info.IsDir() {
		if err := measure(name); err != nil {
			return nil, err
		}
	} else if info.Size() > largest {
		return nil, errs.Newf(errs.TooLarge, "it is larger than %d MiB", largest>>20)
	}
	c, err := loader.Load(name)
	if err != nil {
		return nil, unloadable(err)
	}
	return &loaded{c}, nil
}

// measure refuses a folder that is too large, and one with links: Helm follows them, to
// wherever they lead.
func measure(dir string) error {
	left, count := int64(largest), 0
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return errs.Newf(errs.Invalid, "reading it: %w", err)
		}
		if d.IsDir() {
			return nil
		}
		if !d.Type().IsRegular() {
			return errs.Newf(errs.Invalid, "%s is a link, or no file: of a chart only files are read: helm package %s makes an archive of it", name, dir)
		}
		info, err := d.Info()
		if err != nil {
			return errs.Newf(errs.Invalid, "reading it: %w", err)
		}
		left -= info.Size()
		if count++; left < 0 || count > files {
			return errs.Newf(errs.TooLarge, "its files are over %d MiB or %d", largest>>20, files)
		}
		return nil
	})
}

// loaded is a chart.
type loaded struct{ *v2.Chart }

var (
	line = regexp.MustCompile(`\bline (\d+)`)
	// parts are the files of a chart that are read before templates are.
	parts = []string{"Chart.yaml", "Chart.lock", "requirements.yaml", "requirements.lock", "values.yaml"}
)

// unloadable says why a chart is none. What a parser says may quote the file, and is
// not told.
func unloadable(err error) error {
	var invalid v2.ValidationError
	if errors.As(err, &invalid) { // of Chart.yaml, which holds no secret
		return errs.Newf(errs.Invalid, "Chart.yaml: %s", strings.TrimPrefix(invalid.Error(), "validation: "))
	}
	text := err.Error()
	for _, part := range parts {
		if strings.Contains(text, part) {
			if strings.Contains(text, "missing") {
				return errs.Newf(errs.Invalid, "it has no %s", part)
			}
			return errs.Newf(errs.Invalid, "%s%s: this is not YAML, or not of its shape", part, atLine(text))
		}
	}
	return errs.New(errs.Invalid, "this is no chart, or its archive is broken or too large: helm lint says more")
}

// atLine is the line that a parser of YAML names, ":3"; "" if it names none.
func atLine(text string) string {
	if m := line.FindStringSubmatch(text); m != nil {
		return ":" + m[1]
	}
	return ""
}
