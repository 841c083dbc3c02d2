package whocan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// survey is what who-can prints of a namespace or of the cluster. Fields are only
// ever added.
type survey struct {
	Namespace string    `json:"namespace,omitempty"`
	Secrets   int       `json:"secrets"`
	Readers   []reacher `json:"readers"`
	// Builtin is how many of Kubernetes' own get at some, and are not listed.
	Builtin int `json:"builtinNotListed"`
	// Labels are those who may lift Pod Security from the namespace, by its labels.
	Labels []string `json:"mayLabelNamespace,omitempty"`
}

// reacher is somebody who gets at Secrets now.
type reacher struct {
	Subject string `json:"subject"`
	Secrets int    `json:"secrets"`
	Direct  int    `json:"direct"` // of Secrets, by reading them
	// Kinds and Bindings are what the chains begin with, the most frequent first.
	Kinds    []string `json:"kinds"`
	Bindings []string `json:"bindings,omitempty"`
}

// tally adds up what one subject gets at.
type tally struct {
	reacher
	kinds, bindings map[string]int
	builtin         bool
}

// survey prints who gets at the Secrets of a namespace, which is given with a slash
// at its end, or of all.
func (x *commands) survey(s *snapshot.Snapshot, given, without []string, builtin bool) error {
	if m := s.Coverage.Missing("secrets"); len(m) > 0 {
		return errs.Newf(errs.Denied, "cannot tell: %s. Name a Secret, or ask with list on secrets", strings.Join(m, "; "))
	}
	namespace := ""
	if len(given) > 0 {
		if namespace = strings.TrimSuffix(given[0], "/"); namespace == "" || strings.Contains(namespace, "/") {
			return errs.Newf(errs.Invalid, "%q is not NAMESPACE/", given[0])
		}
	}
	rest := *s
	var err error
	if rest.RBAC, err = leaveOut(s.RBAC, without); err != nil {
		return err
	}
	f, err := copying(&rest)
	if err != nil {
		return err
	}
	out := add(f, s.Names(), namespace, builtin)
	header, rows := out.rows()
	return x.Print(out, header, rows)
}

// add adds up who gets at the Secrets of a namespace, "" for all.
func add(f *path.Finder, names []path.Name, namespace string, builtin bool) *survey {
	out := &survey{Namespace: namespace, Readers: []reacher{}}
	by := map[access.Subject]*tally{}
	for _, name := range names {
		if namespace != "" && name.Namespace != namespace {
			continue
		}
		out.Secrets++
		readers := f.Readers(name)
		for i := range readers {
			count(by, &readers[i])
		}
	}
	for _, t := range by {
		if t.builtin && !builtin {
			out.Builtin++
			continue
		}
		t.Kinds, t.Bindings = frequent(t.kinds), frequent(t.bindings)
		out.Readers = append(out.Readers, t.reacher)
	}
	slices.SortFunc(out.Readers, func(a, b reacher) int {
		return cmp.Or(cmp.Compare(b.Secrets, a.Secrets), cmp.Compare(a.Subject, b.Subject))
	})
	if namespace != "" {
		for _, who := range f.Lifters(namespace) {
			out.Labels = append(out.Labels, who.String())
		}
	}
	return out
}

// count adds one chain; who sees only what is written later is not counted.
func count(by map[access.Subject]*tally, r *path.Reader) {
	if r.Later() {
		return
	}
	t := by[r.Subject]
	if t == nil {
		t = &tally{reacher: reacher{Subject: r.Subject.String()}, kinds: map[string]int{}, bindings: map[string]int{}, builtin: true}
		by[r.Subject] = t
	}
	t.Secrets++
	if r.Direct() {
		t.Direct++
	}
	t.builtin = t.builtin && r.Builtin()
	first := &r.Steps[0]
	t.kinds[string(first.Kind)]++
	if c := first.Capability; c != nil {
		t.bindings[c.Grant.Binding.Kind()+" "+qualified(c.Grant.Binding.Namespace, c.Grant.Binding.Name)]++
	}
}

// frequent are the keys of counts, the most frequent first.
func frequent(counts map[string]int) []string {
	var out []string
	for k := range counts {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return out
}

func (v *survey) rows() (session.Row, []session.Row) {
	var rows []session.Row
	for i := range v.Readers {
		r := &v.Readers[i]
		by := "-"
		if len(r.Bindings) > 0 {
			by = r.Bindings[0]
		}
		if n := len(r.Bindings); n > 1 {
			by += fmt.Sprintf(" and %d more", n-1)
		}
		rows = append(rows, session.Row{r.Subject, fmt.Sprintf("%d of %d", r.Secrets, v.Secrets), strconv.Itoa(r.Direct), strings.Join(r.Kinds, ", "), by})
	}
	if v.Builtin > 0 {
		rows = append(rows, session.Row{fmt.Sprintf("and %d of Kubernetes' own (-builtin lists them)", v.Builtin)})
	}
	for _, who := range v.Labels {
		rows = append(rows, session.Row{who, "-", "-", "may change the namespace's labels, which lifts Pod Security", "-"})
	}
	return session.Row{"Who", "Secrets", "Directly", "How", "By"}, rows
}
