package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Problems, the words of snapshot.Step.
const (
	Echoes   = "EchoesSecret"
	Traces   = "TracesCommands"
	Dumps    = "DumpsEnvironment"
	Unmasked = "NotMasked"
	Literal  = "Literal"
	// Interpolated is Groovy putting a secret into the text of a command.
	Interpolated = "Interpolated"
)

// largest bounds a file that is looked at, in bytes.
const largest = 1 << 20

// Candidate reports whether a file may be a pipeline, by its name. Of Kubernetes
// manifests only the content tells.
func Candidate(file string) bool {
	base := path.Base(file)
	return strings.HasPrefix(base, "Jenkinsfile") || strings.HasSuffix(base, ".jenkinsfile") || strings.HasSuffix(base, ".yml") || strings.HasSuffix(base, ".yaml")
}

// Read reads a file as the pipeline that its name or content says it is; false if
// it is none. Of one that is a pipeline by its name, and cannot be read, Unread says
// why. A YAML file may have several pipelines, as documents; they are one here.
func Read(file string, text []byte) (snapshot.Pipeline, bool) {
	base, dir := path.Base(file), path.Dir(file)
	p := &reader{out: snapshot.Pipeline{File: file, Kind: byName(base, dir)}, secrets: map[string]bool{}}
	switch {
	case len(text) > largest:
		p.unread("it is over 1 MiB")
		return p.done()
	case slices.Contains(foreign, p.out.Kind):
		p.unread("pipelines of this system are not read")
		return p.done()
	case p.out.Kind == "jenkins":
		p.jenkins(string(text))
		return p.done()
	}
	roots, whole := documents(text)
	if !whole {
		p.unread("it is not YAML all through")
	}
	if len(roots) == 0 && whole {
		return snapshot.Pipeline{}, false
	}
	p.read(base, dir, roots)
	return p.done()
}

// read reads documents.
func (p *reader) read(base, dir string, roots []*yaml.Node) {
	for _, root := range roots {
		switch kind := kindOf(base, dir, root); kind {
		case "":
		case "github":
			p.out.Kind = kind
			p.github(root)
		case "gitlab":
			p.out.Kind = kind
			p.gitlab(root)
		default:
			p.out.Kind = kind
			p.containers(root, "", 0)
		}
	}
}

// foreign are systems that are known by their files, and not read.
var foreign = []string{"circleci", "azure", "buildkite", "bitbucket", "drone", "woodpecker", "travis", "appveyor"}

// byName is the system that a file is of by its name alone; "" if that does not say.
func byName(base, dir string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(base, ".yml"), ".yaml")
	switch {
	case strings.HasPrefix(base, "Jenkinsfile"), strings.HasSuffix(base, ".jenkinsfile"):
		return "jenkins"
	case name == base:
		return ""
	case strings.HasSuffix(dir, ".github/workflows"):
		return "github"
	case strings.HasSuffix(name, ".gitlab-ci"):
		return "gitlab"
	case name == "config" && path.Base(dir) == ".circleci":
		return "circleci"
	case path.Base(dir) == ".buildkite":
		return "buildkite"
	case strings.HasPrefix(name, "azure-pipelines"):
		return "azure"
	}
	return map[string]string{"bitbucket-pipelines": "bitbucket", ".drone": "drone", ".woodpecker": "woodpecker", ".travis": "travis", "appveyor": "appveyor"}[name]
}

// kindOf is the system that a document is of, by its name or what it says; "" if none.
func kindOf(base, dir string, root *yaml.Node) string {
	if kind := byName(base, dir); kind != "" {
		return kind
	}
	version := scalar(field(root, "apiVersion"))
	switch {
	case (base == "action.yml" || base == "action.yaml") && field(root, "runs") != nil:
		return "github"
	case strings.HasPrefix(version, "argoproj.io/") && strings.Contains(scalar(field(root, "kind")), "Workflow"):
		return "argo"
	case strings.HasPrefix(version, "tekton.dev/"):
		return "tekton"
	}
	return ""
}

