package plane

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// flags are those that are kept. None has a value that is a secret: where one has
// to do with secrets, its value is the path of a file.
var flags = []string{
	"encryption-provider-config", "encryption-provider-config-automatic-reload", "audit-policy-file", "audit-log-path", "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize",
	"audit-log-mode", "audit-webhook-config-file", "audit-webhook-mode", "authorization-mode", "authorization-config", "anonymous-auth", "authentication-config", "token-auth-file",
	"service-account-extend-token-expiration", "service-account-max-token-expiration", "service-account-lookup", "service-account-issuer", "enable-admission-plugins",
	"disable-admission-plugins", "admission-control-config-file", "feature-gates", "runtime-config", "storage-backend", "kubelet-certificate-authority", "profiling",
}

// Server is what is kept of a pod that is an API server; ok is false of others. An API
// server is known by its label or its name, in the namespace of the cluster itself.
func Server(p *corev1.Pod) (_ snapshot.Server, ok bool) {
	if p.Namespace != "kube-system" || p.Labels["component"] != "kube-apiserver" && !strings.HasPrefix(p.Name, "kube-apiserver-") {
		return snapshot.Server{}, false
	}
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		words := slices.Concat(c.Command, c.Args)
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(w, "kube-apiserver") }) && c.Name != "kube-apiserver" {
			continue
		}
		return snapshot.Server{Name: p.Name, Flags: known(words)}, true
	}
	return snapshot.Server{}, false
}

// known are the flags among words that are kept: --name=value, --name value, or --name.
func known(words []string) map[string]string {
	out := map[string]string{}
	for i, w := range words {
		name, ok := strings.CutPrefix(w, "--")
		if !ok {
			continue
		}
		name, value, given := strings.Cut(name, "=")
		if !given {
			value = "true"
			if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
				value = words[i+1]
			}
		}
		if slices.Contains(flags, name) {
			out[name] = value
		}
	}
	return out
}

// Managed is the cloud that runs a cluster, as the version of its API server or the
// labels of a node say: "eks", "gke", "aks", or "" for none that is known.
func Managed(version string, labels map[string]string) string {
	switch {
	case strings.Contains(version, "-eks-"):
		return "eks"
	case strings.Contains(version, "-gke."):
		return "gke"
	}
	for label, cloud := range map[string]string{"eks.amazonaws.com/": "eks", "cloud.google.com/gke-": "gke", "kubernetes.azure.com/cluster": "aks"} {
		for k := range labels {
			if strings.HasPrefix(k, label) {
				return cloud
			}
		}
	}
	return ""
}
