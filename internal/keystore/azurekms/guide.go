package azurekms

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// place are the flags of Azure's command line that name the key.
func (k *Key) place() string {
	name, domain, _ := strings.Cut(k.settings.host, ".")
	flag := "--vault-name="
	if strings.HasPrefix(domain, "managedhsm.") {
		flag = "--hsm-name="
	}
	return flag + name + " --name=" + k.settings.Key
}

// Next implements keystore.Guide.
func (k *Key) Next(keystore.History) []string {
	return []string{"az keyvault key rotate " + k.place()}
}

// Retire implements keystore.Guide.
func (k *Key) Retire(old []string, _ string) [][]string {
	all := make([][]string, len(old))
	for i, version := range old {
		all[i] = []string{"az keyvault key set-attributes " + k.place() + " --version=" + version + " --enabled=false"}
	}
	return all
}
