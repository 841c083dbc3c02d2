package rbac

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	genv1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Options say how the operator runs.
type Options struct {
	// Name of the roles; "strongkeep-operator" when empty.
	Name string
	// ServiceAccount of the operator; Name when empty. Namespace is where it runs.
	ServiceAccount, Namespace string
	// Namespaces it works in; every one when empty, by a ClusterRole.
	Namespaces []string
	// CredentialNamespaces are further namespaces that ClusterSecretStores take
	// their credentials from. Not needed when Namespaces is empty.
	CredentialNamespaces []string
	// ClusterStores lets it serve ClusterSecretStores.
	ClusterStores bool
	// Reload lets it restart workloads whose Secrets and ConfigMaps change.
	Reload bool
	// LeaderElection lets several operators elect one.
	LeaderElection bool
	// Rotation lets it turn credentials, and so find and restart who consumes them.
	Rotation bool
	// Push lets it serve PushSecrets. Spread lets it serve ClusterExternalSecrets, and
	// with Push ClusterPushSecrets; it needs ClusterStores and every namespace.
	Push, Spread bool
	// Drills lets it run Drills, which break things on purpose.
	Drills bool
	// Checks lets it keep the checks current; it needs every namespace.
	Checks bool
	// ConfigMaps lets it make ConfigMaps for ExternalSecrets with target.manifest.
	ConfigMaps bool
	// Named, when set, are all that it may touch of Secrets and ServiceAccounts, by
	// namespace, for an operator that watches Secrets by name. It does not go with
	// Rotation, Reload and Drills, which look at every Secret, and needs Namespaces.
	Named map[string]Names
	// RehearsalPods lets rehearsals of Rotations run copies of consumers' pods.
	RehearsalPods bool
}

// Rule is one rule and why the operator needs it.
type Rule struct {
	Why string
	rbacv1.PolicyRule
}

// Role is a Role, or a ClusterRole when Namespace is empty, with its binding.
type Role struct {
	Name, Namespace string
	Rules           []Rule
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "strongkeep-operator"
	}
	if o.ServiceAccount == "" {
		o.ServiceAccount = o.Name
	}
	if o.Namespace == "" {
		o.Namespace = "strongkeep-system"
	}
	return o
}

// KeySecret is the Secret of the operator's namespace that holds its key, as
// KeyData; Lease the lease there that operators are elected by.
const (
	KeySecret = "strongkeep-operator-key"
	KeyData   = "hmac"
	Lease     = "strongkeep-operator"
)

func rule(why, group, resource string, verbs ...string) Rule {
	return Rule{why, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}}
}

// working returns what is needed in each namespace worked in.
func working() []Rule {
	return []Rule{
		rule("to see what is asked for", v1.Group, "externalsecrets", "list", "watch"),
		rule("to say what came of it", v1.Group, "externalsecrets/status", "patch"),
		rule("to take off the finalizer of an operator that is gone, without which such an object could never be deleted", v1.Group, "externalsecrets", "patch"),
		rule("to set blockOwnerDeletion on Secrets where OwnerReferencesPermissionEnforcement is on", v1.Group, "externalsecrets/finalizers", "update"),
		rule("to reach the stores", v1.Group, "secretstores", "list", "watch"),
		rule("to say whether they work", v1.Group, "secretstores/status", "patch"),
		rule("to see that a Secret was changed or deleted: only metadata is asked for, which RBAC cannot tell from the whole", "", "secrets", "list", "watch"),
		rule("to read the credentials a store names, templates, and after a restart one look at each own Secret", "", "secrets", "get"),
		rule("to write Secrets by server-side apply", "", "secrets", "create", "patch"),
		rule("for deletionPolicy Delete, and for what an earlier target name left behind", "", "secrets", "delete"),
		rule("for templates and certificate authorities, and to see that they changed", "", "configmaps", "get", "list", "watch"),
		rule("to log in to a store as the ServiceAccount that the store names", "", "serviceaccounts/token", "create"),
		rule("to read which cloud identity that ServiceAccount stands for", "", "serviceaccounts", "get"),
		generators(),
		rule("to remember generated credentials that must be taken back", genv1.Group, "generatorstates", "list", "watch", "create", "update", "delete"),
		rule("to tell people what happened", "events.k8s.io", "events", "create", "patch"),
	}
}

// generators returns one rule for all kinds of generators.
func generators() Rule {
	return Rule{"to see what is to be generated", rbacv1.PolicyRule{
		APIGroups: []string{genv1.Group}, Verbs: []string{"list", "watch"}, Resources: slices.Sorted(maps.Keys(genv1.Resources())),
	}}
}

