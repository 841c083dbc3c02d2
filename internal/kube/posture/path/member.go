package path

import (
	"maps"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// everybody are groups that all or nearly all belong to: to become a member of
// one is nothing.
var everybody = []string{access.Authenticated, access.Unauthenticated}

func (s *search) becomeMember(who access.Subject, n *node) {
	if slices.Contains(everybody, who.Name) {
		return
	}
	for _, ns := range s.membership(who.Name) {
		s.becomeRobot(ns, who, n)
	}
	// A group is impersonated together with a user or a ServiceAccount.
	for c := range s.in(ImpersonateGroup, "") {
		if c.reaches("", who.Name) {
			s.reach(c, who.String(), n, s.impersonates)
		}
	}
	for c := range s.in(BorrowGroup, "") {
		if c.reaches("", who.Name) {
			s.borrow(c, "user-info", n)
		}
	}
	if who.Name == access.Masters {
		s.mapped(n)
	} else {
		s.sign(who, n)
	}
	s.everywhere(func(r *access.Role, c *Capability) bool {
		return c.Kind == ImpersonateGroup && c.reaches("", who.Name) && s.gets(r, ImpersonateUser, ImpersonateRobot)
	}, n)
}

// membership are the namespaces whose ServiceAccounts are members of a group.
func (s *search) membership(group string) []string {
	if group == access.ServiceAccounts {
		return s.everyNamespace()
	}
	if ns, ok := strings.CutPrefix(group, access.ServiceAccounts+":"); ok {
		return []string{ns}
	}
	return nil
}

// everyNamespace are those that are known in any way, and "" for what is granted in all.
func (s *search) everyNamespace() []string {
	known := map[string]bool{"": true}
	for _, ns := range s.spaces {
		known[ns] = true
	}
	for ns := range s.plots {
		known[ns] = true
	}
	for _, b := range s.policy.Bindings() {
		known[b.Namespace] = true
	}
	return slices.Sorted(maps.Keys(known))
}

// becomeRobot finds those who act as some ServiceAccount of a namespace, and so are
// members of a group of all that are.
func (s *search) becomeRobot(ns string, who access.Subject, n *node) {
	s.makePods(ns, who.String(), n)
	for _, kind := range []Kind{CreateTokens, ImpersonateRobot} {
		for c := range s.in(kind, ns) {
			s.reach(c, who.String(), n, nil)
		}
	}
	for c := range s.in(BorrowRobot, ns) {
		s.borrow(c, "serviceaccount", n)
	}
	s.robots(ns, n)
}

// aws is the ConfigMap by which EKS tells who people are.
var aws = Name{"kube-system", "aws-auth"}

// mapped finds those who can put themselves into any group where a ConfigMap says who
// is in which. They create it only where it is not known to be there, or if they may
// delete it.
func (s *search) mapped(n *node) {
	if !s.mapping {
		return
	}
	on := "ConfigMap " + aws.String()
	r := access.Request{Resource: "configmaps", Namespace: aws.Namespace, Name: aws.Name}
	writes := func(who access.Subject) bool {
		return s.any(who, r, change...) || !s.maps || s.any(who, r, "delete")
	}
	for c := range s.in(MapUsers, aws.Namespace) {
		if c.reaches(aws.Namespace, aws.Name) {
			s.reach(c, on, n, writes)
		}
	}
	s.owners(aws.Namespace, func(_ *access.Role, c *Capability) bool {
		return c.Kind == MapUsers && c.reaches(aws.Namespace, aws.Name) && (!s.maps || !slices.Equal(access.Granted(c.Rule(), write), []string{"create"}))
	}, n)
}

// robots finds those who act as what runs in a namespace, or as the ServiceAccount that
// each has.
func (s *search) robots(ns string, n *node) {
	seen := map[string]bool{"default": true}
	s.owners(ns, s.becomes(Name{ns, "default"}, n), n)
	for _, p := range s.at(ns).all {
		s.inside(p, n)
		if !seen[p.Account] {
			seen[p.Account] = true
			s.housed(Name{ns, p.Account}, n)
			s.acted(access.ServiceAccount(ns, p.Account), n)
			s.owners(ns, s.becomes(Name{ns, p.Account}, n), n)
		}
	}
}

// impersonates reports whether who may impersonate some user or ServiceAccount.
func (s *search) impersonates(who access.Subject) bool {
	for _, kind := range []Kind{ImpersonateUser, ImpersonateRobot} {
		for _, list := range s.caps[kind] {
			for _, c := range list {
				if slices.Contains(c.Grant.Binding.Subjects, who) {
					return true
				}
			}
		}
	}
	return false
}
