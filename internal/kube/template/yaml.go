package template

import (
	"errors"
	"strings"

	node "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

const (
	largestYAML  = 1 << 20 // bytes of text
	expandedYAML = 4 << 20 // bytes when each alias stands for a copy
)

// YAMLToJSON is for YAML that somebody else wrote. It is an error without words
// of the text when that is wrong, too deep, or too large once its aliases are
// replaced by what they stand for: nine lines may stand for gigabytes.
func YAMLToJSON(text []byte) ([]byte, error) {
	if err := boundYAML(text); err != nil {
		return nil, err
	}
	out, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fail("this is not YAML")
	}
	return out, nil
}

func boundYAML(text []byte) error {
	if len(text) > largestYAML {
		return &limitError{"the YAML is larger than 1 MiB"}
	}
	var document node.Node
	if node.Unmarshal(text, &document) != nil {
		return fail("this is not YAML")
	}
	left := expandedYAML
	if !expand(&document, 0, &left) || left < 0 {
		return &limitError{"the YAML is nested too deep, or too large with its aliases replaced"}
	}
	return nil
}

// expand takes the size of n with all its aliases replaced off left, and stops
// when that is below zero. It is false for what is nested too deep or contains
// itself.
func expand(n *node.Node, depth int, left *int) bool {
	if *left -= 2*word + len(n.Value); *left < 0 {
		return true
	}
	if depth > deepest {
		return false
	}
	if n.Alias != nil {
		return expand(n.Alias, depth+1, left)
	}
	for _, child := range n.Content {
		if !expand(child, depth+1, left) || *left < 0 {
			return *left < 0
		}
	}
	return true
}

// toYAML returns "" for what YAML cannot say.
func toYAML(v any) string {
	raw, err := yaml.Marshal(v)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(raw), "\n")
}

func fromYAML(text string) (map[string]any, error) {
	if err := boundYAML([]byte(text)); err != nil {
		return nil, notMapping(err)
	}
	out := map[string]any{}
	if yaml.Unmarshal([]byte(text), &out) != nil {
		return nil, fail("fromYaml: this is not a YAML mapping")
	}
	return out, nil
}

func notMapping(err error) error {
	var limit *limitError
	if errors.As(err, &limit) {
		return err
	}
	return fail("fromYaml: this is not a YAML mapping")
}
