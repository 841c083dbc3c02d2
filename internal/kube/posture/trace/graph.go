package trace

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Cluster is one snapshot, under a name that people know it by; "" if there is only one.
type Cluster struct {
	Name string
	*snapshot.Snapshot
}

// Config is what New needs.
type Config struct {
	// Clusters have different names, and snapshots of the same key.
	Clusters []Cluster
	Labels   Labels
	Now      time.Time
}

// Graph is what was found of all credentials. It is immutable but for AddVault,
// and may be used by any number of goroutines after that.
type Graph struct {
	labels      Labels
	now         time.Time
	clusters    []*world
	holders     []*holder
	byObject    map[object]*holder
	credentials []*Credential
}

// holder is an object that holds values.
type holder struct {
	world  *world
	ref    snapshot.Ref
	meta   *snapshot.Meta // nil of a file
	values []snapshot.Value
	// changed is when its values last did, zero if nothing says so.
	changed time.Time
	secret  *snapshot.Secret
	// resource is that of a custom resource, as RBAC calls it.
	resource string
	leak     *snapshot.Leak
	past     bool // a template that is not in force any more
	// found are the credentials that it holds.
	found []*Credential
}

// object names a holder.
type object struct {
	cluster string
	snapshot.Ref
}

// New looks through the snapshots once.
func New(c Config) (*Graph, error) {
	g := &Graph{labels: c.Labels.orDefault(), now: c.Now, byObject: map[object]*holder{}}
	names := map[string]bool{}
	for _, one := range c.Clusters {
		if names[one.Name] {
			return nil, errs.Newf(errs.Invalid, "two snapshots are called %q: give each its own name", one.Name)
		}
		names[one.Name] = true
		if first := c.Clusters[0].Key; one.Key != first {
			return nil, errs.Newf(errs.Invalid, "the snapshots %q and %q have fingerprints of different keys, which cannot be compared: make both with the same -key-file", c.Clusters[0].Name, one.Name)
		}
		w := newWorld(one)
		g.clusters = append(g.clusters, w)
		g.hold(w)
	}
	g.group()
	return g, nil
}

