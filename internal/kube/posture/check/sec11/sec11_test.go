package sec11_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec11"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo/pipeline"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// with is a snapshot with these pipelines, "file: text".
func with(t *testing.T, files map[string]string) snapshot.Snapshot {
	t.Helper()
	r := snapshot.Repo{Place: "shop"}
	for file, text := range files {
		p, ok := pipeline.Read(file, []byte(text))
		if !ok {
			t.Fatalf("%s is no pipeline", file)
		}
		r.Pipelines = append(r.Pipelines, p)
	}
	return snapshot.Snapshot{Repos: []snapshot.Repo{r}}
}

func TestCheck(t *testing.T) {
	github := func(run string) map[string]string {
		return map[string]string{".github/workflows/ci.yml": "jobs:\n  a:\n    env: {DB: '${{ secrets.DB }}'}\n    steps:\n    - name: test\n      run: " + run + "\n"}
	}
	const at = " Pipeline .github/workflows/ci.yml at a/test"
	checktest.Run(t, sec11.Check(), []checktest.Case{
		{Name: "no repository", Answer: check.Unknown, Needs: []string{"--repo"}},
		{Name: "no pipeline", Answer: check.Unknown, Needs: []string{"--repo"}, Snapshot: snapshot.Snapshot{Repos: []snapshot.Repo{{Place: "shop"}}}},
		{Name: "a login by a pipe", Answer: check.Yes, Snapshot: with(t, github("'echo $DB | docker login --password-stdin'"))},
		{Name: "printed", Answer: check.No, Findings: []string{"EchoesSecret" + at}, Snapshot: with(t, github("echo $DB"))},
		{Name: "printed twice", Answer: check.No, Findings: []string{"EchoesSecret" + at, "EchoesSecret" + at + " (2)"}, Snapshot: with(t, github("\"echo $DB\\necho $DB\""))},
		{Name: "dumped", Answer: check.Partly, Findings: []string{"DumpsEnvironment" + at}, Snapshot: with(t, github("env"))},
		{Name: "GitLab's settings are not here", Answer: check.Unknown, Needs: []string{"GitLab's settings"}, Snapshot: with(t, map[string]string{".gitlab-ci.yml": "a: {script: ['curl -u $API_TOKEN h']}"})},
		{Name: "GitLab without secrets", Answer: check.Yes, Snapshot: with(t, map[string]string{".gitlab-ci.yml": "a: {script: [make]}"})},
		{Name: "one that cannot be read beside a good one", Answer: check.Unknown, Needs: []string{".github/workflows/release.yml"},
			Snapshot: with(t, map[string]string{".github/workflows/ci.yml": "jobs: {a: {steps: [{run: make}]}}", ".github/workflows/release.yml": "jobs: ["})},
		{Name: "a script that cannot be read, and one that prints", Answer: check.No, Findings: []string{"EchoesSecret" + at}, Snapshot: with(t, map[string]string{
			".github/workflows/ci.yml": github("echo $DB")[".github/workflows/ci.yml"], ".github/workflows/x.yml": "jobs: {a: {steps: [{run: 'if ((('}]}}"})},
		{Name: "another system", Answer: check.Unknown, Needs: []string{".circleci/config.yml"}, Snapshot: with(t, map[string]string{".circleci/config.yml": "jobs: {}"})},
		{Name: "Jenkins", Answer: check.Partly, Findings: []string{"Interpolated Pipeline Jenkinsfile"}, Snapshot: with(t, map[string]string{"Jenkinsfile": "withCredentials([string(variable: 'T')]) {\nsh \"curl ${T}\"\n}"})},
	})
}
