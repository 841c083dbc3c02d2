package snapshot

import (
	"path"
	"regexp"
	"slices"
	"strings"

	detour "github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// projects are the AppProjects as package path sees them.
func (s *Snapshot) projects() []detour.Project {
	var out []detour.Project
	for i := range s.Projects {
		p := &s.Projects[i]
		out = append(out, detour.Project{
			Namespace: p.Namespace,
			From:      func(ns string) bool { return slices.ContainsFunc(p.From, func(is string) bool { return like(is, ns) }) },
			To:        p.reaches,
		})
	}
	return out
}

// reaches reports whether an Application of p can write to a namespace what gives
// Secrets there.
func (p *Project) reaches(namespace string) bool {
	if p.Anywhere {
		return true
	}
	written := false
	for _, is := range p.To {
		not, denies := strings.CutPrefix(is, "!")
		switch {
		case !denies:
			written = written || like(is, namespace)
		case like(not, namespace):
			return false
		default:
			written = true
		}
	}
	return written && !p.Harmless
}

// like reports whether a name is like a pattern of Argo CD: with * and ?, or an
// expression between slashes.
func like(pattern, name string) bool {
	if inner, ok := strings.CutPrefix(pattern, "/"); ok && strings.HasSuffix(inner, "/") {
		re, err := regexp.Compile(strings.TrimSuffix(inner, "/"))
		return err == nil && re.MatchString(name)
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
