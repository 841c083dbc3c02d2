package gcpkms

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// place are the flags of Google's command line that name the key.
func (k *Key) place() string {
	part := strings.Split(k.settings.Key, "/") // as settings.names has them
	return fmt.Sprintf("--key=%s --keyring=%s --location=%s --project=%s", part[7], part[5], part[3], part[1])
}

// Next implements keystore.Guide.
func (k *Key) Next(keystore.History) []string {
	return []string{"gcloud kms keys versions create " + k.place()}
}

// Retire implements keystore.Guide.
func (k *Key) Retire(old []string, _ string) [][]string {
	all := make([][]string, len(old))
	for i, version := range old {
		all[i] = []string{"gcloud kms keys versions disable " + version + " " + k.place()}
	}
	return all
}
