package checklist

import (
	"fmt"
	"os"
	"path/filepath"
)

// Control are files of the control plane, which no API tells of.
type Control struct {
	Encryption string // the EncryptionConfiguration
	Policy     string // the audit policy
	Log        string // the audit log
	Reports    string // a folder of reports of what lies in etcd; it may not be there yet
	Public     string // the key that verifies them
}

// Prepare makes in dir what an API server needs for its audit log.
func Prepare(dir, policy, encryption string) (Control, error) {
	c := Control{Encryption: encryption, Policy: policy, Log: filepath.Join(dir, "audit", "audit.log")}
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o700); err != nil {
		return c, fmt.Errorf("making a folder: %w", err)
	}
	return c, nil
}

// reported are the flags of `strongkeep check` for the reports that are there.
func (c Control) reported() []string {
	files, _ := filepath.Glob(filepath.Join(c.Reports, "*.json")) // the pattern is right
	var out []string
	for _, f := range files {
		out = append(out, "-encryption-report="+f, "-encryption-report-key="+c.Public)
	}
	return out
}

// Flags are those of the API server, but for encryption.
func (c Control) Flags() []string {
	return []string{"--audit-policy-file=" + c.Policy, "--audit-log-path=" + c.Log}
}
