package evidence

import (
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// required asks for every kind that the Rotation names.
func (v *verdict) required() {
	for _, kind := range v.j.Required {
		if !slices.Contains(v.has, kind) {
			why, never := v.lacks(kind)
			v.miss(why)
			v.never = v.never || never
		}
	}
}

// usual asks, for each way in which the pod uses the credential, for the least
// that shows that this way leads to the version wanted.
func (v *verdict) usual() {
	for _, u := range v.Uses {
		if u.Kind == consumer.UseImagePull || v.enough(u) {
			continue
		}
		switch {
		case u.Init:
			why, never := v.lacks(v1alpha1.EvidenceTemplate)
			v.missUse(u, why, never)
		case u.Kind.Static():
			why, never := v.lacks(v1alpha1.EvidenceTemplate)
			v.missUse(u, why, never && !v.speaks())
		default:
			v.reloads(u)
		}
	}
}

// enough reports whether what there is shows that u leads to the version wanted.
func (v *verdict) enough(u consumer.Use) bool {
	application := v.found.Application.Answer == Yes
	backend := v.found.Backend.Answer == Yes && v.alone()
	switch {
	case v.template.ok && v.known(u):
		return true
	case u.Init: // it is over, and what it left behind is as it was
		return false
	case asFile(u):
		return application || backend && v.found.File.Answer == Yes
	}
	return application || backend
}

// known reports whether the Secret of u is one whose content the template's
// stamp speaks of.
func (v *verdict) known(u consumer.Use) bool {
	return u.Secret != "" && v.j.fed[place{v.Cluster, v.Namespace, u.Secret}] != nil
}

// alone reports whether one container only uses the credential: the backend
// sees an address, and cannot tell the containers behind it apart.
func (v *verdict) alone() bool {
	first, found := "", false
	for _, u := range v.Uses {
		switch {
		case u.Kind == consumer.UseImagePull, u.Init:
		case !found:
			first, found = u.Container, true
		case u.Container != first:
			return false
		}
	}
	return true
}

// reloads says what is missing of a way by which a running process can come to
// the new version.
func (v *verdict) reloads(u consumer.Use) { //nolint:cyclop // a flat list of ways
	if v.known(u) && v.restarts() {
		why, never := v.lacks(v1alpha1.EvidenceTemplate)
		v.missUse(u, why, never && !v.speaks())
		return
	}
	mounted := asFile(u)
	backend := v.sessions() && v.alone() && (!mounted || v.nodes())
	switch {
	case v.speaks():
		v.missUse(u, "the application has not said that it uses version "+v.j.Version+v.text(v.found.Application), false)
	case backend && mounted && v.found.File.Answer != Yes:
		why, never := v.lacks(v1alpha1.EvidenceFile)
		v.missUse(u, why, never)
	case backend:
		v.missUse(u, "the backend has not seen it on the new credential"+v.text(v.found.Backend), false)
	case v.found.File.Answer == Yes:
		v.missUse(u, "the file is new, but nothing shows that the process has read it: "+v.advice(), true)
	default:
		v.missUse(u, "nothing can show which version it uses: "+v.advice(), true)
	}
}

// lacks says why a kind of evidence is not there and what to do, and whether it
// cannot come by itself.
func (v *verdict) lacks(kind v1alpha1.EvidenceKind) (why string, never bool) { //nolint:cyclop // flat: a case after the other
	switch kind {
	case v1alpha1.EvidenceTemplate:
		return v.lacksTemplate()
	case v1alpha1.EvidenceFile:
		switch {
		case !v.mounts():
			return "File is required, but it mounts no file of the credential: take File out of spec.proof.pod, or mount a volume", true
		case v.Cluster != "":
			return "nodes of other clusters are not asked for their files: take File out of spec.proof.pod", true
		case v.sameFiles() != "":
			return v.sameFiles(), true
		case !v.nodes():
			return "the node cannot be asked for its files: install deploy/witness", true
		}
		return "the node has not shown the file of version " + v.j.Version + v.text(v.found.File), false
	case v1alpha1.EvidenceApplication:
		if v.Cluster != "" && !v.speaks() {
			return "endpoints in other clusters are not asked: let the application say it by the annotation " + AnnotationVersion, true
		}
		if !v.speaks() {
			return "the application cannot be asked: annotate its pods with " + AnnotationPath + " and " + AnnotationPort, true
		}
		return "the application has not said that it uses version " + v.j.Version + v.text(v.found.Application), false
	}
	if v.Cluster != "" {
		return "Backend is required, but the addresses of another cluster's pods say nothing here: take Backend out of spec.proof.pod", true
	}
	if !v.sessions() {
		return "Backend is required, but this kind of credential has no backend that sees sessions: take Backend out of spec.proof.pod", true
	}
	return "the backend has not seen it on the new credential" + v.text(v.found.Backend), false
}

func (v *verdict) lacksTemplate() (string, bool) {
	switch {
	case v.template.never:
		return v.template.why, true
	case !slices.ContainsFunc(v.Uses, v.known):
		return v.template.why + ": " + v.advice(), true
	case !v.confirmed():
		return v.template.why, false // and may have been restarted by then
	case v.restarts():
		return v.template.why + ", and waits for its restart", false
	}
	return v.template.why + "; " + v.restart(), true
}

// confirmed reports whether all Secrets of the pod hold the version.
func (v *verdict) confirmed() bool {
	return !slices.ContainsFunc(v.Uses, func(u consumer.Use) bool {
		fed := v.j.fed[place{v.Cluster, v.Namespace, u.Secret}]
		return u.Kind != consumer.UseImagePull && fed != nil && (fed.Version != v.j.Version || fed.Digest == "")
	})
}

// restarts reports whether the pod is going to be replaced without a person.
func (v *verdict) restarts() bool {
	switch w := v.j.workloads[v.Workload]; {
	case v.Workload == v.Object: // a bare pod
		return false
	case w == nil:
		return v.j.Method != v1alpha1.RolloutNone
	case w.Kind.Kind == "Job" || w.Kind.Kind == "CronJob": // it ends
		return true
	case v.j.Method == v1alpha1.RolloutNone || w.Reload == "none" || w.Reload == "signal":
		return false
	}
	return true // by the rollout, or by eviction
}

// restart says how a person has it replaced, so that it shows.
func (v *verdict) restart() string {
	if v.Workload == v.Object {
		return "it has no owner that makes it anew: delete it and create it again"
	}
	// A restart by a person would leave no trace of what the pod was started with.
	return "nobody restarts it: set spec.rollout.method to Template or Evict, and take strongkeep.io/reload off " + v.Workload.Kind.Kind + "/" + v.Workload.Name
}

// advice says how a pod that reloads by itself can be proven.
func (v *verdict) advice() string {
	return "let the application answer (annotation " + AnnotationPath + "), or let it be restarted (spec.rollout.method)"
}

// fixed reports whether a container of the pod keeps what it was started with.
func (v *verdict) fixed() bool {
	return slices.ContainsFunc(v.Uses, func(u consumer.Use) bool { return u.Init || u.Kind.Static() })
}

// mounts reports whether the kubelet keeps a file of the credential up to date.
func (v *verdict) mounts() bool {
	return slices.ContainsFunc(v.Uses, asFile)
}

func asFile(u consumer.Use) bool {
	return u.Kind == consumer.UseVolume || u.Kind == consumer.UseProjected || u.Kind == consumer.UseCSI
}

// speaks reports whether the application has a way to say what it uses. Endpoints
// of other clusters are not reached.
func (v *verdict) speaks() bool {
	return v.Annotations[AnnotationPath] != "" && v.Cluster == "" || v.Annotations[AnnotationVersion] != ""
}

// nodes and sessions report whether anybody can be asked about the pod: nobody can
// about one of another cluster.
func (v *verdict) nodes() bool    { return v.j.Nodes && v.Cluster == "" }
func (v *verdict) sessions() bool { return v.j.Backend && v.Cluster == "" }

func (v *verdict) missUse(u consumer.Use, why string, never bool) {
	v.miss(useText(u) + ": " + why)
	v.never = v.never || never
}

func (v *verdict) miss(why string) {
	switch {
	case v.missing == "":
		v.missing = why
	case !strings.Contains(v.missing, why):
		v.missing += "; " + why
	}
}
