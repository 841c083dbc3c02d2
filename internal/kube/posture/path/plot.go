package path

import (
	"sync"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// plot is what runs in one namespace. Nobody asks about most of them, so that each is
// indexed when it is first asked about.
type plot struct {
	all   []*Pod // in order
	index func() *index
}

// index finds the pods of a plot by names of its namespace.
type index struct {
	pods   map[string]*Pod
	run    map[string][]*Pod // by the ServiceAccounts they run as
	users  map[string][]*Pod // by the Secrets they use
	mapped map[string][]*Pod // by the ConfigMaps they use
}

// nowhere is a namespace in which nothing runs.
var nowhere = &plot{index: func() *index { return &index{} }}

// settle puts pods into their plots and onto their nodes.
func (f *Finder) settle(pods []Pod) {
	for i := range pods {
		p := &pods[i]
		at := f.plots[p.Namespace]
		if at == nil {
			at = &plot{}
			at.index = sync.OnceValue(func() *index { return indexed(at.all) })
			f.plots[p.Namespace] = at
		}
		at.all = append(at.all, p)
		if p.Lowered {
			f.lowly[Name{p.Namespace, p.Account}], f.lowered[p.Account] = true, true
		}
		if p.Node == "" {
			continue
		}
		on := f.hosts[p.Node]
		if on == nil {
			on = &host{}
			f.hosts[p.Node] = on
		}
		on.pods = append(on.pods, p)
	}
}

func indexed(pods []*Pod) *index {
	out := &index{pods: make(map[string]*Pod, len(pods)), run: map[string][]*Pod{}, users: map[string][]*Pod{}, mapped: map[string][]*Pod{}}
	for _, p := range pods {
		out.pods[p.Name.Name] = p
		out.run[p.Account] = append(out.run[p.Account], p)
		for _, name := range p.Secrets {
			out.users[name] = append(out.users[name], p)
		}
		for _, name := range p.ConfigMaps {
			out.mapped[name] = append(out.mapped[name], p)
		}
	}
	return out
}

// at is what runs in a namespace.
func (f *Finder) at(namespace string) *plot {
	if p := f.plots[namespace]; p != nil {
		return p
	}
	return nowhere
}

// pod is one by its name, or nil.
func (f *Finder) pod(n Name) *Pod { return f.at(n.Namespace).index().pods[n.Name] }

// running are the pods that run as a ServiceAccount.
func (f *Finder) running(account Name) []*Pod {
	return f.at(account.Namespace).index().run[account.Name]
}

// known reports whether there is a ServiceAccount, as far as a pod runs as it or a
// binding names it.
func (f *Finder) known(account Name) bool {
	return len(f.running(account)) > 0 || len(f.held()[access.ServiceAccount(account.Namespace, account.Name)]) > 0
}
