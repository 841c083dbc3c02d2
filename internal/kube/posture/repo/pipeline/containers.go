package pipeline

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// containers looks at everything below n that is a container, of Argo Workflows or
// Tekton: it has env, and a script, a source, or arguments of a shell.
func (p *reader) containers(n *yaml.Node, job string, depth int) {
	if n == nil || depth > maxDepth || p.spent() {
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			p.containers(item, job, depth+1)
		}
	case yaml.MappingNode:
		if name := scalar(field(n, "name")); name != "" && job == "" {
			job = name
		}
		p.container(n, job)
		each(n, func(name string, _, value *yaml.Node) {
			if name == "metadata" && job == "" {
				job = scalar(field(value, "name"))
			}
			p.containers(value, job, depth+1)
		})
	}
}

func (p *reader) container(n *yaml.Node, job string) {
	at := place{job: job, step: scalar(field(n, "name"))}
	secret := p.variablesOf(n, at)
	for _, name := range []string{"script", "source"} {
		if s := field(n, name); s != nil && s.Kind == yaml.ScalarNode {
			p.scriptNode(s, at, secret, false)
		}
	}
	if words := slices.Concat(items(field(n, "command")), items(field(n, "args"))); shellCommand(words) {
		p.scriptNode(words[len(words)-1], at, secret, false)
	}
}

// variablesOf are those of a container that hold a secret.
func (p *reader) variablesOf(n *yaml.Node, at place) map[string]bool {
	secret := map[string]bool{}
	for _, item := range items(field(n, "env")) {
		name := scalar(field(item, "name"))
		if from := field(field(item, "valueFrom"), "secretKeyRef"); from != nil {
			secret[name] = true
			p.secrets[scalar(field(from, "name"))+"/"+scalar(field(from, "key"))] = true
		}
		p.literal(name, field(item, "value"), at)
	}
	return secret
}

// items are those of a list; none of what is no list.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		out[i] = resolve(item)
	}
	return out
}

// shellCommand reports whether the last of words is a script.
func shellCommand(words []*yaml.Node) bool {
	if len(words) < 3 {
		return false
	}
	name := scalar(words[0])
	name = name[strings.LastIndexByte(name, '/')+1:]
	flag := scalar(words[len(words)-2])
	return slices.Contains([]string{"sh", "bash", "ash", "zsh"}, name) && strings.HasPrefix(flag, "-") && strings.HasSuffix(flag, "c")
}
