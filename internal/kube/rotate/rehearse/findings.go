package rehearse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
)

// Bounds of a status.
const (
	maxLines    = 100
	maxFindings = 100
	maxText     = 1024 // bytes of a line or message
)

// findings are what would keep a turn from its end.
type findings []v1alpha1.TrialFinding

func (f *findings) add(consumer string, effect v1alpha1.TrialEffect, reason, message string) {
	one := v1alpha1.TrialFinding{Consumer: short(consumer), Effect: effect, Reason: reason, Message: short(message)}
	if !slices.Contains(*f, one) {
		*f = append(*f, one)
	}
}

// outcome is what a rehearsal came to, so far.
type outcome struct {
	lines []string
	found findings
}

func (x *outcome) say(format string, args ...any) {
	x.lines = append(x.lines, fmt.Sprintf(format, args...))
}

// rank orders effects, the worst first.
func rank(e v1alpha1.TrialEffect) int {
	return slices.Index([]v1alpha1.TrialEffect{v1alpha1.TrialEffectFails, v1alpha1.TrialEffectHolds, v1alpha1.TrialEffectUnknown}, e)
}

// write writes the outcome into s, within its bounds.
func (x *outcome) write(s *v1alpha1.RehearsalStatus) {
	found := slices.Clone(x.found)
	slices.SortStableFunc(found, func(a, b v1alpha1.TrialFinding) int {
		return cmp.Or(rank(a.Effect)-rank(b.Effect), strings.Compare(a.Consumer, b.Consumer))
	})
	s.Verdict = verdict(found)
	s.WouldBreak, s.More = found, 0
	if more := len(found) - maxFindings; more > 0 {
		s.WouldBreak, s.More = found[:maxFindings:maxFindings], int32(min(more, 1<<30))
	}
	s.Lines = nil
	for i, line := range x.lines {
		if i == maxLines-1 && len(x.lines) > maxLines {
			s.Lines = append(s.Lines, fmt.Sprintf("and %d more lines", len(x.lines)-i))
			break
		}
		s.Lines = append(s.Lines, short(line))
	}
}

func verdict(sorted findings) v1alpha1.TrialVerdict {
	if len(sorted) == 0 {
		return v1alpha1.TrialSucceeds
	}
	return map[v1alpha1.TrialEffect]v1alpha1.TrialVerdict{
		v1alpha1.TrialEffectFails: v1alpha1.TrialFails, v1alpha1.TrialEffectHolds: v1alpha1.TrialHolds, v1alpha1.TrialEffectUnknown: v1alpha1.TrialUnknown,
	}[sorted[0].Effect]
}

func short(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText-4], "") + "…"
	}
	return s
}

func describe(o consumer.Object) string {
	s := o.Kind.Kind + " " + o.NamespacedName.String()
	if o.Cluster != "" {
		s = o.Cluster + ": " + s
	}
	return s
}

// consumers says what would hold a turn before it publishes: the same that Decide
// goes by, told by consumer. g is nil when they could not be found.
func (x *outcome) consumers(o rotate.Observed, g *consumer.Graph) {
	for _, text := range o.Blind {
		x.found.add("consumers", v1alpha1.TrialEffectUnknown, "NotObserved", text)
	}
	if g == nil {
		return
	}
	x.say("consumers: %d Secrets, %d workloads, %d pods, %d others that follow by themselves", len(g.Secrets), len(g.Workloads), len(g.Pods), len(g.Others))
	for _, text := range g.Bounds {
		x.say("not looked at: %s", text)
	}
	x.secrets(g)
	for _, text := range g.Unknown {
		if o.Plan.NeedComplete {
			x.found.add("consumers", v1alpha1.TrialEffectHolds, rotate.ReasonConsumersUnknown, "they cannot all be known: "+text)
		} else {
			x.say("consumers that cannot be known: %s", text)
		}
	}
	x.unproven(o, g)
	x.clients(o)
	if o.Plan.NeedBackend == v1alpha1.BackendRequired && !o.Proof.Backend && !o.Turn.NoOld {
		x.found.add("credential", v1alpha1.TrialEffectHolds, rotate.ReasonProofImpossible, "spec.proof.backend is Required, but the target cannot see all sessions; set it to WhereKnown")
	}
	for i := range g.Pods {
		if p := &g.Pods[i]; p.Failing != "" && !p.Deleting {
			x.say("pod %s fails already, which is not held against a turn: %s", p.NamespacedName, p.Failing)
		}
	}
}

