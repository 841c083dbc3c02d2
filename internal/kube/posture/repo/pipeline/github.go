package pipeline

import (
	"maps"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// expression is one of GitHub's, which it puts into the text of a script before
// that runs.
var expression = regexp.MustCompile(`\$\{\{(.*?)\}\}`)

// secretExpr are those that stand for secrets.
var secretExpr = regexp.MustCompile(`\bsecrets\b\s*[.\[]\s*['"]?([A-Za-z0-9_-]+)?|\bgithub\.token\b|toJSON\(\s*secrets\s*\)`)

// placeholder is the variable that stands for a secret in a script that is parsed.
const placeholder = "STRONGKEEP_PUT_HERE"

// github looks at a workflow, or an action.
func (p *reader) github(root *yaml.Node) {
	secret := map[string]bool{}
	p.env(field(root, "env"), place{}, secret)
	each(field(root, "jobs"), func(name string, _, job *yaml.Node) {
		of := maps.Clone(secret)
		p.env(field(job, "env"), place{job: name}, of)
		p.steps(field(job, "steps"), place{job: name}, of)
		p.count(field(job, "with"))
		p.count(field(job, "secrets"))
	})
	p.steps(field(field(root, "runs"), "steps"), place{}, secret)
}

// env learns which variables are secrets.
func (p *reader) env(env *yaml.Node, at place, secret map[string]bool) {
	each(env, func(name string, _, value *yaml.Node) {
		delete(secret, name)
		if p.expressions(scalar(value)) {
			secret[name] = true
		}
		if name == "ACTIONS_STEP_DEBUG" && value.Value == "true" {
			p.say(value.Line, at, Traces)
		}
		p.literal(name, value, at)
	})
}

// expressions counts the secrets in a text, and reports whether there is one.
func (p *reader) expressions(text string) bool {
	any := false
	for _, m := range expression.FindAllStringSubmatch(text, -1) {
		for _, s := range secretExpr.FindAllStringSubmatch(m[1], -1) {
			any = true
			p.secrets[s[1]] = true
		}
	}
	return any
}

// count counts the secrets that are given to something else.
func (p *reader) count(n *yaml.Node) {
	each(n, func(_ string, _, value *yaml.Node) { p.expressions(scalar(value)) })
}

func (p *reader) steps(list *yaml.Node, at place, secret map[string]bool) {
	if list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range list.Content {
		step := resolve(item)
		at.step = scalar(field(step, "name"))
		of := maps.Clone(secret)
		p.env(field(step, "env"), at, of)
		p.count(field(step, "with"))
		each(field(step, "with"), func(name string, _, value *yaml.Node) { p.literal(name, value, at) })
		run := field(step, "run")
		if run == nil || run.Kind != yaml.ScalarNode {
			continue
		}
		n := *run
		n.Value = expression.ReplaceAllStringFunc(n.Value, func(e string) string {
			if p.expressions(e) {
				of[placeholder] = true
				return "${" + placeholder + "}"
			}
			return "expression"
		})
		if traced(scalar(field(step, "shell"))) && len(of) > 0 {
			p.say(run.Line, at, Traces)
		}
		p.scriptNode(&n, at, of, true)
	}
}

// traced reports whether a shell is begun so that it prints its commands.
func traced(shell string) bool {
	words := strings.Fields(shell)
	for i, w := range words {
		if i > 0 && strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && strings.Contains(w, "x") {
			return true
		}
	}
	return false
}
