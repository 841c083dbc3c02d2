package trace

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Credential is one credential, or several that are at the same places throughout.
type Credential struct {
	graph *Graph
	// prints tell it; none of a Secret whose values were not read, or are all weak.
	prints  []fingerprint.Print
	holders []*holder
}

// Copy is an object that holds a credential.
type Copy struct {
	Cluster string       `json:"cluster,omitempty"`
	Object  snapshot.Ref `json:"object"`
	// Places are the fields of it: `data.url#password`.
	Places []string      `json:"places,omitempty"`
	Origin origin.Origin `json:"origin"`
	// Age is of the value in this object; see Age.
	Age Age `json:"age,omitzero"`
	// Writer is who last wrote its content, as managedFields say.
	Writer string `json:"writer,omitempty"`
	// Release is the Helm release whose history this is, as name and revision.
	Release string `json:"release,omitempty"`
	// Present says, of a File, that the newest commit has it.
	Present bool `json:"present,omitempty"`
}

// Age is how old a value is. Since is zero if nothing is known; AtMost says that it
// may be younger: the object is as old, and nothing says when its data changed.
type Age struct {
	Since  time.Time `json:"since,omitzero"`
	AtMost bool      `json:"atMost,omitempty"`
}

// ID is the same as long as the credential's value and the key of fingerprints
// are, and says nothing of the value.
func (c *Credential) ID() string {
	if len(c.prints) == 0 {
		h := c.holders[0]
		return strings.TrimPrefix(h.world.Name+"/"+name(h.ref).String(), "/")
	}
	least := slices.MinFunc(c.prints, func(a, b fingerprint.Print) int { return slices.Compare(a[:], b[:]) })
	return hex.EncodeToString(least[:6])
}

// Known reports whether its copies are known: its values were read and are not
// all so weak that equal ones need not be copies.
func (c *Credential) Known() bool { return len(c.prints) > 0 }

// keys are the keys of a Secret's or ConfigMap's data that hold it, in order.
func (c *Credential) keys(h *holder) []string {
	var out []string
	for i := range h.values {
		v := &h.values[i]
		key, ok := dataKey(v.Field)
		if ok && slices.ContainsFunc(v.Prints, c.has) {
			out = append(out, key)
		}
	}
	return out
}

func (c *Credential) has(p fingerprint.Part) bool { return slices.Contains(c.prints, p.Print) }

