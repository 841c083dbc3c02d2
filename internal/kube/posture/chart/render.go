package chart

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	dependencies "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// render makes the manifests, in the order of their names, with those of crds/ at the end.
func (c *loaded) render(r *Request) ([]File, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	given, err := values(r.Values)
	if err != nil {
		return nil, err
	}
	if err := dependencies.ProcessDependencies(c.Chart, given); err != nil {
		return nil, errs.New(errs.Invalid, "its dependencies do not fit their values: a condition, tag or import of Chart.yaml is wrong")
	}
	release := common.ReleaseOptions{Name: r.Release, Namespace: r.Namespace, Revision: 1, IsInstall: true}
	if release.Name == "" {
		release.Name = c.Name()
	}
	top, err := util.ToRenderValuesWithSchemaValidation(c.Chart, given, release, common.DefaultCapabilities, true)
	if err != nil {
		return nil, errs.New(errs.Invalid, "its values do not fit together: one is a map where another is not")
	}
	made, err := engine.Engine{}.RenderWithContext(context.Background(), c.Chart, top)
	if err != nil {
		return nil, c.failed(err)
	}
	var out []File
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if path.Base(name) != "NOTES.txt" && strings.TrimSpace(made[name]) != "" {
			out = append(out, File{name, made[name]})
		}
	}
	for _, d := range c.CRDObjects() { // whatever kind these are of, helm install applies them
		out = append(out, File{d.Filename, string(d.File.Data)})
	}
	return out, nil
}

// complete refuses a chart that lacks charts it names: Helm would fetch them.
func (c *loaded) complete() error {
	for _, d := range c.Metadata.Dependencies {
		if d != nil && !slices.ContainsFunc(c.Dependencies(), func(has *v2.Chart) bool { return has.Name() == d.Name }) {
			return errs.Newf(errs.Invalid, "Chart.yaml: the chart %q it depends on is not in charts/: helm dependency build puts it there", d.Name)
		}
	}
	return nil
}

// values are those of files, of which the later count more. A list replaces a list.
func values(names []string) (map[string]any, error) {
	out := map[string]any{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "reading values: %w", err)
		}
		one, err := loader.LoadValues(bytes.NewReader(raw))
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "%s%s: this is no map in YAML", name, atLine(err.Error()))
		}
		out = loader.MergeMaps(out, one)
	}
	return out, nil
}
