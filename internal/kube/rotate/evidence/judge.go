package evidence

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// Input is all that Judge goes by.
type Input struct {
	// Required of every pod; empty: what its way of using the credential needs, as
	// docs/rotation/evidence.md has it.
	Required []v1alpha1.EvidenceKind
	Method   v1alpha1.RolloutMethod
	// Version that is wanted. Secrets that hold another are not confirmed, and no
	// pod is proven by their content.
	Version string
	Secrets []consumer.Fed
	Pods    []consumer.Pod
	// Workloads of the pods, as far as they are known: they say who is restarted.
	Workloads []consumer.Workload
	// Anew: nothing was there before the version wanted, or what it will change is not
	// known yet; whatever Secrets say of their changes then does not matter.
	Anew bool
	// Back: the version wanted is that of before, which Secrets may never have left.
	Back bool
	// Nodes and Backend say whether there is anybody to ask: the witness on the
	// nodes, and a backend that sees sessions.
	Nodes, Backend bool
	// Found is what was reported, by pod; a pod without an entry was not asked.
	Found map[types.UID]Found
}

// Found is what was reported of one pod.
type Found struct{ File, Application, Backend Word }

// Word is one report.
type Word struct {
	Answer Answer
	// Text says more, for a person: why it is not known, or what speaks against it.
	// It holds no value.
	Text string
}

// Answer is whether a pod uses the version wanted.
type Answer uint8

// The answers. No says that something else than the version wanted was seen,
// and outweighs weaker evidence; Unknown says nothing.
const (
	Unknown Answer = iota
	Yes
	No
)

// String returns "unknown", "yes" or "no".
func (a Answer) String() string {
	switch a {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return "unknown"
}

// Judgement is what there is to say of all pods.
type Judgement struct {
	// Pods, those without proof first, each part in the order of Input.
	Pods   []v1alpha1.PodEvidence
	Proven int
	// Missing are pods whose proof may still come, Never those whose proof cannot
	// come by itself: "namespace/pod: why, and what to do".
	Missing, Never []string
}

// Judge says for each pod what evidence there is, and whether it is enough. It
// is pure: equal input gives an equal answer.
func Judge(in Input) Judgement {
	j := newJudge(in)
	var out Judgement
	var proven []v1alpha1.PodEvidence
	for i := range in.Pods {
		p := j.pod(&in.Pods[i])
		e := p.evidence()
		switch {
		case e.Proven:
			proven = append(proven, e)
			continue
		case p.never:
			out.Never = append(out.Never, name(p.Pod)+": "+e.Missing)
		default:
			out.Missing = append(out.Missing, name(p.Pod)+": "+e.Missing)
		}
		out.Pods = append(out.Pods, e)
	}
	out.Proven = len(proven)
	out.Pods = append(out.Pods, proven...)
	return out
}

// What a status tells of one pod; a status that is too large cannot be written.
const (
	maxUses    = 8
	maxUse     = 128 // bytes
	maxMissing = 512
)

// Limit returns the first n, each cut to what a status has room for; Judge puts
// those without proof first.
func Limit(pods []v1alpha1.PodEvidence, n int) []v1alpha1.PodEvidence {
	out := slices.Clone(pods[:min(n, len(pods))])
	for i := range out {
		e := &out[i]
		uses := make([]string, 0, maxUses+1)
		for _, use := range e.Uses[:min(maxUses, len(e.Uses))] {
			uses = append(uses, short(use, maxUse))
		}
		if more := len(e.Uses) - maxUses; more > 0 {
			uses = append(uses, fmt.Sprintf("and %d more", more))
		}
		e.Uses, e.Missing = uses, short(e.Missing, maxMissing)
	}
	return out
}

// short returns at most n bytes of s, and says so.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func name(p *consumer.Pod) string {
	s := p.Namespace + "/" + p.Name
	if p.Cluster != "" {
		s = p.Cluster + ": " + s
	}
	return s
}

// place names something within a namespace of a cluster.
type place struct{ cluster, namespace, name string }

type judge struct {
	Input
	fed       map[place]*consumer.Fed
	workloads map[consumer.Object]*consumer.Workload
}

func newJudge(in Input) *judge {
	j := &judge{in, make(map[place]*consumer.Fed, len(in.Secrets)), make(map[consumer.Object]*consumer.Workload, len(in.Workloads))}
	for i := range in.Secrets {
		f := &in.Secrets[i]
		j.fed[place{f.Cluster, f.Namespace, f.Name}] = f
	}
	for i := range in.Workloads {
		j.workloads[in.Workloads[i].Object] = &in.Workloads[i]
	}
	return j
}

// holding is whether a pod's containers can have been started with the content
// wanted.
type holding struct {
	ok    bool
	why   string // not
	never bool   // and it cannot come by itself
}