// Consumers returns what finding the consumers of a credential needs in each
// namespace worked in, beside working.
func Consumers() []Rule {
	return []Rule{
		rule("to find the pods that use a credential, and to see that they changed", "", "pods", "list", "watch"),
		rule("to find what restarts a pod: Deployments are found through them", "apps", "replicasets", "list", "watch"),
		rule("to find what restarts a pod, and workloads that have none now", "apps", "deployments", "list", "watch"),
		rule("to find what restarts a pod, and workloads that have none now", "apps", "statefulsets", "list", "watch"),
		rule("to find what restarts a pod, and workloads that have none now", "apps", "daemonsets", "list", "watch"),
		rule("to see pods that run to their end", "batch", "jobs", "list", "watch"),
		rule("to see pods that are to come", "batch", "cronjobs", "list", "watch"),
		rule("to find who pulls images with a credential", "", "serviceaccounts", "list"),
		rule("to find who serves with a certificate", "networking.k8s.io", "ingresses", "list"),
		rule("to find who serves with a certificate, where the API is installed", "gateway.networking.k8s.io", "gateways", "list"),
		rule("to find volumes that the Secrets Store CSI driver fills from the same vault, where it is installed", "secrets-store.csi.x-k8s.io", "secretproviderclasses", "list"),
		rule("to find what restarts a pod, where Argo Rollouts is installed", "argoproj.io", "rollouts", "get", "list"),
	}
}

// rotation returns what turning credentials needs in each namespace worked in,
// beside working and consumers. Nothing there lets it read what pods hold, or run
// anything in them.
func rotation() []Rule {
	return []Rule{
		rule("to see what is to be rotated, read anew before each step", v1alpha1.Group, "rotations", "get", "list", "watch"),
		rule("to announce each step, and to say what came of it", v1alpha1.Group, "rotations/status", "update"),
		rule("for the finalizer that is there while a turn is under way, and never else", v1alpha1.Group, "rotations", "patch"),
		rule("to look at a bare pod; and to mark pods, with rollout method Evict", "", "pods", "get", "patch"),
		rule("to replace pods within their disruption budgets, with rollout method Evict and for owners that do not replace them", "", "pods/eviction", "create"),
		rule("to restart by one annotation of the pod template, applied by server-side apply, and to see how far that is", "apps", "deployments", "get", "patch"),
		rule("to restart in the same way", "apps", "statefulsets", "get", "patch"),
		rule("to restart in the same way", "apps", "daemonsets", "get", "patch"),
		rule("to stamp those without an owner before their pods are evicted", "apps", "replicasets", "get", "patch"),
		rule("to wait for Jobs that run with the old credential", "batch", "jobs", "get"),
		rule("to stamp what the next run is made of", "batch", "cronjobs", "get", "patch"),
		rule("to restart in the same way, where Argo Rollouts is installed", "argoproj.io", "rollouts", "patch"),
		rule("to ask before a restart that takes old pods away before new ones come", "policy", "poddisruptionbudgets", "list"),
		rule("to see, in a rehearsal, whether there is room for a pod more", "", "resourcequotas", "list"),
	}
}

// policies returns what is needed for RotationPolicies. They are not in a namespace.
func policies() []Rule {
	return []Rule{
		rule("to know how old credentials may get", v1alpha1.Group, "rotationpolicies", "list", "watch"),
		rule("to make the default policy at the first start: creation cannot be limited to a name", v1alpha1.Group, "rotationpolicies", "create"),
	}
}

// credentials returns what is needed where only credentials are.
func credentials() []Rule {
	return []Rule{
		rule("to read the credentials that a ClusterSecretStore names", "", "secrets", "get"),
		rule("to read the certificate authority that a ClusterSecretStore names", "", "configmaps", "get"),
		rule("to log in as the ServiceAccount that a ClusterSecretStore names", "", "serviceaccounts/token", "create"),
		rule("to read which cloud identity that ServiceAccount stands for", "", "serviceaccounts", "get"),
	}
}

// clusterStores returns what ClusterSecretStores need. They are not in a namespace.
func clusterStores() []Rule {
	return []Rule{
		rule("to reach the stores", v1.Group, "clustersecretstores", "list", "watch"),
		rule("to say whether they work", v1.Group, "clustersecretstores/status", "patch"),
		rule("to see what is to be generated", genv1.Group, "clustergenerators", "list", "watch"),
		rule("to match the labels of namespaces with a store's conditions: only metadata is asked for", "", "namespaces", "list", "watch"),
		rule("to tell people what happened to them: such events are in namespace default", "events.k8s.io", "events", "create", "patch"),
	}
}

