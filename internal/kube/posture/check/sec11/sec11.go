package sec11

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo/pipeline"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// ID is stable.
const ID = "SEC-11"

// Check returns the check.
func Check() check.Check {
	return check.Check{ID: ID, Title: "CI/CD pipelines mask secrets: no credential comes into their logs", Needs: []string{"repos"}, Judge: judge}
}

// problems are what is said of each, a line each.
var problems = map[string]struct {
	severity check.Severity
	message  string
	fix      string
}{
	pipeline.Echoes:       {check.High, "prints a secret into the log", "Take the line out. If the value is needed further on, pipe it, or write it into a file that is removed. Then change the secret: logs are kept"},
	pipeline.Literal:      {check.High, "has a secret in its own text", "Put it into the CI system's store of secrets, or a vault, and change it: the text is in Git (SEC-13)"},
	pipeline.Dumps:        {check.Medium, "prints all environment variables, secrets among them", "Print the variables that are wanted by name"},
	pipeline.Traces:       {check.Medium, "prints its commands (set -x) while they have a secret in them", "Write set +x before the command, or leave -x out"},
	pipeline.Unmasked:     {check.Medium, "hands on what it fetched from a store, which nothing masks", `Write echo "::add-mask::$VALUE" before it`},
	pipeline.Interpolated: {check.Medium, "has Groovy put a secret into the text of a command, which processes and logs show", "Use single quotes: the shell has the variable in its environment"},
}

// notes are what a CI system does not do, or does not show here.
var notes = map[string]string{
	"gitlab": "GitLab masks variables that its settings say to mask: that is not in the repository",
	"argo":   "Argo Workflows masks nothing: what is printed stands in the log",
	"tekton": "Tekton masks nothing: what is printed stands in the log",
}

func judge(in *check.Input) check.Verdict {
	files, secrets, masked := 0, 0, true
	v := check.Verdict{}
	kinds := map[string]bool{}
	var unread []string
	for i := range in.Repos {
		r := &in.Repos[i]
		for j := range r.Pipelines {
			p := &r.Pipelines[j]
			files++
			secrets += p.Secrets
			if note := notes[p.Kind]; note != "" && p.Secrets > 0 && !kinds[p.Kind] {
				v.Evidence = append(v.Evidence, check.Evidence{Object: object(p), Fact: note})
				kinds[p.Kind] = true
			}
			if len(p.Unread) > 0 {
				unread = append(unread, fmt.Sprintf("all of %s: %s", p.File, strings.Join(p.Unread, "; ")))
			}
			masked = masked && (p.Kind != "gitlab" || p.Secrets == 0)
			v.Findings = append(v.Findings, findings(r, p)...)
		}
	}
	if files == 0 {
		v.Answer, v.Summary = check.Unknown, "No pipeline was seen"
		v.Needs = []string{"--repo DIR: a repository with pipelines of GitHub, GitLab, Jenkins, Argo Workflows or Tekton"}
		return v
	}
	v.Summary = fmt.Sprintf("%d places in %d pipelines, which use %d secrets, can bring one into a log", len(v.Findings), files, secrets)
	if !masked {
		unread = append(unread, "GitLab's settings of CI/CD variables: whether those that are secrets are masked")
	}
	v.Answer, v.Needs = answer(v.Findings, unread)
	return v
}

// answer weighs findings, and what could not be seen, of which it names some.
func answer(found []check.Finding, unseen []string) (check.Answer, []string) {
	switch {
	case bad(found):
		return check.No, nil
	case len(found) > 0:
		return check.Partly, nil
	case len(unseen) == 0:
		return check.Yes, nil
	}
	const few = 5
	if more := len(unseen) - few; more > 0 {
		unseen = append(unseen[:few:few], fmt.Sprintf("and of %d more", more))
	}
	return check.Unknown, unseen
}

func bad(list []check.Finding) bool {
	for i := range list {
		if list[i].Severity.AtLeast(check.High) {
			return true
		}
	}
	return false
}

func object(p *snapshot.Pipeline) snapshot.Ref {
	return snapshot.Ref{Group: p.Kind, Kind: "Pipeline", Name: p.File}
}

// findings has one for each step with a problem. Its field is the job and step, and
// which of several it is: lines move.
func findings(r *snapshot.Repo, p *snapshot.Pipeline) []check.Finding {
	var out []check.Finding
	count := map[string]int{}
	for _, s := range p.Steps {
		what, known := problems[s.Problem]
		if !known {
			continue
		}
		field := strings.Trim(s.Job+"/"+s.Name, "/")
		count[field+s.Problem]++
		if n := count[field+s.Problem]; n > 1 {
			field = fmt.Sprintf("%s (%d)", field, n)
		}
		out = append(out, check.Finding{
			Rule: s.Problem, Severity: what.severity, Object: object(p), Field: field, Place: fmt.Sprintf("%s: %s:%d", r.Place, p.File, s.Line),
			Message: fmt.Sprintf("Line %d %s", s.Line, what.message), Fix: check.Fix{Text: what.fix},
		})
	}
	return out
}
