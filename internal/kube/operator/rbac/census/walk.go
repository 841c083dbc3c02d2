package census

import (
	"encoding/json"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// reference are the fields that a reference may have; an object with a name and no
// other fields than these is one, in the settings of every provider and generator.
func reference(o map[string]any) bool {
	if name, ok := o["name"].(string); !ok || name == "" {
		return false
	}
	for field := range o {
		switch field {
		case "name", "namespace", "key", "type", "audiences":
		default:
			return false
		}
	}
	return true
}

// walk adds to in what a spec refers to; with in nil to the namespace that each
// reference names, as ClusterSecretStores do.
func (c *Census) walk(spec json.RawMessage, in *names) error {
	var content any
	if len(spec) == 0 {
		return nil
	}
	if err := json.Unmarshal(spec, &content); err != nil {
		return errs.New(errs.Invalid, "its spec is not an object")
	}
	c.visit("", content, in)
	return nil
}

func (c *Census) visit(field string, content any, in *names) {
	switch content := content.(type) {
	case map[string]any:
		if reference(content) {
			c.refer(field, content, in)
			return
		}
		for name, value := range content {
			switch name {
			case "headers", "parameters", "data", "fake", "conditions", "result", "body": // of anything
			default:
				c.visit(name, value, in)
			}
		}
	case []any:
		for _, value := range content {
			c.visit(field, value, in)
		}
	}
}

// refer adds what stands in a reference. What the field is called says what it refers to.
func (c *Census) refer(field string, to map[string]any, in *names) {
	name, _ := to["name"].(string)
	if in == nil {
		namespace, _ := to["namespace"].(string)
		if namespace == "" {
			return // no ClusterSecretStore can use it
		}
		in = c.in(namespace)
	}
	switch kind, _ := to["type"].(string); {
	case kind == "ConfigMap" || field == "credConfig":
	case strings.Contains(strings.ToLower(field), "serviceaccount"):
		in.accounts.add(name)
	default:
		in.reads.add(name)
	}
}
