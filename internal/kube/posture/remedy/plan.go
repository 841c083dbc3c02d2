package remedy

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/least"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// Plan is what mends one finding.
type Plan struct {
	// Check and Rules are what is found no longer of Object when the Plan was done.
	Check  string       `json:"check"`
	Rules  []string     `json:"rules"`
	Object snapshot.Ref `json:"object"`
	// Also are other objects of which it is found no longer.
	Also []snapshot.Ref `json:"also,omitempty"`
	// Field is that of the findings; "" for any.
	Field string `json:"field,omitempty"`
	// Does is one sentence; Risks are what to look at before.
	Does  string   `json:"does"`
	Risks []string `json:"risks,omitempty"`
	// Writes is what is written outside the cluster before the Steps, without values;
	// "" for nothing.
	Writes string `json:"writes,omitempty"`
	// Values says that the findings are of values, which whoever runs the check again reads.
	Values bool   `json:"-"`
	Steps  []Step `json:"steps"`
}

// Verb is what a Step does.
type Verb string

// The verbs. A patch is a strategic merge patch, as kustomize takes it; of RBAC
// objects it is a merge patch.
const (
	Create Verb = "create"
	Patch  Verb = "patch"
	Delete Verb = "delete"
)

// Step is one change, of one object.
type Step struct {
	Verb Verb `json:"verb"`
	// Object is what is created, the patch, or the name of what is deleted.
	Object map[string]any `json:"object"`
	// Version and UID are of the object that was looked at: if it has changed since,
	// the step is refused. Empty for Create.
	Version string    `json:"-"`
	UID     types.UID `json:"-"`
	Why     string    `json:"why,omitempty"`
}

// Ref names the object.
func (s *Step) Ref() snapshot.Ref {
	u := unstructured.Unstructured{Object: s.Object}
	return snapshot.Ref{Group: u.GroupVersionKind().Group, Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
}

// YAML are the objects and patches of p, to be committed. What is deleted is a
// comment.
func (p *Plan) YAML() (string, error) {
	var out strings.Builder
	if p.Writes != "" {
		out.WriteString("# write " + printable.Line(p.Writes) + "\n")
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		text, err := yaml.Marshal(s.Object)
		if err != nil {
			return "", errs.Newf(errs.Internal, "encoding %s: %w", s.Ref(), err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.WriteString("# " + printable.Line(string(s.Verb)+" "+s.Ref().String()+": "+s.Why) + "\n")
		if s.Verb == Delete {
			text = []byte("# " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n# ") + "\n")
		}
		out.Write(text)
	}
	return out.String(), nil
}

// World is what a remedy looks at.
type World struct {
	// Case has workloads, pods, ServiceAccounts and RBAC.
	*doctor.Case
	// Workload is the one that is to be mended, whole; nil where it is none.
	Workload *doctor.Workload
	Target   Target
	// Secrets are those that the user named, with their values, and Map the ConfigMap that is
	// to be mended; of remedies of copies.
	Secrets []corev1.Secret
	Map     *corev1.ConfigMap
	// Whole reads a workload, which Case has without values.
	Whole func(snapshot.Ref) (*doctor.Workload, error)
	// Namespaced says of a resource whether it lies in namespaces; known is false if the
	// cluster serves none, and an error if the cluster cannot say now.
	Namespaced func(group, resource string) (yes, known bool, err error)
}

// needs refuses where not all of resources was read of a namespace, "" for all: what is
// then not known.
func (w *World) needs(namespace, what string, resources ...string) error {
	for _, resource := range resources {
		if w.Knows(resource, namespace) {
			continue
		}
		why := w.Coverage[resource].Reason
		if why == "" {
			why = "it was not tried"
		}
		return errs.Newf(errs.Denied, "%s could not be read (%s): %s is not known; this goes on when they can", resource, why, what)
	}
	return nil
}

// weak is why an audit log may not show what is done: "" if nothing is known against it.
func (w *World) weak(log *snapshot.Activity) string {
	return least.Weak(log, w.Now, check.Settings{}.Defaults().Unused)
}

// Target names what is to be mended; Kind may be empty for the remedy's own.
type Target struct{ Kind, Namespace, Name string }

// Options are what a user may choose.
type Options struct {
	// FileEnv: the application reads NAME_FILE where it has read NAME.
	FileEnv bool
	// In are namespaces; Secrets are names of Secrets: those that a Role is to read, or that
	// hold what copies are to come from.
	In, Secrets []string
	// Anyway does what may break something that cannot be seen.
	Anyway bool
	// Activity is what audit logs show; nil if none is given. Without Anyway it is to be as
	// long as what SEC-14 takes for a proof of disuse.
	Activity *snapshot.Activity
}

// Remedy mends findings of one check.
type Remedy struct {
	Check string
	Rules []string
	// Workload says that the target is one.
	Workload bool
	Kind     string // of other targets
	// Copies says that it compares values with those of Secrets.
	Copies bool
	Plan   func(w *World, o Options) (*Plan, error)
}

// List are the remedies, by check.
func List() []Remedy {
	return []Remedy{
		{Check: "SEC-03", Rules: []string{"ReadsNamespace"}, Kind: "Role", Plan: narrow},
		{Check: "SEC-04", Rules: []string{"EverythingEverywhere", "SecretsEverywhere", "RightsEverywhere"}, Kind: "ClusterRoleBinding", Plan: bindings},
		{Check: "SEC-08", Rules: []string{"NeedlessToken"}, Workload: true, Plan: token},
		{Check: "SEC-08", Rules: []string{"SharedAccount"}, Kind: "ServiceAccount", Plan: accounts},
		{Check: "SEC-09", Rules: []string{"EnvVariable"}, Workload: true, Plan: files},
		{Check: "SEC-09", Rules: []string{"LiteralVariable"}, Workload: true, Copies: true, Plan: literals},
		{Check: "SEC-05", Rules: []string{"InConfigMap"}, Kind: "ConfigMap", Copies: true, Plan: unmap},
	}
}

// nothing is what a remedy answers that finds nothing to mend.
func nothing(format string, args ...any) error { return errs.Newf(errs.NotExist, format, args...) }

// patchOf begins a patch of a workload: body is what changes in its pod template.
func patchOf(w *doctor.Workload, body map[string]any, why string) Step {
	var spec any = map[string]any{"template": body}
	if w.Kind == "CronJob" {
		spec = map[string]any{"jobTemplate": map[string]any{"spec": spec}}
	}
	return Step{Verb: Patch, Version: w.ResourceVersion, UID: w.UID, Why: why, Object: map[string]any{
		"apiVersion": w.Group + "/v1", "kind": w.Kind,
		"metadata": map[string]any{"namespace": w.Namespace, "name": w.Name}, "spec": spec,
	}}
}

func metadata(namespace, name string) map[string]any {
	m := map[string]any{"name": name}
	if namespace != "" {
		m["namespace"] = namespace
	}
	return m
}

const rbacVersion = rbacv1.GroupName + "/v1"