// documents are the mappings of a YAML stream. What cannot be parsed ends it, and it
// is not whole.
func documents(text []byte) (out []*yaml.Node, whole bool) {
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	for len(out) < 1000 {
		var n yaml.Node
		if err := d.Decode(&n); err != nil {
			return out, errors.Is(err, io.EOF)
		}
		if len(n.Content) == 1 && n.Content[0].Kind == yaml.MappingNode {
			out = append(out, n.Content[0])
		}
	}
	return out, false
}

// field is a value of a mapping, nil if it has none of that name.
func field(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// resolve follows an alias once; what it stands for is no alias itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// each calls f with the fields of a mapping, or with nothing.
func each(n *yaml.Node, f func(name string, key, value *yaml.Node)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i].Value, n.Content[i], resolve(n.Content[i+1]))
	}
}

// reader gathers what is wrong with one pipeline.
type reader struct {
	out     snapshot.Pipeline
	secrets map[string]bool // names that are used, to count them
	nodes   int             // that were looked at: aliases can make few of them many
}

// maxNodes bounds what is looked at in one file.
const maxNodes = 100_000

// spent counts a node, and reports whether there were too many.
func (p *reader) spent() bool {
	p.nodes++
	if p.nodes == maxNodes+1 {
		p.unread(fmt.Sprintf("it has more than %d places", maxNodes))
	}
	return p.nodes > maxNodes
}

// unread notes why there may be more than was seen.
func (p *reader) unread(why string) {
	if !slices.Contains(p.out.Unread, why) {
		p.out.Unread = append(p.out.Unread, why)
	}
}

// done is what was gathered; false if it is of no pipeline.
func (p *reader) done() (snapshot.Pipeline, bool) {
	if p.out.Kind == "" {
		return snapshot.Pipeline{}, false
	}
	p.out.Secrets = len(p.secrets)
	slices.SortFunc(p.out.Steps, func(a, b snapshot.Step) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Problem, b.Problem), cmp.Compare(a.Job, b.Job))
	})
	p.out.Steps = slices.Compact(p.out.Steps)
	return p.out, true
}

// place is a job and step, as people call them.
type place struct{ job, step string }

func (p *reader) say(line int, at place, problem string) {
	p.out.Steps = append(p.out.Steps, snapshot.Step{Line: line, Job: word(at.job), Name: word(at.step), Problem: problem})
}

// word is a name as it can be shown: cut, and without what looks like a secret.
func word(name string) string {
	if len(name) > 80 {
		name = name[:80]
	}
	if looks.Of("", []byte(name)).Sensitive() {
		return "*"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, name), "")
}

// script looks at one that begins at line. secret says which variables are.
func (p *reader) script(text string, line int, at place, secret map[string]bool, masks bool) {
	hits, whole := inspect(text, secret, masks)
	if !whole {
		p.unread(fmt.Sprintf("a shell does not take the script at line %d", line))
	}
	for _, h := range hits {
		p.say(line+h.line-1, at, h.problem)
	}
}

// scriptNode looks at the scalar that a script stands in.
func (p *reader) scriptNode(n *yaml.Node, at place, secret map[string]bool, masks bool) {
	line := n.Line
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		line++
	}
	p.script(n.Value, line, at, secret, masks)
}

// literal notes a value that stands there in clear.
func (p *reader) literal(name string, n *yaml.Node, at place) {
	if n != nil && n.Kind == yaml.ScalarNode && isLiteral(name, n.Value) {
		p.say(n.Line, at, Literal)
	}
}

// isLiteral reports whether value is a secret that stands there itself. Entropy alone
// makes none: pipelines are full of digests.
func isLiteral(name, value string) bool {
	if strings.Contains(value, "${{") || strings.Contains(value, "$(") || strings.HasPrefix(value, "$") {
		return false
	}
	l := looks.Of(name, []byte(value))
	return l.Sensitive() && l != snapshot.LooksRandom
}

// secretName is how variables are called that hold secrets, where nothing else
// tells: those that GitLab's settings or a runner put there.
var secretName = regexp.MustCompile(`(?i)(?:^|_)(?:password|passwd|pass|token|secret|secret_key|api_?key|access_key|private_key|credentials?|pwd)$`)

func named(name string) bool { return secretName.MatchString(name) }
