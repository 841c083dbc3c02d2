package pipeline_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/repo/pipeline"
)

// canary is a token that must never be told.
const canary = "ghp_Cana91cc0123456789abcdefghijklmnopqr"

func steps(t *testing.T, file, text string) string {
	t.Helper()
	p, ok := pipeline.Read(file, []byte(text))
	if !ok {
		t.Errorf("%s is taken for no pipeline", file)
	}
	raw, err := json.Marshal(p)
	if err != nil || strings.Contains(string(raw), canary) {
		t.Errorf("%v: a value is told: %s", err, raw)
	}
	var out []string
	for _, s := range p.Steps {
		out = append(out, fmt.Sprintf("%d %s", s.Line, s.Problem))
	}
	return strings.Join(out, "; ")
}

// workflow is one of GitHub with a step whose script begins at line 10.
func workflow(script string) string {
	return "on: push\njobs:\n  build:\n    env:\n      DB: ${{ secrets.DB_PASSWORD }}\n      MODE: fast\n    steps:\n    - name: test\n      run: |\n        " + strings.ReplaceAll(script, "\n", "\n        ") + "\n"
}

func TestScripts(t *testing.T) {
	for script, want := range map[string]string{
		`echo "$DB"`:                                        "10 EchoesSecret",
		"true\nprintf '%s' ${DB}":                           "11 EchoesSecret",
		`echo ${{ secrets.DB_PASSWORD }}`:                   "10 EchoesSecret",
		`echo "${{ secrets['DB_PASSWORD'] }}"`:              "10 EchoesSecret",
		`echo ${{ toJSON(secrets) }}`:                       "10 EchoesSecret",
		`echo "$DB" | base64`:                               "10 EchoesSecret",
		`echo "$DB" | tee file`:                             "10 EchoesSecret",
		`echo "$DB" >&2`:                                    "10 EchoesSecret",
		`echo "$DB" > /dev/stderr`:                          "10 EchoesSecret",
		"X=\"$DB\"\necho \"$X\"":                            "11 EchoesSecret",
		"X=$(echo \"$DB\" | base64)\necho $X":               "11 EchoesSecret",
		"cat <<END\npw: $DB\nEND":                           "10 EchoesSecret",
		"if true; then for i in 1; do (echo $DB); done; fi": "10 EchoesSecret",
		"printenv DB":                                       "10 EchoesSecret",
		"env":                                               "10 DumpsEnvironment",
		"env | sort":                                        "10 DumpsEnvironment",
		"export -p":                                         "10 DumpsEnvironment",
		"set -ex\npsql \"postgres://u:$DB@h\"":              "10 TracesCommands",
		"set -o xtrace\ncurl -H \"X: $DB\" h":               "10 TracesCommands",
		"T=$(vault kv get -field=t secret/a)\necho \"T=$T\" >> \"$GITHUB_ENV\"":             "11 NotMasked",
		"echo \"T=$(aws secretsmanager get-secret-value --secret-id a)\" >> $GITHUB_OUTPUT": "10 NotMasked",
		"vault kv get secret/a":             "10 EchoesSecret",
		"kubectl get secret db -o yaml":     "10 EchoesSecret",
		"export API_TOKEN=" + canary:        "10 Literal",
		"DB_PASSWORD=correct-horse-7 ./run": "",
		// No leaks.
		`echo "$MODE"`:                                    "",
		`echo 'the password is in $DB'`:                   "",
		`echo "${#DB} ${DB:+set}"`:                        "",
		`echo "$DB" | docker login --password-stdin -u x`: "",
		`echo "$DB" > file`:                               "",
		`echo "::add-mask::$DB"`:                          "",
		`echo "$(echo "$DB" | sha256sum)"`:                "",
		"env FOO=1 make":                                  "",
		"env > file":                                      "",
		"set -x\nmake":                                    "",
		"set -x\nmake\nset +x\ncurl -u \"$DB\" h":         "",
		"T=$(vault kv get -field=t secret/a)\necho \"::add-mask::$T\"\necho \"T=$T\" >> \"$GITHUB_ENV\"": "",
		"kubectl get secret db": "",
		"cat file":              "",
		"psql \"$DB\"":          "",
		"if then (":             "",
	} {
		if got := steps(t, ".github/workflows/ci.yml", workflow(script)); got != want {
			t.Errorf("%s:\n  %q, not %q", script, got, want)
		}
	}
}

