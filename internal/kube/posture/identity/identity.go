package identity

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Domains of annotations, before the slash, of what injects what it reads from a vault.
const (
	Vault     = "vault.hashicorp.com"
	OpenBao   = "openbao.org"
	BankVault = "vault.security.banzaicloud.io"
	Conjur    = "conjur.org"
	Akeyless  = "akeyless"
	Consul    = "consul.hashicorp.com"
)

// clouds are the domains of annotations of ServiceAccounts by which they stand for
// somebody in a cloud.
var clouds = []string{"eks.amazonaws.com", "iam.gke.io", "azure.workload.identity", "pod-identity.alibabacloud.com"}

// injectors log in with the token of the pod that they are asked for, by domain; what asks
// is the annotation that has them come, or not if it is off. "" is any.
var injectors = []struct{ domain, asks string }{
	{Vault, "agent-inject"}, {OpenBao, "agent-inject"}, {BankVault, ""}, {Conjur, "inject"}, {Akeyless, "enabled"}, {Consul, "connect-inject"},
}

// Domains are all that matter.
func Domains() []string {
	out := slices.Clone(clouds)
	for _, i := range injectors {
		out = append(out, i.domain)
	}
	return out
}

// Account returns those annotations of a ServiceAccount by which its token is shown to
// somebody else, sorted.
func Account(annotations map[string]string) []string {
	domains := Domains()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(annotations)), func(key string) bool {
		domain, _, ok := strings.Cut(key, "/")
		return !ok || !slices.Contains(domains, domain)
	})
}

// Injector returns the first annotation of a pod by which something comes into it that logs
// in with its token; "" if there is none. Of an annotation whose value is not known, which
// is empty then, it is taken to.
func Injector(annotations map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		domain, _, ok := strings.Cut(key, "/")
		for _, i := range injectors {
			if ok && domain == i.domain && (i.asks == "" || !Off(annotations[domain+"/"+i.asks])) {
				return key
			}
		}
	}
	return ""
}

// Off reports whether a value of an annotation turns an injection off, as injectors parse
// it.
func Off(value string) bool {
	on, err := strconv.ParseBool(value)
	return err == nil && !on || value == "disabled"
}

// Variable names a variable of a pod by which a client of a vault is configured, or that
// something fetches from one when the container starts; "" if there is none.
func Variable(spec *corev1.PodSpec) string {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, v := range c.Env {
			from, _, ok := strings.Cut(strings.TrimPrefix(v.Value, ">>"), ":")
			if strings.HasPrefix(v.Name, "VAULT_") || strings.HasPrefix(v.Name, "BAO_") || ok && (from == "vault" || from == "bao") {
				return fmt.Sprintf("variable %s of container %s", v.Name, c.Name)
			}
		}
	}
	return ""
}
