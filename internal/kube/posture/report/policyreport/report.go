package policyreport

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// Bounds of reports. etcd takes 1.5 MB of an object by default.
const (
	maxResults = 500       // of one report
	maxBytes   = 512 << 10 // of its results, as JSON
	maxReports = 10        // of one namespace, and of the cluster
)

// Options say what a check.Report does not.
type Options struct {
	// Tried reports whether what a check needs was tried to be read, and could not be.
	Tried func(id string) bool
	// Since is when the answer of a check became what it is.
	Since func(id string) time.Time
}

// report is an object of either family.
type report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Source            string                  `json:"source,omitempty"`
	Scope             *corev1.ObjectReference `json:"scope,omitempty"`
	Summary           summary                 `json:"summary"`
	Results           []result                `json:"results"`
}

type summary struct {
	Pass  int `json:"pass"`
	Fail  int `json:"fail"`
	Warn  int `json:"warn"`
	Error int `json:"error"`
	Skip  int `json:"skip"`
}

func (s *summary) count(r *result) {
	switch r.Result {
	case pass:
		s.Pass++
	case fail:
		s.Fail++
	case warn:
		s.Warn++
	case wrong:
		s.Error++
	case skip:
		s.Skip++
	}
}

// Make makes the reports of f: the cluster's, and one for each namespace with findings.
// Those that are too large are split; what is beyond their bounds is counted in the last
// one. Same input, same output.
func Make(f Family, r *check.Report, o Options) ([]*unstructured.Unstructured, error) {
	places := map[string][]result{"": nil}
	for i := range r.Results {
		places[""] = append(places[""], ofAnswer(&r.Results[i], o.Since(r.Results[i].ID), o.Tried(r.Results[i].ID)))
	}
	for i := range r.Ended {
		places[""] = append(places[""], ofEnded(&r.Ended[i]))
	}
	for _, m := range ordered(r) {
		places[m.Object.Namespace] = append(places[m.Object.Namespace], ofFinding(m))
	}
	var out []*unstructured.Unstructured
	for _, namespace := range sorted(places) {
		for i, part := range split(places[namespace]) {
			made, err := f.object(namespace, i, part)
			if err != nil {
				return nil, err
			}
			out = append(out, made)
		}
	}
	return out, nil
}

// ordered are the findings of r: those that count first, of these the worst, and
// never by what is new, which changes with each look.
func ordered(r *check.Report) []*check.Marked {
	var out []*check.Marked
	for i := range r.Results {
		for j := range r.Results[i].Findings {
			out = append(out, &r.Results[i].Findings[j])
		}
	}
	counts := func(m *check.Marked) int {
		if m.Excepted == nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b *check.Marked) int {
		return cmp.Or(
			cmp.Compare(counts(a), counts(b)), cmp.Compare(a.Severity.Rank(), b.Severity.Rank()), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Object.Kind, b.Object.Kind), cmp.Compare(a.Object.Name, b.Object.Name), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Fingerprint, b.Fingerprint),
		)
	})
	return out
}

func sorted(places map[string][]result) []string {
	out := make([]string, 0, len(places))
	for namespace := range places {
		out = append(out, namespace)
	}
	slices.Sort(out)
	return out
}

// split makes parts of all that are small enough each, and no more than there may be.
func split(all []result) [][]result {
	var out [][]result
	var part []result
	size := 0
	for i := range all {
		n := length(&all[i])
		if len(part) == maxResults || len(part) > 0 && size+n > maxBytes {
			if len(out) == maxReports-1 {
				return append(out, append(part, truncated(len(all)-i)))
			}
			out, part, size = append(out, part), nil, 0
		}
		part, size = append(part, all[i]), size+n
	}
	return append(out, part)
}

// length is that of r as JSON; what cannot be encoded is found out later.
func length(r *result) int {
	raw, err := json.Marshal(r)
	if err != nil {
		return 0
	}
	return len(raw)
}

// truncated says how many results there is no room for.
func truncated(n int) result {
	return result{
		Source: source, Policy: "strongkeep", Rule: "Truncated", Category: category, Result: warn,
		Message: fmt.Sprintf("%d results more have no room in reports; they are the least severe, or accepted. All of them: strongkeep check -all", n),
	}
}

// object is the report of a namespace, or of the cluster, whose number is i, from 0.
func (f Family) object(namespace string, i int, results []result) (*unstructured.Unstructured, error) {
	out := report{Results: results}
	kind := f.Global
	if namespace != "" {
		kind = f.Local
		out.Scope = &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: namespace}
	}
	out.Kind, out.APIVersion = kind.Kind, f.String()
	out.Namespace, out.Name, out.Labels = namespace, Name, Labels()
	if i > 0 {
		out.Name = fmt.Sprintf("%s-%d", Name, i+1)
	}
	if f.sourced {
		out.Source = source
	}
	for j := range results {
		out.Summary.count(&results[j])
	}
	if out.Results == nil {
		out.Results = []result{}
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&out)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a report of namespace %q: %w", namespace, err)
	}
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	return &unstructured.Unstructured{Object: content}, nil
}

// Same reports whether is, as the API server has it, says what want does.
func Same(is, want *unstructured.Unstructured) bool {
	for _, field := range []string{"source", "scope", "summary", "results"} {
		a, err1 := json.Marshal(is.Object[field])
		b, err2 := json.Marshal(want.Object[field])
		if err1 != nil || err2 != nil || string(a) != string(b) {
			return false
		}
	}
	labels := is.GetLabels()
	for key, value := range want.GetLabels() {
		if labels[key] != value {
			return false
		}
	}
	return true
}
