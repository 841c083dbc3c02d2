package whocan

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// answer is what who-can prints as JSON. Fields are only ever added.
type answer struct {
	Secret  string   `json:"secret"`
	Readers []reader `json:"readers"`
	// Builtin is how many of Kubernetes' own get at it and are not listed.
	Builtin int `json:"builtinNotListed"`
	// Gone are those who would not without the bindings that were left out.
	Gone []string `json:"gone,omitempty"`
}

type reader struct {
	Subject string `json:"subject"` // Kind/name, ServiceAccount/namespace/name
	Builtin bool   `json:"builtin,omitempty"`
	// Later: only what is written from now on.
	Later bool   `json:"later,omitempty"`
	Steps []step `json:"steps"`
}

type step struct {
	Subject string  `json:"subject"`
	Kind    string  `json:"kind"` // see docs/who-can.md
	On      string  `json:"on"`
	Binding string  `json:"binding,omitempty"` // Kind namespace/name
	Role    string  `json:"role,omitempty"`
	Rule    *ruling `json:"rule,omitempty"`
	words   string
}

type ruling struct {
	Verbs         []string `json:"verbs"`
	APIGroups     []string `json:"apiGroups"`
	Resources     []string `json:"resources"`
	ResourceNames []string `json:"resourceNames,omitempty"`
}

// shape makes the answer of what was found. Kubernetes' own are counted, and
// listed if builtin.
func shape(secret path.Name, readers []path.Reader, builtin bool) *answer {
	a := &answer{Secret: secret.String(), Readers: []reader{}}
	for i := range readers {
		r := &readers[i]
		if r.Builtin() && !builtin {
			a.Builtin++
			continue
		}
		a.Readers = append(a.Readers, reader{Subject: r.Subject.String(), Builtin: r.Builtin(), Later: r.Later(), Steps: steps(r.Steps)})
	}
	return a
}

func steps(list []path.Step) []step {
	var out []step
	for i := range list {
		s := &list[i]
		one := step{Subject: s.Subject.String(), Kind: string(s.Kind), On: s.On, words: words(s, i == len(list)-1)}
		if c := s.Capability; c != nil {
			b, rule := c.Grant.Binding, c.Rule()
			one.Binding = b.Kind() + " " + qualified(b.Namespace, b.Name)
			one.Role = b.Role.Kind() + " " + qualified(b.Role.Namespace, b.Role.Name)
			one.Rule = &ruling{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames}
		}
		out = append(out, one)
	}
	return out
}

func qualified(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// acts are what people read of each kind; %s is what it is done to.
var acts = map[path.Kind]string{
	path.Superuser:        "is asked about by no authorizer",
	path.Node:             "is the node that runs %s",
	path.CreatePods:       "creates pods in %s",
	path.CreateWorkloads:  "creates or changes %s in %s",
	path.ChangePods:       "puts another image into %s",
	path.DebugPods:        "adds a container to %s",
	path.ExecPods:         "runs commands in %s",
	path.CreateTokens:     "makes tokens of %s",
	path.CreateSecrets:    "makes a token Secret of %s and reads it",
	path.ImpersonateUser:  "impersonates %s",
	path.ImpersonateGroup: "impersonates %s",
	path.ImpersonateRobot: "impersonates %s",
	path.BorrowUser:       "impersonates %s for this",
	path.BorrowGroup:      "impersonates %s for this",
	path.BorrowRobot:      "impersonates %s for this",
	path.BorrowNode:       "impersonates %s for this",
	path.BorrowHost:       "impersonates %s, which runs it, for this",
	path.MapUsers:         "says by %s that it is one of system:masters",
	path.Bind:             "binds itself a role that reads it, in %s",
	path.Escalate:         "writes the right into a role that it has, in %s",
	path.NodesProxy:       "runs commands by the kubelet in %s",
	path.ApproveCSRs:      "approves itself a certificate as %s",
	path.WriteWebhooks:    "will see each Secret that is written, by %s",
	path.WritePolicies:    "will change each pod that is created, by %s",
	path.WriteAPIServices: "will receive requests, by %s",
	path.WriteStores:      "has the operator send it to a server, by a store in %s",
	path.PushSecrets:      "has the operator push it to a store, from %s",
	path.ReadCopy:         "reads a copy of it, %s",
	path.ApplyPods:        "applies pods by name in %s",
	path.ApplySecrets:     "applies a token Secret of %s by name and reads it",
	path.DeputySends:      "has an operator send it to a server, by %s in %s",
	path.DeputyActs:       "has an operator act as %s, by %s",
	path.BreakOut:         "gets onto %s",
	path.FetchSecrets:     "has the operator fetch it from %s",
	path.MirrorSecrets:    "has a replicator copy it, by the Secret's %s",
}

// disguises are the same where it is done to act as somebody, which is what %s says.
var disguises = map[path.Kind]string{
	path.CreatePods:  "creates pods that run as %s",
	path.ApplyPods:   "applies pods by name that run as %s",
	path.WriteStores: "has the operator send a token of %s to a server",
}

// words say what a step does. last is whether it gets at the Secret itself.
func words(s *path.Step, last bool) string {
	on := s.On
	switch s.Kind {
	case path.Read:
		return "reads it"
	case path.CreateWorkloads:
		place := on
		if !last {
			place = "its namespace, to run as " + on
		}
		return fmt.Sprintf(acts[s.Kind], s.Capability.Resource, place)
	case path.DeputySends:
		return fmt.Sprintf(acts[s.Kind], s.Capability.Resource, on)
	case path.DeputyActs:
		return fmt.Sprintf(acts[s.Kind], on, s.Capability.Resource)
	}
	text := acts[s.Kind]
	if disguise, ok := disguises[s.Kind]; ok && !last {
		text = disguise
	}
	if strings.Contains(text, "%s") {
		return fmt.Sprintf(text, on)
	}
	return text
}

// chain is a row for each step, of which the first is headed.
func chain(head string, list []step) []session.Row {
	var rows []session.Row
	for i, s := range list {
		how, by := s.words, "-"
		if i > 0 {
			head, how = "", "who is "+s.Subject+", who "+s.words
		}
		if s.Binding != "" {
			by = s.Binding + " -> " + s.Role
		}
		rows = append(rows, session.Row{head, how, by})
	}
	return rows
}

// rows are the answer for eyes.
func (a *answer) rows() (session.Row, []session.Row) {
	var rows []session.Row
	for i := range a.Readers {
		rows = append(rows, chain(a.Readers[i].Subject, a.Readers[i].Steps)...)
	}
	if a.Builtin > 0 {
		rows = append(rows, session.Row{fmt.Sprintf("and %d of Kubernetes' own (-builtin lists them)", a.Builtin)})
	}
	for _, g := range a.Gone {
		rows = append(rows, session.Row{g, "no longer gets at it", "-"})
	}
	return session.Row{"Who", "How", "By"}, rows
}

// gone returns who is among before and not after.
func gone(before, after []path.Reader) []string {
	left := map[access.Subject]bool{}
	for i := range after {
		left[after[i].Subject] = true
	}
	var out []string
	for i := range before {
		if s := before[i].Subject; !left[s] {
			out = append(out, s.String())
		}
	}
	return out
}
