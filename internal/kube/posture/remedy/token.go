package remedy

import (
	"fmt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// identities are annotations by which a ServiceAccount stands for somebody in a
// cloud.
var identities = []string{"eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"}

// token takes the ServiceAccount's token from the pods of a workload.
func token(w *World, o Options) (*Plan, error) {
	spec := &w.Workload.Template.Spec
	if spec.AutomountServiceAccountToken != nil && !*spec.AutomountServiceAccountToken {
		return nil, nothing("%s mounts no token", w.Workload.Ref())
	}
	name := spec.ServiceAccountName
	if name == "" {
		name = "default"
	}
	ns := w.Workload.Namespace
	if err := w.unsure(ns, name); err != nil && !o.Anyway {
		return nil, err
	}
	why := fmt.Sprintf("no binding gives ServiceAccount %s any right", name)
	risks := []string{
		"that no pod talks to the API server is concluded from missing rights: what a client may do without any (its version, its discovery) fails too",
		"the pods are restarted by the change of their template",
	}
	if rights := rightsOf(access.New(w.RBAC), ns, name); len(rights) > 0 {
		b := rights[0]
		if !o.Anyway {
			return nil, errs.Newf(errs.Conflict, "%s %s gives ServiceAccount %s rights, so its pods seem to talk to the API server: if they do not, say -anyway", b.Kind(), b.Name, name)
		}
		why = "it was said that its pods do not talk to the API server"
		risks = append(risks, fmt.Sprintf("%s %s gives ServiceAccount %s rights that its pods can use no more", b.Kind(), b.Name, name))
	}
	return &Plan{
		Check: "SEC-08", Rules: []string{"NeedlessToken"}, Object: w.Workload.Ref(),
		Does: "mounts no token of a ServiceAccount into its pods", Risks: risks,
		Steps: []Step{patchOf(w.Workload, map[string]any{"spec": map[string]any{"automountServiceAccountToken": false}}, why)},
	}, nil
}

// unsure is why it cannot be concluded from missing rights that a ServiceAccount's
// token is not needed.
func (w *World) unsure(ns, name string) error {
	for _, resource := range []string{"rolebindings", "clusterrolebindings", "serviceaccounts"} {
		if !w.Knows(resource, ns) {
			return errs.Newf(errs.Denied, "%s could not be read: whether ServiceAccount %s has rights is not known; with that right, or with -anyway, this goes on", resource, name)
		}
	}
	a := w.Account(ns, name)
	for _, key := range identities {
		if a != nil && a.Annotations[key] != "" {
			return errs.Newf(errs.Conflict, "ServiceAccount %s stands for an identity in a cloud (%s): its pods may need a token; if not, say -anyway", name, key)
		}
	}
	return nil
}
