package pipeline

import (
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
	secret := map[string]bool{}
	if env := field(n, "env"); env != nil && env.Kind == yaml.SequenceNode {
		for _, item := range env.Content {
			item = resolve(item)
			name := scalar(field(item, "name"))
			if from := field(field(item, "valueFrom"), "secretKeyRef"); from != nil {
				secret[name] = true
				p.secrets[scalar(field(from, "name"))+"/"+scalar(field(from, "key"))] = true
			}
			p.literal(name, field(item, "value"), at)
		}
	}
	for _, name := range []string{"script", "source"} {
		if s := field(n, name); s != nil && s.Kind == yaml.ScalarNode {
			p.scriptNode(s, at, secret, false)
		}
	}
	if args := field(n, "args"); args != nil && args.Kind == yaml.SequenceNode && shellCommand(field(n, "command"), args) {
		p.scriptNode(resolve(args.Content[len(args.Content)-1]), at, secret, false)
	}
	if c := field(n, "command"); c != nil && c.Kind == yaml.SequenceNode && len(c.Content) > 2 && shellCommand(c, nil) {
		p.scriptNode(resolve(c.Content[len(c.Content)-1]), at, secret, false)
	}
}

// shellCommand reports whether the last word of command and args is a script.
func shellCommand(command, args *yaml.Node) bool {
	var words []string
	for _, list := range []*yaml.Node{command, args} {
		if list != nil && list.Kind == yaml.SequenceNode {
			for _, w := range list.Content {
				words = append(words, scalar(resolve(w)))
			}
		}
	}
	if len(words) < 3 || args != nil && len(args.Content) == 0 {
		return false
	}
	name := words[0][strings.LastIndexByte(words[0], '/')+1:]
	flag := words[len(words)-2]
	return (name == "sh" || name == "bash" || name == "ash" || name == "zsh") && strings.HasPrefix(flag, "-") && strings.HasSuffix(flag, "c")
}
