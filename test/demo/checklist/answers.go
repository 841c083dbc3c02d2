package checklist

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/test/demo/report"
)

// questions is how many there are.
const questions = 14

// Answers are what `strongkeep check -o json` says, as far as it is looked at.
type Answers struct {
	Results []Result `json:"results"`
}

// Result is the answer to one question.
type Result struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Answer   string    `json:"answer"`
	Needs    []string  `json:"needs"`
	Summary  string    `json:"summary"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is wrong.
type Finding struct {
	Rule   string `json:"rule"`
	Object struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"object"`
}

// Ask asks all questions, and is wrong if one is not answered.
func (a *Act) Ask(ctx context.Context) (report.Outcome, error) {
	answers, err := a.ask(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "strongkeep check answers all fourteen questions about this cluster", Notes: a.lines(answers)}, nil
}

func (a *Act) ask(ctx context.Context) (*Answers, error) {
	got := &Answers{}
	// What nobody used for ten seconds counts as unused: the demo has no quarter to wait.
	args := []string{"check", "-kubeconfig=" + a.Kubeconfig, "-fail-on=none", "-unused=10s",
		"-encryption-config=" + a.Control.Encryption, "-audit-policy=" + a.Control.Policy, "-audit-log=" + a.Control.Log, "-repo=" + a.repo()}
	if err := a.Server.Read(ctx, got, "", append(args, a.Control.reported()...)...); err != nil {
		return nil, err
	}
	if a.before == nil {
		a.before = got
	}
	return got, got.complete()
}

// complete reports what is not answered, or without saying why.
func (a *Answers) complete() error {
	var missing []string
	for _, r := range a.Results {
		if r.Answer == "cannot tell" || r.Summary == "" {
			missing = append(missing, r.ID+": "+r.Answer+" "+strings.Join(r.Needs, "; "))
		}
	}
	if len(a.Results) != questions || len(missing) > 0 {
		return fmt.Errorf("%d questions were asked, and these are not answered with evidence: %s", len(a.Results), strings.Join(missing, ", "))
	}
	return nil
}

// has reports whether something is found.
func (a *Answers) has(check, rule, object string) bool {
	return slices.ContainsFunc(a.Results, func(r Result) bool {
		return r.ID == check && slices.ContainsFunc(r.Findings, func(f Finding) bool {
			return f.Rule == rule && f.Object.Kind+" "+strings.TrimPrefix(f.Object.Namespace+"/"+f.Object.Name, "/") == object
		})
	})
}

// lines are the answers for people, with those before if there were others.
func (a *Act) lines(now *Answers) []string {
	var out []string
	for i, r := range now.Results {
		was, is := a.before.Results[i], r
		change := fmt.Sprintf("%-9s", is.Answer)
		if now != a.before {
			change = fmt.Sprintf("%-6s → %-6s", was.Answer, is.Answer)
		}
		findings := fmt.Sprintf("%3d found", len(is.Findings))
		if now != a.before && len(was.Findings) != len(is.Findings) {
			findings = fmt.Sprintf("%3d → %d found", len(was.Findings), len(is.Findings))
		}
		out = append(out, fmt.Sprintf("%s  %s %-13s  %s", r.ID, change, findings, r.Title))
	}
	return out
}