// own returns what is needed in the operator's own namespace.
func own(o Options) []Rule {
	get := rule("to read the key that the marks on Secrets are made with", "", "secrets", "get")
	get.ResourceNames = []string{KeySecret}
	rules := []Rule{get, rule("to make that key at the first start: creation cannot be limited to a name", "", "secrets", "create")}
	if o.LeaderElection {
		held := rule("to be elected", "coordination.k8s.io", "leases", "get", "update")
		held.ResourceNames = []string{Lease}
		rules = append(rules, held, rule("to make that lease at the first start: creation cannot be limited to a name", "coordination.k8s.io", "leases", "create"))
	}
	return rules
}

// Roles returns the roles for o, in a stable order. It is pure.
func Roles(o Options) []Role {
	o = o.withDefaults()
	roles := []Role{{o.Name, o.Namespace, own(o)}}
	if o.Checks && len(o.Namespaces) == 0 {
		roles = append(roles, checks(o)...)
	}
	each := inEach(o)
	var cluster []Rule // in no namespace
	if o.ClusterStores {
		if o.Rotation {
			cluster = policies()
		}
		if o.Push {
			cluster = append(cluster, pushingToCluster())
		}
		cluster = append(cluster, clusterStores()...)
	}
	if len(o.Namespaces) == 0 {
		if o.ClusterStores {
			if o.Spread {
				each = joined(each, spreading(o.Push))
			}
			each = append(each, cluster[:len(cluster)-1]...) // events are there already
		}
		return append(roles, Role{Name: o.Name, Rules: each})
	}
	for _, ns := range o.Namespaces {
		roles = append(roles, Role{o.Name + "-sync", ns, o.limited(each, ns)})
	}
	if o.ClusterStores {
		for _, ns := range o.CredentialNamespaces {
			roles = append(roles, Role{o.Name + "-credentials", ns, o.limited(credentials(), ns)})
		}
		roles = append(roles, Role{Name: o.Name, Rules: cluster})
	}
	return roles
}

// limited is rules with the names of namespace, if there are to be names.
func (o Options) limited(rules []Rule, namespace string) []Rule {
	if o.Named == nil {
		return rules
	}
	return narrowed(rules, o.Named[namespace])
}

// inEach is what is needed in each namespace that is worked in.
func inEach(o Options) []Rule {
	each := working()
	if o.Rotation {
		each = slices.Concat(each, Consumers(), rotation())
	}
	if o.Rotation && o.RehearsalPods {
		each = append(each, rule("to run copies of pods on a credential that is staged, and to delete them: whoever may make pods may use every ServiceAccount and Secret of the namespace", "", "pods", "create", "delete"))
	}
	if o.ConfigMaps {
		each = joined(each, []Rule{rule("to write and delete ConfigMaps for ExternalSecrets with target.manifest: RBAC cannot limit this to its own", "", "configmaps", "create", "patch", "delete")})
	}
	if o.Push {
		each = joined(each, pushing())
	}
	if o.Reload {
		each = joined(each, reloading())
	}
	if o.Drills {
		each = joined(joined(each, Consumers()), drilling())
	}
	return each
}

// Object is a role or binding.
type Object interface{ metav1.Object }

// Objects returns the roles for o, each followed by its binding.
func Objects(o Options) []Object {
	o = o.withDefaults()
	return objectsOf(Roles(o), o)
}

func objectsOf(roles []Role, o Options) []Object {
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: o.Namespace, Name: o.ServiceAccount}}
	var out []Object
	for _, r := range roles {
		rules := r.PolicyRules()
		meta := metav1.ObjectMeta{Name: r.Name, Namespace: r.Namespace}
		ref := func(kind string) rbacv1.RoleRef {
			return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: r.Name}
		}
		kind := func(k string) metav1.TypeMeta {
			return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: k}
		}
		if r.Namespace == "" {
			out = append(out, &rbacv1.ClusterRole{TypeMeta: kind("ClusterRole"), ObjectMeta: meta, Rules: rules},
				&rbacv1.ClusterRoleBinding{TypeMeta: kind("ClusterRoleBinding"), ObjectMeta: meta, Subjects: subject, RoleRef: ref("ClusterRole")})
			continue
		}
		out = append(out, &rbacv1.Role{TypeMeta: kind("Role"), ObjectMeta: meta, Rules: rules},
			&rbacv1.RoleBinding{TypeMeta: kind("RoleBinding"), ObjectMeta: meta, Subjects: subject, RoleRef: ref("Role")})
	}
	return out
}