// places are the fields of h that hold it, each once.
func (c *Credential) places(h *holder) []string {
	var out []string
	for i := range h.values {
		v := &h.values[i]
		for _, p := range v.Prints {
			if !c.has(p) {
				continue
			}
			at := v.Field + p.Where
			if whole(p.Where) {
				at = v.Field
			}
			if !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out
}

// Holders are the objects that hold it, in the order of the snapshots.
func (c *Credential) Holders() []snapshot.Ref {
	out := make([]snapshot.Ref, len(c.holders))
	for i, h := range c.holders {
		out[i] = h.ref
	}
	return out
}

// first is the holder that the others are copies of: Secrets before others, by what
// makes it, those where it is all of a value, those that hold little else, the oldest.
func (c *Credential) first() *holder {
	return slices.MinFunc(c.holders, func(a, b *holder) int {
		x, y := a.origin(), b.origin()
		return cmp.Or(
			cmp.Compare(kinds(a), kinds(b)), cmp.Compare(x.Kind.Rank(), y.Kind.Rank()), cmp.Compare(c.parts(a), c.parts(b)), cmp.Compare(len(a.found), len(b.found)),
			older(a.age().Since, b.age().Since), cmp.Compare(a.ref.String(), b.ref.String()))
	})
}

// older compares times; those that are not known come last.
func older(a, b time.Time) int {
	if a.IsZero() || b.IsZero() {
		return cmp.Compare(b2i(a.IsZero()), b2i(b.IsZero()))
	}
	return a.Compare(b)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// parts is 0 if c is the whole of a value of h, else 1.
func (c *Credential) parts(h *holder) int {
	return b2i(!slices.ContainsFunc(h.values, func(v snapshot.Value) bool {
		return slices.ContainsFunc(v.Prints, func(p fingerprint.Part) bool { return whole(p.Where) && c.has(p) })
	}))
}

// Keys are the keys of a Secret or ConfigMap that hold c; none if it does not.
func (c *Credential) Keys(cluster string, ref snapshot.Ref) []string {
	if h := c.graph.byObject[object{cluster, ref}]; h != nil {
		return c.keys(h)
	}
	return nil
}

// kinds puts what is made to hold credentials before where they only got to.
func kinds(h *holder) int {
	switch {
	case h.ref.Kind == "Secret" && h.secret != nil && h.secret.Release == nil:
		return 0
	case h.ref.Kind == "Vault":
		return 1
	}
	return 2
}

func (h *holder) age() Age {
	if !h.changed.IsZero() {
		return Age{Since: h.changed}
	}
	if h.meta != nil && !h.meta.Created.IsZero() {
		return Age{Since: h.meta.Created, AtMost: true}
	}
	return Age{}
}

// age is that of the value: as old as the oldest copy whose time is known.
func (c *Credential) age() Age {
	var out Age
	for _, h := range c.holders {
		a := h.age()
		switch {
		case a.Since.IsZero():
		case out.Since.IsZero(), out.AtMost && !a.AtMost, out.AtMost == a.AtMost && a.Since.Before(out.Since):
			out = a
		}
	}
	return out
}

// origin is where the content of h comes from.
func (h *holder) origin() origin.Origin {
	o := origin.Object{Ref: h.ref, Meta: h.meta}
	if h.secret != nil {
		o.Type, o.Account, o.Release = h.secret.Type, h.secret.Account, h.secret.Release
	}
	return h.world.origins.Of(o)
}

func (h *holder) writer() string { return origin.Writer(h.meta) }

func revision(r *snapshot.Release) string { return fmt.Sprintf("%s revision %d", r.Name, r.Revision) }

// copyOf is what is told of one holder.
func (c *Credential) copyOf(h *holder) Copy {
	out := Copy{Cluster: h.world.Name, Object: h.ref, Places: c.places(h), Origin: h.origin(), Age: h.age(), Writer: h.writer()}
	if h.secret != nil && h.secret.Release != nil {
		out.Release = revision(h.secret.Release)
	}
	if h.leak != nil {
		out.Present = h.leak.Present
	}
	return out
}

// Copies returns the function that package path asks: the objects of the same
// cluster that hold a value of a Secret too.
func (g *Graph) Copies(cluster string) func(path.Name) []path.Copy {
	return func(secret path.Name) []path.Copy {
		h := g.byObject[object{cluster, snapshot.Ref{Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name}}]
		if h == nil {
			return nil
		}
		var out []path.Copy
		for _, c := range h.found {
			for _, other := range c.holders {
				if other != h && other.world == h.world {
					out = append(out, other.paths()...)
				}
			}
		}
		slices.SortFunc(out, func(a, b path.Copy) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name.Name, b.Name.Name))
		})
		return slices.CompactFunc(out, func(a, b path.Copy) bool { return a == b })
	}
}

// resources are those of the kinds of holders, by API group and kind. Others have kinds of
// the same names.
var resources = map[[2]string]string{
	{"", "Secret"}: "secrets", {"", "ConfigMap"}: "configmaps", {"", "Pod"}: "pods", {"", "ReplicationController"}: "replicationcontrollers",
	{"apps", "Deployment"}: "deployments", {"apps", "StatefulSet"}: "statefulsets", {"apps", "DaemonSet"}: "daemonsets", {"apps", "ReplicaSet"}: "replicasets",
	{"apps", "ControllerRevision"}: "controllerrevisions", {"batch", "Job"}: "jobs", {"batch", "CronJob"}: "cronjobs", {"argoproj.io", "Rollout"}: "rollouts",
}

// paths is h as package path sees it: a workload's literals are in its pods too.
func (h *holder) paths() []path.Copy {
	resource := h.resource
	if resource == "" {
		resource = resources[[2]string{h.ref.Group, h.ref.Kind}]
	}
	if resource == "" {
		return nil
	}
	out := []path.Copy{{Group: h.ref.Group, Resource: resource, Kind: h.ref.Kind, Name: name(h.ref)}}
	for _, p := range h.world.run[h.ref] {
		if p.Name != h.ref.Name || h.ref.Kind != "Pod" {
			out = append(out, path.Copy{Resource: "pods", Kind: "Pod", Name: path.Name{Namespace: p.Namespace, Name: p.Name}})
		}
	}
	return out
}