// hold gathers the holders of a cluster.
func (g *Graph) hold(w *world) {
	for i := range w.Secrets {
		s := &w.Secrets[i]
		g.add(&holder{world: w, ref: snapshot.Ref{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}, meta: &s.Meta, values: s.Values, changed: s.Changed, secret: s})
	}
	for i := range w.ConfigMaps {
		m := &w.ConfigMaps[i]
		g.add(&holder{world: w, ref: snapshot.Ref{Kind: "ConfigMap", Namespace: m.Namespace, Name: m.Name}, meta: &m.Meta, values: m.Values, changed: m.Changed})
	}
	for i := range w.Workloads {
		o := &w.Workloads[i]
		g.add(&holder{world: w, ref: snapshot.Ref{Group: o.Group, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, meta: &o.Meta, values: o.Template.Values})
	}
	for i := range w.Pods {
		p := &w.Pods[i]
		if owner := g.byObject[object{w.Name, p.Workload}]; len(p.Values) > 0 && (owner == nil || !snapshot.Holds(owner.values, p.Values)) {
			g.add(&holder{world: w, ref: snapshot.Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}, meta: &p.Meta, values: p.Values})
		}
	}
	for i := range w.Revisions {
		o := &w.Revisions[i]
		g.add(&holder{world: w, ref: snapshot.Ref{Group: o.Group, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, meta: &o.Meta, values: o.Template.Values, past: true})
	}
	for i := range w.Objects {
		o := &w.Objects[i]
		g.add(&holder{world: w, ref: snapshot.Ref{Group: o.Group, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, meta: &o.Meta, values: o.Values, resource: o.Resource})
	}
	for i := range w.Repos {
		for j := range w.Repos[i].Leaks {
			l := &w.Repos[i].Leaks[j]
			g.leak(w, w.Repos[i].Place, l)
		}
	}
}

func (g *Graph) add(h *holder) *holder {
	g.holders = append(g.holders, h)
	g.byObject[object{h.world.Name, h.ref}] = h
	return h
}

// leak adds a value to the file that it is in. Several commits of a file are one.
func (g *Graph) leak(w *world, place string, l *snapshot.Leak) {
	ref := snapshot.Ref{Kind: "File", Name: strings.TrimSuffix(place, "/") + "/" + l.File}
	h := g.byObject[object{w.Name, ref}]
	if h == nil {
		h = g.add(&holder{world: w, ref: ref, leak: l})
	}
	v := l.Value
	v.Field = fmt.Sprintf("line %d", l.Line)
	if l.Commit != "" {
		v.Field += " of commit " + l.Commit[:min(12, len(l.Commit))]
	}
	h.values = append(h.values, v)
}

// AddVault adds what a vault was read to hold at a path: prints of the same key, by
// field. It is called before anything is asked, and by one goroutine.
func (g *Graph) AddVault(at string, values []snapshot.Value) {
	if len(g.clusters) == 0 {
		return
	}
	g.add(&holder{world: g.clusters[0], ref: snapshot.Ref{Kind: "Vault", Name: at}, values: values})
	for _, h := range g.holders {
		h.found = nil
	}
	g.credentials = nil
	g.group()
}

// mark is what is known of a print in the course of grouping.
type mark struct {
	tells, container bool
	at               []int32 // indexes of holders, ascending, each once
}

// group finds the credentials: prints that tell and contain none, together if they
// are at the same places.
func (g *Graph) group() {
	marks := map[fingerprint.Print]*mark{}
	g.each(func(_ int, h *holder, v *snapshot.Value, p *fingerprint.Part) {
		m := marks[p.Print]
		if m == nil {
			m = &mark{}
			marks[p.Print] = m
		}
		m.tells = m.tells || telling(h, v, p)
	})
	for _, h := range g.holders {
		for i := range h.values {
			contain(&h.values[i], marks)
		}
	}
	g.gather(marks)
	for i, h := range g.holders {
		if h.secret != nil && len(h.found) == 0 {
			g.credential([]int32{int32(i)})
		}
	}
}

// gather makes the credentials of what is marked.
func (g *Graph) gather(marks map[fingerprint.Print]*mark) {
	var order []fingerprint.Print
	g.each(func(i int, _ *holder, _ *snapshot.Value, p *fingerprint.Part) {
		m := marks[p.Print]
		if !m.tells || m.container {
			return
		}
		if len(m.at) == 0 {
			order = append(order, p.Print)
		}
		if len(m.at) == 0 || m.at[len(m.at)-1] != int32(i) {
			m.at = append(m.at, int32(i))
		}
	})
	together := map[string]*Credential{}
	for _, p := range order {
		at := marks[p].at
		key := fmt.Sprint(at)
		c := together[key]
		if c == nil {
			c = g.credential(at)
			together[key] = c
		}
		c.prints = append(c.prints, p)
	}
}

// each calls f with every print of every value.
func (g *Graph) each(f func(i int, h *holder, v *snapshot.Value, p *fingerprint.Part)) {
	for i, h := range g.holders {
		for j := range h.values {
			v := &h.values[j]
			if _, packed := dataKey(v.Field); packed && h.secret != nil && h.secret.Release != nil {
				continue // what is in it is below release
			}
			for k := range v.Prints {
				f(i, h, v, &v.Prints[k])
			}
		}
	}
}

// contain marks the parts of v in which others are that tell.
func contain(v *snapshot.Value, marks map[fingerprint.Print]*mark) {
	for i := range v.Prints {
		inner := &v.Prints[i]
		if m := marks[inner.Print]; m == nil || !m.tells {
			continue
		}
		for j := range v.Prints {
			if outer := &v.Prints[j]; i != j && within(outer.Where, inner.Where, i > j) {
				if m := marks[outer.Print]; m != nil {
					m.container = true
				}
			}
		}
	}
}

func (g *Graph) credential(at []int32) *Credential {
	c := &Credential{graph: g}
	for _, i := range at {
		h := g.holders[i]
		c.holders = append(c.holders, h)
		h.found = append(h.found, c)
	}
	g.credentials = append(g.credentials, c)
	return c
}

// Credentials returns all, in the order of the first object that holds each:
// Secrets first. Not to be changed.
func (g *Graph) Credentials() []*Credential { return g.credentials }

// Of returns the credentials of an object, "" for the only cluster; false if the
// snapshots do not have it.
func (g *Graph) Of(cluster string, ref snapshot.Ref) ([]*Credential, bool) {
	h := g.byObject[object{cluster, ref}]
	if h == nil {
		return nil, false
	}
	return h.found, true
}

// OfVault returns the credentials that a path of a vault, or of another store, is
// known to be the source or the target of, by what names it.
func (g *Graph) OfVault(at string) []*Credential {
	var out []*Credential
	keep := func(list []*Credential) {
		for _, c := range list {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	if h := g.byObject[object{g.first(), snapshot.Ref{Kind: "Vault", Name: at}}]; h != nil {
		keep(h.found)
	}
	for _, w := range g.clusters {
		for i := range w.Sources {
			src := &w.Sources[i]
			for _, r := range src.Remote {
				if !samePath(r.Path, at, w.mount(src)) {
					continue
				}
				for _, made := range slices.Concat(src.Makes, src.Reads) {
					if h := g.byObject[object{w.Name, made}]; h != nil {
						keep(withKey(h, r.Key))
					}
				}
			}
		}
	}
	return out
}

func (g *Graph) first() string {
	if len(g.clusters) == 0 {
		return ""
	}
	return g.clusters[0].Name
}

// withKey returns the credentials of a Secret that are in a key of it; all for "".
func withKey(h *holder, key string) []*Credential {
	if key == "" {
		return h.found
	}
	var out []*Credential
	for _, c := range h.found {
		if slices.Contains(c.keys(h), key) {
			out = append(out, c)
		}
	}
	return out
}

// samePath reports whether a store's path is at, which may have the mount, and the
// data/ of KV version 2, in front.
func samePath(remote, at, mount string) bool {
	remote, at, mount = strings.Trim(remote, "/"), strings.Trim(at, "/"), strings.Trim(mount, "/")
	if remote == at {
		return true
	}
	if mount == "" {
		return false
	}
	bare := func(p string) string {
		if rest, ok := strings.CutPrefix(p, mount+"/"); ok {
			return strings.TrimPrefix(rest, "data/")
		}
		return p
	}
	return bare(remote) == bare(at)
}

// name is a Secret's as package path has it.
func name(r snapshot.Ref) path.Name { return path.Name{Namespace: r.Namespace, Name: r.Name} }
