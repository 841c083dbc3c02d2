package kubeconfig

import (
	"encoding/json"
	"fmt"
	"os"
)

// Config says where a cluster is and who asks. Either Token or both CertFile
// and KeyFile are set.
type Config struct {
	Server    string
	CAFile    string
	CertFile  string
	KeyFile   string
	Token     string
	Namespace string // empty: "default"
}

// Write makes a kubeconfig that stands alone: files named in c are copied into
// it. It is written as JSON, which is YAML, and readable by its owner only.
func Write(path string, c Config) error {
	user := map[string]any{}
	if c.Token != "" {
		user["token"] = c.Token
	} else {
		cert, err := os.ReadFile(c.CertFile)
		if err != nil {
			return fmt.Errorf("reading client certificate: %w", err)
		}
		key, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return fmt.Errorf("reading client key: %w", err)
		}
		user["client-certificate-data"], user["client-key-data"] = cert, key
	}
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		return fmt.Errorf("reading authority: %w", err)
	}
	const name = "strongkeep"
	named := func(kind string, v any) []any {
		return []any{map[string]any{"name": name, kind: v}}
	}
	context := map[string]any{"cluster": name, "user": name}
	if c.Namespace != "" {
		context["namespace"] = c.Namespace
	}
	b, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1",
		"kind":       "Config",
		"clusters": named("cluster", map[string]any{
			"server":                     c.Server,
			"certificate-authority-data": ca,
		}),
		"users":           named("user", user),
		"contexts":        named("context", context),
		"current-context": name,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding kubeconfig: %w", err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("writing kubeconfig: %w", err)
	}
	return nil
}