// template compares what the pod was created with with what its Secrets hold. A
// pod that uses none of ours has no such evidence.
func (j *judge) template(p *consumer.Pod) holding {
	stamp := rollout.ParseStamp(p.Stamp)
	found := false
	for _, u := range p.Uses {
		if u.Kind == consumer.UseImagePull || u.Secret == "" {
			continue
		}
		fed := j.fed[place{p.Cluster, p.Namespace, u.Secret}]
		if fed == nil {
			continue
		}
		found = true
		if fed.Version != j.Version || fed.Digest == "" {
			return holding{why: "Secret " + u.Secret + " does not hold version " + j.Version + " yet"}
		}
		if why := j.unchanged(fed); why != "" {
			return holding{why: why, never: true}
		}
		entry := "secret/" + u.Secret
		if stamp[entry] == fed.Digest || j.unmarked(p, entry, fed.Digest) {
			continue
		}
		return holding{why: "it was started with older content of Secret " + u.Secret}
	}
	if !found {
		return holding{why: "it uses no Secret that is known to hold the credential"}
	}
	return holding{ok: true}
}

// unmarked reports whether p came after its workload's pods were marked, which
// is done when the Secrets are confirmed and with method Evict only. A workload that
// is left alone is not marked, and then the absence of a mark says nothing.
func (j *judge) unmarked(p *consumer.Pod, entry, digest string) bool {
	w := j.workloads[p.Workload]
	if w == nil || rollout.ParseStamp(w.Marked)[entry] != digest {
		return false
	}
	before := rollout.ParseStamp(p.Annotations[rollout.AnnotationBefore])[entry]
	own := rollout.ParseStamp(p.Stamp)[entry]
	inherited := rollout.ParseStamp(w.Stamp)[entry]
	return (before == "" || before == digest) && (own == "" || own == inherited)
}

// verdict is what is judged of one pod.
type verdict struct {
	*consumer.Pod
	j        *judge
	found    Found
	template holding
	has      []v1alpha1.EvidenceKind
	missing  string
	never    bool
}

func (j *judge) pod(p *consumer.Pod) *verdict {
	v := &verdict{Pod: p, j: j, found: j.Found[p.UID], template: j.template(p)}
	for kind, ok := range map[v1alpha1.EvidenceKind]bool{
		v1alpha1.EvidenceTemplate:    v.template.ok,
		v1alpha1.EvidenceFile:        v.found.File.Answer == Yes,
		v1alpha1.EvidenceApplication: v.found.Application.Answer == Yes,
		v1alpha1.EvidenceBackend:     v.found.Backend.Answer == Yes,
	} {
		if ok {
			v.has = append(v.has, kind)
		}
	}
	slices.SortFunc(v.has, func(a, b v1alpha1.EvidenceKind) int { return rank(a) - rank(b) })
	switch {
	case v.exempt():
	case v.contradicted():
	case len(j.Required) > 0:
		v.required()
	default:
		v.usual()
	}
	if v.missing != "" && v.Deleting {
		v.missing, v.never = v.missing+"; it is being deleted: wait until it is gone", false
	}
	return v
}

// rank orders evidence, weakest first.
func rank(k v1alpha1.EvidenceKind) int {
	return slices.Index([]v1alpha1.EvidenceKind{v1alpha1.EvidenceTemplate, v1alpha1.EvidenceFile, v1alpha1.EvidenceApplication, v1alpha1.EvidenceBackend}, k)
}

// exempt reports whether no process in the pod sees the credential: the node
// alone pulls images, anew for each pod.
func (v *verdict) exempt() bool {
	return !slices.ContainsFunc(v.Uses, func(u consumer.Use) bool { return u.Kind != consumer.UseImagePull })
}

// contradicted reports that something speaks against the pod, which no weaker
// evidence outweighs.
func (v *verdict) contradicted() bool {
	switch {
	case v.found.Application.Answer == No:
		v.missing = "the application says that it does not use version " + v.j.Version + v.text(v.found.Application)
	case v.found.Backend.Answer == No:
		v.missing = "the backend sees it on the old credential" + v.text(v.found.Backend)
	case v.found.File.Answer == No:
		v.missing = "a mounted file is not that of version " + v.j.Version + v.text(v.found.File)
	default:
		return false
	}
	// What was started with old content and is not restarted stays so.
	if !v.template.ok && v.fixed() && !v.restarts() && !v.speaks() {
		v.missing, v.never = v.missing+"; "+v.restart(), true
	}
	return true
}

func (v *verdict) text(w Word) string {
	if w.Text == "" {
		return ""
	}
	return " (" + w.Text + ")"
}

func (v *verdict) evidence() v1alpha1.PodEvidence {
	e := v1alpha1.PodEvidence{
		Cluster: v.Cluster, Namespace: v.Namespace, Pod: v.Name, UID: string(v.UID),
		Has: v.has, Proven: v.missing == "", Missing: v.missing,
	}
	if v.Workload.Name != "" {
		e.Workload = v.Workload.Kind.Kind + "/" + v.Workload.Name
	}
	for _, u := range v.Uses {
		e.Uses = append(e.Uses, useText(u))
	}
	slices.Sort(e.Uses)
	e.Uses = slices.Compact(e.Uses)
	return e
}

// useText returns such as "env DB_PASSWORD" or "init volume /etc/db".
func useText(u consumer.Use) string {
	var parts []string
	if u.Init {
		parts = append(parts, "init")
	}
	parts = append(parts, string(u.Kind))
	if u.Where != "" {
		parts = append(parts, u.Where)
	}
	return strings.Join(parts, " ")
}
