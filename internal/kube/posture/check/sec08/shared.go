package sec08

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// shared finds ServiceAccounts with rights of their own as which several workloads
// run: a token stolen of one has what any of them needs. Rights of all of a
// namespace are no reason to share.
func (j *judgement) shared() {
	users := map[path.Name][]string{}
	var order []path.Name
	for _, h := range j.in.Holders() {
		if h.Ref.Kind == "PodTemplate" {
			continue // runs nothing by itself
		}
		name := path.Name{Namespace: h.Ref.Namespace, Name: h.Template.Account}
		if users[name] == nil {
			order = append(order, name)
		}
		users[name] = append(users[name], h.Ref.Kind+" "+h.Ref.Namespace+"/"+h.Ref.Name)
	}
	slices.SortFunc(order, func(a, b path.Name) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, name := range order {
		if len(users[name]) < 2 || !j.rights[access.ServiceAccount(name.Namespace, name.Name)] {
			continue
		}
		j.n.shared++
		f := check.Finding{
			Rule: "SharedAccount", Severity: check.Low, Object: snapshot.Ref{Kind: "ServiceAccount", Namespace: name.Namespace, Name: name.Name},
			Message: fmt.Sprintf("%d workloads run as it: what one of them needs, a token of any other has", len(users[name])),
			Fix:     check.Fix{Command: check.Command("strongkeep fix SEC-08 serviceaccount/%s/%s", name.Namespace, name.Name)},
		}
		f.Affected, f.Count = check.Names(users[name])
		j.out.Findings = append(j.out.Findings, f)
	}
}
