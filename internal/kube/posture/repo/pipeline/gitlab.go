package pipeline

import (
	"maps"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// variable is one in a text of a shell.
var variable = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// gitlab looks at the jobs of a .gitlab-ci.yml. Which variables are secrets is in
// GitLab's settings; here only their names tell, and `secrets`.
func (p *reader) gitlab(root *yaml.Node) {
	secret := map[string]bool{}
	p.variables(field(root, "variables"), place{}, secret)
	for _, name := range []string{"before_script", "after_script"} {
		p.lines(field(root, name), place{job: name}, secret)
	}
	each(root, func(name string, _, job *yaml.Node) {
		if job.Kind != yaml.MappingNode || name == "variables" {
			return
		}
		of := maps.Clone(secret)
		at := place{job: name}
		p.variables(field(job, "variables"), at, of)
		each(field(job, "secrets"), func(variable string, _, _ *yaml.Node) { of[variable] = true; p.secrets[variable] = true })
		for _, part := range []string{"before_script", "script", "after_script"} {
			p.lines(field(job, part), place{job: name, step: part}, of)
		}
	})
}

func (p *reader) variables(n *yaml.Node, at place, secret map[string]bool) {
	each(n, func(name string, _, value *yaml.Node) {
		if v := field(value, "value"); v != nil {
			value = v
		}
		if (name == "CI_DEBUG_TRACE" || name == "CI_DEBUG_SERVICES") && (value.Value == "true" || value.Value == "1") {
			p.say(value.Line, at, Traces)
		}
		p.literal(name, value, at)
		if v := variable.FindStringSubmatch(scalar(value)); v != nil && (named(v[1]) || secret[v[1]]) {
			secret[name] = true
		}
	})
}

// lines looks at a script: a text, or a list of texts, which are one script.
func (p *reader) lines(n *yaml.Node, at place, secret map[string]bool) {
	if n == nil || p.spent() {
		return
	}
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	of := maps.Clone(secret)
	tracing := 0
	for _, item := range list {
		item = resolve(item)
		if item.Kind == yaml.SequenceNode {
			p.lines(item, at, of)
			continue
		}
		for _, v := range variable.FindAllStringSubmatch(item.Value, -1) {
			if named(v[1]) {
				of[v[1]] = true
				p.secrets[v[1]] = true
			}
		}
		if tracing > 0 && variableOf(item.Value, of) {
			p.say(tracing, at, Traces)
			tracing = 0
		}
		p.scriptNode(item, at, of, false)
		if traces.MatchString(item.Value) {
			tracing = item.Line
		} else if untraces.MatchString(item.Value) {
			tracing = 0
		}
	}
}

// A list has a statement an item, and what one of them sets holds for the others.
var (
	traces   = regexp.MustCompile(`^\s*set\s+(?:-[a-wyz]*x[a-z]*|-o\s+xtrace)\s*$`)
	untraces = regexp.MustCompile(`^\s*set\s+(?:\+[a-wyz]*x[a-z]*|\+o\s+xtrace)\s*$`)
)

// variableOf reports whether a text has one of these variables.
func variableOf(text string, of map[string]bool) bool {
	for _, v := range variable.FindAllStringSubmatch(text, -1) {
		if of[v[1]] {
			return true
		}
	}
	return false
}
