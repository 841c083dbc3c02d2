package checklist

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// Control are files of the control plane, which no API tells of.
type Control struct {
	Encryption string // the EncryptionConfiguration
	Policy     string // the audit policy
	Log        string // the audit log
}

// Prepare makes in dir the files that an API server is to be started with. It has
// Secrets encrypted by a key of its own. canary hears of the key.
func Prepare(dir, policy string, canary func(what, secret string)) (Control, error) {
	c := Control{Encryption: filepath.Join(dir, "encryption.yaml"), Policy: policy, Log: filepath.Join(dir, "audit", "audit.log")}
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o700); err != nil {
		return c, fmt.Errorf("making a folder: %w", err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	text := base64.StdEncoding.EncodeToString(key)
	canary("the key of the API server's encryption", text)
	config := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - secretbox: {keys: [{name: demo, secret: %s}]}\n", text)
	if err := os.WriteFile(c.Encryption, []byte(config), 0o600); err != nil {
		return c, fmt.Errorf("writing the EncryptionConfiguration: %w", err)
	}
	return c, nil
}

// Flags are those of the API server.
func (c Control) Flags() []string {
	return []string{"--encryption-provider-config=" + c.Encryption, "--audit-policy-file=" + c.Policy, "--audit-log-path=" + c.Log}
}