func TestGitHub(t *testing.T) {
	for text, want := range map[string]string{
		"jobs: {a: {env: {TOKEN: " + canary + "}, steps: []}}":                                                      "1 Literal",
		"jobs: {a: {steps: [{uses: x, with: {password: " + canary + "}}]}}":                                         "1 Literal",
		"jobs: {a: {steps: [{uses: x, with: {password: '${{ secrets.X }}'}}]}}":                                     "",
		"env: {ACTIONS_STEP_DEBUG: 'true'}":                                                                         "1 TracesCommands",
		"jobs:\n  a:\n    steps:\n    - run: make\n      shell: bash -ex {0}\n      env: {A: '${{ secrets.A }}'}\n": "4 TracesCommands",
		"jobs:\n  a:\n    steps:\n    - {run: env}\n":                                                               "",
		"jobs:\n  a:\n    env: {DB: '${{ secrets.DB }}'}\n    steps:\n    - {run: echo $DB, env: {DB: plain}}\n":    "",
		"jobs: {a: {steps: [{uses: x@0123456789abcdef0123456789abcdef01234567}]}}":                                  "",
	} {
		if got := steps(t, "x/.github/workflows/ci.yaml", text); got != want {
			t.Errorf("%s:\n  %q, not %q", text, got, want)
		}
	}
	if got := steps(t, "deploy/action.yml", "runs:\n  using: composite\n  steps:\n  - run: echo ${{ secrets.A }}\n"); got != "4 EchoesSecret" {
		t.Errorf("an action: %q", got)
	}
	p, _ := pipeline.Read(".github/workflows/a.yml", []byte("jobs: {a: {steps: [{run: 'curl ${{ secrets.A }} ${{ secrets.B }}', env: {X: '${{ secrets.A }}'}}]}}"))
	if p.Secrets != 2 || p.Kind != "github" {
		t.Errorf("%+v", p)
	}
}

func TestGitLab(t *testing.T) {
	for text, want := range map[string]string{
		"build: {script: ['echo $DEPLOY_TOKEN']}":                                           "1 EchoesSecret",
		"build:\n  script:\n  - make\n  - |\n    true\n    echo $CI_REGISTRY_PASSWORD\n":    "6 EchoesSecret",
		"build: {script: ['echo $CI_COMMIT_SHA']}":                                          "",
		"build: {script: ['echo $CI_REGISTRY_PASSWORD | docker login --password-stdin']}":   "",
		"variables: {CI_DEBUG_TRACE: 'true'}":                                               "1 TracesCommands",
		"variables: {API_TOKEN: {value: " + canary + "}}":                                   "1 Literal",
		"variables: {KEY_FILE: /etc/key, PASSWORD: $VAULTED}":                               "",
		"build:\n  variables: {X: $DB_PASSWORD}\n  script: ['echo $X']\n":                   "3 EchoesSecret",
		"build:\n  secrets: {CREDS: {vault: a/b}}\n  script:\n  - cat x\n  - echo $CREDS\n": "5 EchoesSecret",
		"build:\n  script:\n  - set -x\n  - curl -H $API_TOKEN h\n":                         "3 TracesCommands",
		"build:\n  script:\n  - set -x\n  - set +x\n  - curl -H $API_TOKEN h\n":             "",
		".a: &a [echo $API_TOKEN]\nbuild:\n  script:\n  - *a\n":                             "1 EchoesSecret",
	} {
		if got := steps(t, ".gitlab-ci.yml", text); got != want {
			t.Errorf("%s:\n  %q, not %q", text, got, want)
		}
	}
}

func TestJenkins(t *testing.T) {
	const with = "stage('Deploy') {\nwithCredentials([string(credentialsId: 'x', variable: 'TOKEN'), usernamePassword(credentialsId: 'y', usernameVariable: 'U', passwordVariable: 'P')]) {\n"
	for text, want := range map[string]string{
		with + "sh 'echo $TOKEN'\n}}":                                     "3 EchoesSecret",
		with + "sh \"curl -H 'X: ${TOKEN}' h\"\n}}":                       "3 Interpolated",
		with + "sh '''\nset -x\ncurl -u $P h\n'''\n}}":                    "4 TracesCommands",
		with + "sh(script: 'env', returnStatus: true)\n}}":                "3 DumpsEnvironment",
		with + "echo \"token is ${TOKEN}\"\n}}":                           "3 EchoesSecret",
		with + "println(TOKEN)\n}}":                                       "3 EchoesSecret",
		with + "sh 'curl -H \"X: $TOKEN\" h'\n}}":                         "",
		with + "sh \"curl -H \\$TOKEN h\"\n}}":                            "",
		with + "echo 'TOKEN'\n}}":                                         "",
		with + "echo \"user ${U}\"\n}}":                                   "",
		"environment {\n  DB = credentials('db')\n}\nsh 'echo $DB_PSW'\n": "4 EchoesSecret",
		"environment {\n  API_TOKEN = '" + canary + "'\n}\n":              "2 Literal",
	} {
		if got := steps(t, "ci/Jenkinsfile", text); got != want {
			t.Errorf("%s:\n  %q, not %q", text, got, want)
		}
	}
}

