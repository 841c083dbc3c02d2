package access

import (
	"slices"
	"strings"
)

// bootstrapping marks what the API server puts into every cluster when it starts.
// Whoever may write an object may write the mark as well, and the API server leaves
// what was added to its own: the mark alone proves nothing.
const bootstrapping = "kubernetes.io/bootstrapping"

// shipped is a binding as Kubernetes ships it.
type shipped struct {
	role     string // "" for one of the binding's own name
	subjects []Subject
	// secrets says that its role, as shipped, is a way to Secrets.
	secrets bool
}

// controllers are those of kube-controller-manager: each has a ClusterRole and a
// ClusterRoleBinding system:controller:NAME for ServiceAccount kube-system/NAME.
// true: its role, as it is or was shipped, reads Secrets, creates pods or escalates.
var controllers = map[string]bool{
	"attachdetach-controller": false, "certificate-controller": false, "clusterrole-aggregation-controller": true, "cronjob-controller": true,
	"daemon-set-controller": true, "deployment-controller": true, "device-taint-eviction-controller": false, "disruption-controller": false,
	"endpoint-controller": false, "endpointslice-controller": false, "endpointslicemirroring-controller": false, "ephemeral-volume-controller": false,
	"expand-controller": true, "generic-garbage-collector": true, "horizontal-pod-autoscaler": false, "job-controller": true,
	"kube-apiserver-serving-clustertrustbundle-publisher": false, "legacy-service-account-token-cleaner": true, "namespace-controller": true, "node-controller": false,
	"persistent-volume-binder": true, "pod-garbage-collector": false, "pv-protection-controller": false, "pvc-protection-controller": false,
	"replicaset-controller": true, "replication-controller": true, "resource-claim-controller": false, "resourcequota-controller": true,
	"root-ca-cert-publisher": false, "route-controller": false, "selinux-warning-controller": false, "service-account-controller": false,
	"service-cidrs-controller": false, "service-controller": false, "statefulset-controller": true, "storage-version-migrator-controller": true,
	"ttl-after-finished-controller": false, "ttl-controller": false, "validatingadmissionpolicy-status-controller": false, "volumeattributesclass-protection-controller": false,
}

// components are the others, by namespace/name; "/name" is a ClusterRoleBinding.
var components = map[string]shipped{
	"/cluster-admin":                           {subjects: []Subject{Group(Masters)}, secrets: true},
	"/system:basic-user":                       {subjects: []Subject{Group(Authenticated)}},
	"/system:discovery":                        {subjects: []Subject{Group(Authenticated), Group(Unauthenticated)}},
	"/system:public-info-viewer":               {subjects: []Subject{Group(Authenticated), Group(Unauthenticated)}},
	"/system:kube-controller-manager":          {subjects: []Subject{User("system:kube-controller-manager")}, secrets: true},
	"/system:kube-dns":                         {subjects: []Subject{robot("kube-dns")}},
	"/system:kube-scheduler":                   {subjects: []Subject{User("system:kube-scheduler")}},
	"/system:monitoring":                       {subjects: []Subject{Group("system:monitoring")}},
	"/system:node-proxier":                     {subjects: []Subject{User("system:kube-proxy")}},
	"/system:service-account-issuer-discovery": {subjects: []Subject{Group(ServiceAccounts)}},
	"/system:volume-scheduler":                 {subjects: []Subject{User("system:kube-scheduler")}},

	"kube-public/system:controller:bootstrap-signer": {subjects: []Subject{robot("bootstrap-signer")}},
	"kube-system/system:controller:bootstrap-signer": {subjects: []Subject{robot("bootstrap-signer")}, secrets: true},
	"kube-system/system:controller:cloud-provider":   {subjects: []Subject{robot("cloud-provider")}},
	"kube-system/system:controller:token-cleaner":    {subjects: []Subject{robot("token-cleaner")}, secrets: true},
	"kube-system/system::extension-apiserver-authentication-reader": {
		role: "extension-apiserver-authentication-reader", subjects: []Subject{User("system:kube-controller-manager"), User("system:kube-scheduler")},
	},
	"kube-system/system::leader-locking-kube-controller-manager": {
		subjects: []Subject{User("system:kube-controller-manager"), robot("kube-controller-manager"), robot("leader-election-controller")},
	},
	"kube-system/system::leader-locking-kube-scheduler": {subjects: []Subject{User("system:kube-scheduler"), robot("kube-scheduler")}},
}

func robot(name string) Subject { return ServiceAccount("kube-system", name) }

// Shipped reports whether b gives its role to who as Kubernetes ships it: by the
// marks, by its name, its role's, and by who that is. secrets says that this is a
// way to Secrets as it is shipped; if it is one and secrets is false, somebody has
// added to the role.
func (b *Binding) Shipped(who Subject) (own, secrets bool) {
	if b.Role == nil || b.Labels[bootstrapping] != "rbac-defaults" || b.Role.Labels[bootstrapping] != "rbac-defaults" || b.Role.Namespace != b.Namespace {
		return false, false
	}
	if name, ok := strings.CutPrefix(b.Name, "system:controller:"); ok && b.Namespace == "" {
		secrets, own = controllers[name]
		return own && b.RoleRef.Name == b.Name && who == robot(name), secrets
	}
	s, ok := components[b.Namespace+"/"+b.Name]
	if s.role == "" {
		s.role = b.Name
	}
	return ok && b.RoleRef.Name == s.role && slices.Contains(s.subjects, who), s.secrets
}

// Own reports whether b is one that Kubernetes makes anew: it gives its role to somebody
// as it is shipped, whoever was added besides.
func (b *Binding) Own() bool {
	return slices.ContainsFunc(b.Subjects, func(who Subject) bool {
		own, _ := b.Shipped(who)
		return own
	})
}

// Own reports whether Kubernetes ships a ClusterRole of this name and restores it: by the
// mark, and by a name that it takes for itself.
func (r *Role) Own() bool {
	named := slices.Contains([]string{"cluster-admin", "admin", "edit", "view"}, r.Name) || strings.HasPrefix(r.Name, "system:")
	return named && r.Labels[bootstrapping] == "rbac-defaults"
}
