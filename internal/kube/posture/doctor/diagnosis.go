package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Confidence says how much a Diagnosis is to be relied on.
type Confidence string

// The confidences, the best first.
const (
	Sure     Confidence = "sure"     // it follows from what was read
	Likely   Confidence = "likely"   // it fits all that was read; something that was not read could explain it too
	Possible Confidence = "possible" // worth a look
)

// Diagnosis is one reason why something does not work.
type Diagnosis struct {
	// Symptom is a stable word, "SecretMissing".
	Symptom string       `json:"symptom"`
	Object  snapshot.Ref `json:"object"`
	// Cause is one sentence.
	Cause      string           `json:"cause"`
	Confidence Confidence       `json:"confidence"`
	Evidence   []check.Evidence `json:"evidence,omitempty"`
	Fix        check.Fix        `json:"fix,omitzero"`
	// Affected are the pods of Object that it is about, where Object makes them.
	Affected []string `json:"affected,omitempty"`
	// About are all objects that it has to do with.
	About []snapshot.Ref `json:"-"`
}

// Add adds a fact that was seen.
func (d *Diagnosis) Add(o snapshot.Ref, field, format string, args ...any) {
	d.Evidence = append(d.Evidence, check.Evidence{Object: o, Field: field, Fact: fmt.Sprintf(format, args...)})
	d.About = append(d.About, o)
}

// Symptom is something that can be wrong: a function of a Case.
type Symptom struct {
	Name string // a word, "start"
	Find func(*Case) []Diagnosis
}

// Target is what is asked about: an object, with its Namespace and Name, or with
// neither everything that was read.
type Target struct{ Kind, Namespace, Name string }

// Examine returns what symptoms find about target, the surest first, what is
// the same of several pods of one workload once.
func Examine(c *Case, symptoms []Symptom, target Target) []Diagnosis {
	var all []Diagnosis
	for _, s := range symptoms {
		for _, d := range s.Find(c) {
			if target.covers(c, &d) {
				all = append(all, d)
			}
		}
	}
	all = merged(all)
	slices.SortStableFunc(all, func(a, b Diagnosis) int {
		return cmp.Or(cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(rank(a.Confidence), rank(b.Confidence)),
			cmp.Compare(a.Object.Kind, b.Object.Kind), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	return all
}

func rank(c Confidence) int { return slices.Index([]Confidence{Sure, Likely, Possible}, c) }

// covers reports whether d has to do with t: it is about that object, or about a
// pod that t makes.
func (t Target) covers(c *Case, d *Diagnosis) bool {
	if t.Name == "" {
		return t.Namespace == "" || d.Object.Namespace == t.Namespace
	}
	for _, r := range append([]snapshot.Ref{d.Object}, d.About...) {
		if strings.EqualFold(r.Kind, t.Kind) && r.Namespace == t.Namespace && r.Name == t.Name {
			return true
		}
		if r.Kind != "Pod" || r.Namespace != t.Namespace {
			continue
		}
		if w := c.makerOf(r); w != nil && strings.EqualFold(w.Kind, t.Kind) && w.Name == t.Name {
			return true
		}
	}
	return false
}

// makerOf returns what makes a pod, or nil.
func (c *Case) makerOf(pod snapshot.Ref) *Workload {
	for i := range c.Pods {
		if p := &c.Pods[i]; p.Name == pod.Name && p.Namespace == pod.Namespace {
			return c.WorkloadOf(p)
		}
	}
	return nil
}

// merged makes one of what is the same but for the pod. Diagnoses of pods have the
// workload as their Object already.
func merged(all []Diagnosis) []Diagnosis {
	type identity struct {
		object         snapshot.Ref
		symptom, cause string
	}
	at := map[identity]int{}
	var out []Diagnosis
	for i := range all {
		id := identity{all[i].Object, all[i].Symptom, all[i].Cause}
		first, again := at[id]
		if !again {
			at[id] = len(out)
			out = append(out, all[i])
			continue
		}
		for _, p := range all[i].Affected {
			if !slices.Contains(out[first].Affected, p) {
				out[first].Affected = append(out[first].Affected, p)
			}
		}
	}
	return out
}
