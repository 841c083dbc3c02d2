package path

import (
	"slices"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// deputy is the operator of a kind of object, which acts for whoever writes one.
type deputy struct {
	// accounts are the names of the ServiceAccounts that its controllers run as.
	// With DeputyActs whoever writes the object has them do what they may.
	accounts []string
	// home says that only objects in the controller's own namespace are looked at,
	// or, of objects in no namespace, that Secrets are taken from there.
	home bool
	// projects says that AppProjects limit what it does, and for whom.
	projects bool
	// named says that it acts as a ServiceAccount beside the object instead, if its
	// flags say so (Pod.Lowered).
	named bool
}

const stores = "external-secrets.io"

// deputies is the table of operators that act for whoever writes their objects. A
// line counts if the cluster has the kind.
var deputies = []row{
	// The External Secrets Operator, and ours.
	{kind: WriteStores, group: stores, resource: "secretstores"},
	{kind: WriteStores, group: stores, resource: "clustersecretstores", cluster: true},
	{kind: PushSecrets, group: stores, resource: "pushsecrets"},
	{kind: PushSecrets, group: stores, resource: "clusterpushsecrets", cluster: true},
	{kind: FetchSecrets, group: stores, resource: "externalsecrets"},
	{kind: FetchSecrets, group: stores, resource: "clusterexternalsecrets", cluster: true},
	// An issuer logs in to a server of its writer's choice with a Secret beside it;
	// a ClusterIssuer with one of cert-manager's namespace.
	{kind: DeputySends, group: "cert-manager.io", resource: "issuers"},
	{kind: DeputySends, group: "cert-manager.io", resource: "clusterissuers", cluster: true, deputy: &deputy{accounts: []string{"cert-manager"}, home: true}},
	// Flux fetches from, and tells, servers of the writer's choice, with a Secret beside the object…
	{kind: DeputySends, group: "source.toolkit.fluxcd.io", resource: "gitrepositories"},
	{kind: DeputySends, group: "source.toolkit.fluxcd.io", resource: "helmrepositories"},
	{kind: DeputySends, group: "source.toolkit.fluxcd.io", resource: "ocirepositories"},
	{kind: DeputySends, group: "source.toolkit.fluxcd.io", resource: "buckets"},
	{kind: DeputySends, group: "notification.toolkit.fluxcd.io", resource: "providers"},
	{kind: DeputySends, group: "image.toolkit.fluxcd.io", resource: "imagerepositories"},
	// …and puts values of one into what it applies, with all its rights.
	{kind: DeputySends, group: "kustomize.toolkit.fluxcd.io", resource: "kustomizations"},
	{kind: DeputySends, group: "helm.toolkit.fluxcd.io", resource: "helmreleases"},
	{kind: DeputyActs, group: "kustomize.toolkit.fluxcd.io", resource: "kustomizations", deputy: &deputy{accounts: []string{"kustomize-controller"}, named: true}},
	{kind: DeputyActs, group: "helm.toolkit.fluxcd.io", resource: "helmreleases", deputy: &deputy{accounts: []string{"helm-controller"}, named: true}},
	// Argo CD applies what a repository of the writer's choice says.
	{kind: DeputyActs, group: "argoproj.io", resource: "applications", deputy: &deputy{accounts: []string{"argocd-application-controller"}, home: true, projects: true}},
	{kind: DeputyActs, group: "argoproj.io", resource: "applicationsets", deputy: &deputy{accounts: []string{"argocd-application-controller", "argocd-applicationset-controller"}, home: true, projects: true}},
	// Kyverno clones objects by generate rules and reads them by apiCall.
	{kind: DeputyActs, group: "kyverno.io", resource: "clusterpolicies", cluster: true, deputy: &deputy{accounts: []string{"kyverno-background-controller", "kyverno-admission-controller", "kyverno"}}},
	{kind: DeputyActs, group: "kyverno.io", resource: "globalcontextentries", cluster: true, deputy: &deputy{accounts: []string{"kyverno-background-controller", "kyverno-admission-controller", "kyverno"}}},
	{kind: DeputyActs, group: "policies.kyverno.io", resource: "generatingpolicies", cluster: true, deputy: &deputy{accounts: []string{"kyverno-background-controller", "kyverno-admission-controller", "kyverno"}}},
	// Velero writes into another namespace what a backup has, and a backup to a place of the writer's choice.
	{kind: DeputyActs, group: "velero.io", resource: "restores", deputy: &deputy{accounts: []string{"velero", "velero-server"}, home: true}},
	{kind: DeputyActs, group: "velero.io", resource: "backups", deputy: &deputy{accounts: []string{"velero", "velero-server"}, home: true}},
	{kind: DeputyActs, group: "velero.io", resource: "schedules", deputy: &deputy{accounts: []string{"velero", "velero-server"}, home: true}},
	// Scraped servers are logged in to with a Secret beside the monitor.
	{kind: DeputySends, group: "monitoring.coreos.com", resource: "servicemonitors"},
	{kind: DeputySends, group: "monitoring.coreos.com", resource: "podmonitors"},
	{kind: DeputySends, group: "monitoring.coreos.com", resource: "probes"},
	{kind: DeputySends, group: "monitoring.coreos.com", resource: "scrapeconfigs"},
	{kind: DeputySends, group: "monitoring.coreos.com", resource: "alertmanagerconfigs"},
	{kind: DeputySends, group: "keda.sh", resource: "triggerauthentications"},
	{kind: DeputySends, group: "secrets.hashicorp.com", resource: "vaultauths"},
}

// acting returns the rows of deputies that the cluster has.
func acting(serves func(group, resource string) bool) []row {
	var out []row
	for i := range deputies {
		r := deputies[i]
		probe := r.resource
		if r.group == stores {
			probe = "secretstores" // they come together
		}
		if serves(r.group, probe) {
			r.verbs = write
			out = append(out, r)
		}
	}
	// Who makes or changes a Secret may have a replicator fill it.
	return append(out,
		row{kind: MirrorSecrets, verbs: []string{"create"}, resource: "secrets", nameless: true},
		row{kind: MirrorSecrets, verbs: change, resource: "secrets"})
}

// Offer is a way in which an operator hands the value of a Secret to whoever writes
// an object that asks for it.
type Offer struct {
	// Kind is FetchSecrets, for ExternalSecrets of the store that the value comes
	// from, or MirrorSecrets, for Secrets that ask a replicator.
	Kind Kind
	// On says by what: "ClusterSecretStore vault".
	On string
	// To reports whether objects of a namespace are served.
	To func(namespace string) bool
}

// sent finds those whose objects make an operator send the Secret somewhere.
func (s *search) sent(t *target) {
	sends := func(c *Capability) bool {
		return c.Kind == DeputySends && (c.deputy == nil || slices.ContainsFunc(c.deputy.accounts, func(name string) bool { return s.known(Name{t.Namespace, name}) }))
	}
	for c := range s.in(DeputySends, t.Namespace) {
		if sends(c) {
			s.reach(c, t.place(), nil, nil)
		}
	}
	s.everywhere(func(_ *access.Role, c *Capability) bool {
		return c.cluster && (sends(c) || c.Kind == WriteStores || c.Kind == PushSecrets)
	}, nil)
}

// Project limits what an operator does for whoever writes objects: an AppProject of
// Argo CD. An operator beside which no Project is known does everything.
type Project struct {
	// Namespace is that of the operator, and of the Project.
	Namespace string
	// From reports whether objects of another namespace may be of it; To whether it
	// writes to a namespace what gives Secrets there.
	From, To func(namespace string) bool
}

// acted finds those for whom an operator acts that runs as a ServiceAccount, or that
// is told to act as it.
func (s *search) acted(who access.Subject, n *node) {
	for _, c := range s.acts[who.Name] {
		if s.acting(c, who, n) {
			s.reach(c, who.String(), n, nil)
		}
	}
	s.everywhere(func(_ *access.Role, c *Capability) bool { return s.deputises(c, who, n) }, n)
	s.asked(who, n)
	for c := range s.in(DeputyActs, who.Namespace) {
		if c.deputy.named && slices.ContainsFunc(c.deputy.accounts, func(name string) bool { return s.lowered[name] }) {
			s.reach(c, who.String(), n, nil)
		}
	}
}

// asked finds those who can give themselves, in a namespace other than who's, the right
// to have who act for them as an operator.
func (s *search) asked(who access.Subject, n *node) {
	if !slices.ContainsFunc(s.rows.all, func(r row) bool { return r.kind == DeputyActs && slices.Contains(r.deputy.accounts, who.Name) }) {
		return
	}
	for _, ns := range s.everyNamespace() {
		acts := func(d *deputy) bool {
			return s.deputises(&Capability{Kind: DeputyActs, Namespace: ns, deputy: d}, who, n)
		}
		if ns != "" && ns != who.Namespace && slices.ContainsFunc(s.rows.all, func(r row) bool { return r.kind == DeputyActs && !r.cluster && acts(r.deputy) }) {
			s.owners(ns, func(_ *access.Role, c *Capability) bool { return c.Kind == DeputyActs && acts(c.deputy) }, n)
		}
	}
}

// deputises reports whether c, bound where who is or everywhere, has who act as an operator.
func (s *search) deputises(c *Capability, who access.Subject, n *node) bool {
	return c.Kind == DeputyActs && slices.Contains(c.deputy.accounts, who.Name) && s.acting(c, who, n)
}

// acting reports whether who, as an operator, does what n does for those with c.
func (s *search) acting(c *Capability, who access.Subject, n *node) bool {
	home := !c.deputy.home || c.Namespace == "" || c.Namespace == who.Namespace
	if c.deputy.named && s.lowly[Name{who.Namespace, who.Name}] {
		return false
	}
	projects := s.projects[who.Namespace]
	if !c.deputy.projects || len(projects) == 0 {
		return home
	}
	return slices.ContainsFunc(projects, func(p *Project) bool { return (home || p.From(c.Namespace)) && p.To(n.place) })
}

// offered finds those to whom an operator hands the Secret's value.
func (s *search) offered(offers []Offer) {
	for i := range offers {
		o := &offers[i]
		for _, c := range s.all[o.Kind] {
			if c.Namespace == "" {
				s.reach(c, o.On, nil, func(who access.Subject) bool { return s.somewhere(who, o.To) })
			} else if o.To(c.Namespace) {
				s.reach(c, o.On, nil, func(who access.Subject) bool { return s.obtains(who, c.Namespace) })
			}
		}
	}
}

// somewhere reports whether who gets at Secrets of a namespace that is served.
func (s *search) somewhere(who access.Subject, to func(string) bool) bool {
	return slices.ContainsFunc(s.held()[who], func(b *access.Binding) bool {
		return b.Namespace != "" && to(b.Namespace) && s.obtains(who, b.Namespace)
	})
}

// obtains reports whether who gets at a Secret of ns whose name they choose.
func (s *search) obtains(who access.Subject, ns string) bool {
	return s.any(who, access.Request{Resource: "secrets", Namespace: ns}, "list", "watch") || s.anyNamed(who, ns) ||
		s.any(who, access.Request{Resource: "pods", Namespace: ns}, "create") || s.any(who, access.Request{Group: "apps", Resource: "deployments", Namespace: ns}, "create")
}

// applied finds those who create pods of given names, by server-side apply, which
// takes create and patch of the name. A pod that exists is not created: only who may
// delete it as well has the name for theirs.
func (s *search) applied(kind Kind, resource, ns, on string, next *node) {
	for c := range s.in(kind, ns) {
		s.reach(c, on, next, func(who access.Subject) bool { return s.applies(who, c, resource, ns) })
	}
}

// applies reports whether who, a subject of c, creates one of the names of c in ns.
func (f *Finder) applies(who access.Subject, c *Capability, resource, ns string) bool {
	return slices.ContainsFunc(c.Names, func(name string) bool {
		r := access.Request{Resource: resource, Namespace: ns, Name: name}
		return f.any(who, r, "patch") && (!f.exists(resource, Name{ns, name}) || f.any(who, r, "delete"))
	})
}

func (f *Finder) exists(resource string, n Name) bool {
	if resource == "pods" {
		return f.pod(n) != nil
	}
	return f.secrets != nil && f.secrets(n)
}
