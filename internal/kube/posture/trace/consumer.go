package trace

import (
	"cmp"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// gathering gathers consumers, each once.
type gathering struct {
	list []*Consumer
	by   map[object]*Consumer
	pods map[*snapshot.Pod]bool
}

func (a *gathering) note(cluster string, ref snapshot.Ref, how string) *Consumer {
	c := a.by[object{cluster, ref}]
	if c == nil {
		c = &Consumer{Cluster: cluster, Object: ref}
		a.by[object{cluster, ref}] = c
		a.list = append(a.list, c)
	}
	if !slices.Contains(c.Uses, how) {
		c.Uses = append(c.Uses, how)
	}
	return c
}

// consumers are those that use the credential by any of its holders, in order.
func (c *Credential) consumers() []Consumer {
	a := &gathering{by: map[object]*Consumer{}, pods: map[*snapshot.Pod]bool{}}
	for _, h := range c.holders {
		switch {
		case h.past, h.ref.Kind == "File", h.ref.Kind == "Vault":
		case h.ref.Kind == "Secret", h.ref.Kind == "ConfigMap":
			c.users(a, h)
		default:
			literal := a.note(h.world.Name, h.ref, "stands in it: "+strings.Join(c.places(h), ", "))
			for _, p := range h.world.run[h.ref] {
				a.pod(literal, p)
			}
		}
	}
	out := make([]Consumer, len(a.list))
	for i, one := range a.list {
		out[i] = *one
	}
	slices.SortFunc(out, func(a, b Consumer) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Object.String(), b.Object.String()))
	})
	return out
}

// pod counts one, once, if it runs.
func (a *gathering) pod(c *Consumer, p *snapshot.Pod) {
	if !a.pods[p] && p.Phase != "" {
		a.pods[p] = true
		c.Pods++
	}
}

// users are those of a Secret or ConfigMap that use the keys which hold c.
func (c *Credential) users(a *gathering, h *holder) {
	w, keys := h.world, c.keys(h)
	for _, u := range w.workloads[h.ref] {
		if takes(u.use, keys) {
			a.note(w.Name, snapshot.Ref{Group: u.by.Group, Kind: u.by.Kind, Namespace: u.by.Namespace, Name: u.by.Name}, describe(u.use, h.ref))
		}
	}
	for _, u := range w.pods[h.ref] {
		if takes(u.use, keys) {
			ref := u.pod.Workload
			if ref.Name == "" {
				ref = snapshot.Ref{Kind: "Pod", Namespace: u.pod.Namespace, Name: u.pod.Name}
			}
			a.pod(a.note(w.Name, ref, describe(u.use, h.ref)), u.pod)
		}
	}
	for _, u := range w.uses[h.ref] {
		if u.Key == "" || len(keys) == 0 || slices.Contains(keys, u.Key) {
			a.note(w.Name, u.From, u.Field+" of "+h.ref.String())
		}
	}
	for _, s := range w.takers[h.ref] {
		a.note(w.Name, snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}, "takes "+h.ref.String())
	}
}

// takes reports whether a use is of one of keys; if these are not known, of any.
func takes(u *consumer.Use, keys []string) bool {
	switch {
	case len(keys) == 0:
		return true
	case u.Key != "":
		return slices.Contains(keys, u.Key)
	case len(u.Items) > 0:
		return slices.ContainsFunc(keys, func(k string) bool { _, ok := u.Items[k]; return ok })
	}
	return true
}

func describe(u *consumer.Use, of snapshot.Ref) string {
	how := string(u.Kind)
	if u.Where != "" {
		how += " " + u.Where
	}
	if u.Container != "" {
		how += " in " + u.Container
	}
	return how + " of " + of.String()
}

// Target is where a credential is pushed to.
type Target struct {
	Cluster string            `json:"cluster,omitempty"`
	By      snapshot.Ref      `json:"by"`
	Store   string            `json:"store,omitempty"`
	Remote  []snapshot.Remote `json:"remote,omitempty"`
}

// targets are the stores that c is pushed to.
func (c *Credential) targets() []Target {
	var out []Target
	for _, h := range c.holders {
		for _, s := range h.world.takers[h.ref] {
			if len(s.Remote) > 0 {
				o := h.world.origins.Made(s)
				out = append(out, Target{Cluster: h.world.Name, By: o.By, Store: o.Store, Remote: s.Remote})
			}
		}
	}
	return out
}

// Rotation is what changes a credential regularly.
type Rotation struct {
	By snapshot.Ref `json:"by"`
	// Seconds between two turns; 0 if it does not say.
	Seconds int64 `json:"seconds,omitempty"`
	// Proven says that the last turn was shown to have reached everybody; nil if
	// that is not known.
	Proven *bool  `json:"proven,omitempty"`
	Ready  string `json:"ready,omitempty"`
}

// rotation finds what rotates c: what changes a holder, or the place in a store
// that a holder is made of.
func (c *Credential) rotation() *Rotation {
	for _, h := range c.holders {
		w := h.world
		about := slices.Concat(w.takers[h.ref], w.origins.Makers(h.ref))
		for _, s := range about {
			if s.Rotates > 0 || s.Kind == "Rotation" {
				return turns(s)
			}
		}
		for _, made := range w.origins.Makers(h.ref) {
			for i := range w.Sources {
				if s := &w.Sources[i]; (s.Rotates > 0 || s.Kind == "Rotation") && sameRemote(s, made, c.keys(h)) {
					return turns(s)
				}
			}
		}
	}
	return nil
}

func turns(s *snapshot.Source) *Rotation {
	return &Rotation{By: snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}, Seconds: int64(s.Rotates.Seconds()), Proven: s.Proven, Ready: s.Ready}
}

// sameRemote reports whether two sources name one place of a store, of which one of
// keys is made.
func sameRemote(a, b *snapshot.Source, keys []string) bool {
	return slices.ContainsFunc(b.Remote, func(r snapshot.Remote) bool {
		return (r.Key == "" || len(keys) == 0 || slices.Contains(keys, r.Key)) && slices.ContainsFunc(a.Remote, func(o snapshot.Remote) bool {
			return strings.Trim(o.Path, "/") == strings.Trim(r.Path, "/") && (o.Property == "" || r.Property == "" || o.Property == r.Property)
		})
	})
}