func TestContainers(t *testing.T) {
	const argo = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: w}\nspec:\n  templates:\n  - name: t\n"
	const env = ", env: [{name: DB, valueFrom: {secretKeyRef: {name: db, key: password}}}]}\n"
	for text, want := range map[string]string{
		argo + "    container: {command: [sh, -c], args: ['echo $DB']" + env:                             "7 EchoesSecret",
		argo + "    container: {command: [/bin/bash, -ec, 'echo $DB']" + env:                             "7 EchoesSecret",
		argo + "    container: {command: [echo], args: ['$(DB)']" + env:                                  "",
		argo + "    script: {image: a, source: 'env'" + env:                                              "7 DumpsEnvironment",
		argo + "    container: {command: [sh, -c], args: ['psql $DB']" + env:                             "",
		argo + "    container: {env: [{name: TOKEN, value: " + canary + "}]}\n":                          "7 Literal",
		argo + "    container: {env: [{name: TOKEN_FILE, value: /run/token}]}\n":                         "",
		"apiVersion: tekton.dev/v1\nkind: Task\nspec:\n  steps:\n  - {name: s, script: 'echo $DB'" + env: "5 EchoesSecret",
	} {
		if got := steps(t, "ci/tasks.yaml", text); got != want {
			t.Errorf("%s:\n  %q, not %q", text, got, want)
		}
	}
	for file, text := range map[string]string{"a.yaml": "apiVersion: v1\nkind: Pod\n", "b.yml": "a: [", "c.txt": "jobs: {}"} {
		if _, ok := pipeline.Read(file, []byte(text)); ok {
			t.Errorf("%s is taken for a pipeline", file)
		}
	}
}

// What cannot be read of a pipeline is said, so that nobody takes it for clean.
func TestUnread(t *testing.T) {
	const clean = "jobs: {a: {steps: [{run: make}]}}\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"no YAML":                {".github/workflows/ci.yml", "jobs: [", "not YAML"},
		"no YAML further on":     {".github/workflows/ci.yml", clean + "---\njobs: [", "not YAML"},
		"too large":              {".gitlab-ci.yml", "# " + strings.Repeat("x", 1<<20), "1 MiB"},
		"too large for Jenkins":  {"Jenkinsfile", strings.Repeat("x", 1<<20+1), "1 MiB"},
		"a script of no shell":   {".github/workflows/ci.yml", "jobs:\n  a:\n    steps:\n    - run: 'if ((('\n", "line 4"},
		"too many places":        {"w.yaml", "apiVersion: tekton.dev/v1\na: [" + strings.Repeat("{b: c},", 60_000) + "]\n", "places"},
		"CircleCI":               {".circleci/config.yml", "jobs: {}", "not read"},
		"Azure Pipelines":        {"ci/azure-pipelines-release.yaml", "steps: []", "not read"},
		"all of it":              {".github/workflows/ci.yml", clean, ""},
		"all of several of them": {"w.yaml", "apiVersion: tekton.dev/v1\n---\nkind: Pod\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, ok := pipeline.Read(c.file, []byte(c.text))
			if got := strings.Join(p.Unread, "; "); !ok || !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
				t.Errorf("%v %q, not %q", ok, got, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(".github/workflows/a.yml", workflow("echo $DB | base64"))
	f.Add(".gitlab-ci.yml", ".a: &a [echo $API_TOKEN]\nbuild:\n  script:\n  - *a\n")
	f.Add(".gitlab-ci.yml", "a: &a\n- *a\nb: {script: *a}\n")
	f.Add("Jenkinsfile", "sh \"echo ${TOKEN}\"\nwithCredentials([string(variable: 'TOKEN')])")
	f.Add("x.yaml", "apiVersion: argoproj.io/v1\nkind: Workflow\na: &a {b: *a}\n")
	f.Fuzz(func(t *testing.T, file, text string) {
		p, ok := pipeline.Read(file, []byte(text))
		if ok && p.Kind == "" {
			t.Error("a pipeline of no kind")
		}
		for _, s := range p.Steps {
			if s.Line < 1 || s.Problem == "" {
				t.Errorf("%+v", s)
			}
		}
	})
}