// clients says who reads the vault itself, and would have to read it again.
func (x *outcome) clients(o rotate.Observed) {
	if o.Plan.NeedClients == v1alpha1.ClientsIgnored || o.Turn.NoOld {
		return
	}
	for _, name := range o.Proof.Clients {
		x.say("client of the vault itself, which a turn waits for until it has read the new version or has ended: %s", name)
	}
	for _, text := range o.Proof.ClientsUnknown {
		if o.Plan.NeedClients == v1alpha1.ClientsRequired {
			x.found.add("clients", v1alpha1.TrialEffectHolds, rotate.ReasonConsumersUnknown, "clients of the vault itself cannot all be known: "+text)
		} else {
			x.say("clients of the vault itself that cannot be known: %s", text)
		}
	}
}

// secrets says which cannot hold a new version.
func (x *outcome) secrets(g *consumer.Graph) {
	for i := range g.Secrets {
		switch fed := &g.Secrets[i]; {
		case fed.Stuck:
			x.found.add(describe(fed.Object), v1alpha1.TrialEffectHolds, rotate.ReasonSecretsStuck, fed.Problem)
		case fed.Problem != "":
			x.say("%s: %s", describe(fed.Object), fed.Problem)
		}
	}
}

// unproven names the workloads of pods that could never be proven.
func (x *outcome) unproven(o rotate.Observed, g *consumer.Graph) {
	owners := make(map[string]string, len(g.Pods))
	for i := range g.Pods {
		p := &g.Pods[i]
		name := p.NamespacedName.String()
		if p.Cluster != "" {
			name = p.Cluster + ": " + name
		}
		owners[name] = describe(p.Workload)
	}
	for _, text := range o.Proof.Never {
		pod, why, ok := strings.Cut(text, ": ")
		if cluster, rest, _ := strings.Cut(why, ": "); owners[pod] == "" && owners[pod+": "+cluster] != "" {
			pod, why = pod+": "+cluster, rest
		}
		if owner := owners[pod]; ok && owner != "" {
			x.found.add(owner, v1alpha1.TrialEffectHolds, rotate.ReasonProofImpossible, "no pod of it could be proven: "+why)
		} else {
			x.found.add("pods", v1alpha1.TrialEffectHolds, rotate.ReasonProofImpossible, text)
		}
	}
	if n := len(o.Proof.Missing); n > 0 {
		x.say("%d of %d pods would have to show the new version, and can", n, o.Proof.Pods)
	}
}

// restarts tries who would be restarted.
func (x *run) restarts(ctx context.Context, restart controller.Restart) {
	p, err := x.Restarts.Try(ctx, restart)
	if err != nil {
		x.Log.Warn("trying restarts", "rotation", restart.Owner, "error", err)
	}
	tried := 0
	for _, item := range p.Items {
		if x.judge(item) {
			tried++
			x.room(ctx, restart.Method, item.Object)
		}
	}
	if tried > 0 {
		x.say("%d restarts were tried as dry runs, and would be taken", tried)
	}
}

// judge says what item would mean to a turn; true: it would be restarted.
func (x *run) judge(item rollout.Item) bool {
	name := describe(item.Object)
	proven := !slices.ContainsFunc(x.found, func(f v1alpha1.TrialFinding) bool {
		return f.Consumer == name && f.Reason == rotate.ReasonProofImpossible
	})
	switch {
	case item.Blind:
		x.found.add(name, v1alpha1.TrialEffectUnknown, "NotObserved", item.Message)
	case item.State == rollout.Failed:
		x.found.add(name, v1alpha1.TrialEffectHolds, "RestartRefused", item.Message)
	case item.State == rollout.Paused:
		x.found.add(name, v1alpha1.TrialEffectHolds, "Paused", "it is never restarted while it is paused: "+item.Message)
	case item.State == rollout.Waiting && item.Kind.Kind == "Job":
		x.say("%s: %s", name, item.Message)
	case item.State == rollout.Waiting && proven:
		x.found.add(name, v1alpha1.TrialEffectHolds, "RestartWaits", item.Message)
	case item.State == rollout.Skipped:
		x.say("%s is not restarted: %s", name, item.Message)
	case item.State == rollout.Done:
		if item.Message != "" {
			x.say("%s: %s", name, item.Message)
		}
		return true
	}
	return false
}
