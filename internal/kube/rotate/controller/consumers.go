package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	optarget "github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// maxTexts bounds each list of texts in a decision: messages name a few, and
// counts say how many there are.
const maxTexts = 20

// hurry is how often feeders that are late are asked again.
const hurry = 5 * time.Second

func groupVersion(s string) schema.GroupVersion {
	gv, err := schema.ParseGroupVersion(s)
	if err != nil {
		return schema.GroupVersion{}
	}
	return gv
}

// seeConsumers finds who uses the credential and what is known of them.
func (r *Reconciler) seeConsumers(ctx context.Context, l *look) {
	graph, err := r.find(ctx, l)
	if err != nil {
		l.blind("consumers", err)
		return
	}
	l.graph = &graph
	if _, ok := l.target.(target.Witness); ok {
		l.o.Proof.Backend = l.o.Plan.NeedBackend != v1alpha1.BackendIgnored
	}
	l.o.Proof.Unknown = graph.Unknown
	// One that does not answer just now blinds; one that stays away holds.
	held := l.o.Turn.HeldFor == rotate.ReasonClusterUnreached
	waits, holds := l.mem.away.Sort(graph.Unreached, r.Clock.Now(), func(err error) bool { return !held && again(err) })
	l.o.Blind, l.o.Proof.Unreached = append(l.o.Blind, waits...), holds
	r.seeSecrets(ctx, l)
	r.seeClients(ctx, l)
	l.seeFailing()
	phase := origin(l.o.Turn)
	if phase == v1alpha1.PhaseStaged || phase == v1alpha1.PhasePublishing {
		r.foresee(ctx, l)
		return
	}
	if l.o.Rolling, err = r.Roller.Look(ctx, r.restart(l)); err != nil {
		l.blind("workloads", err)
	}
	in := r.input(ctx, l)
	if phase != v1alpha1.PhaseRolling {
		r.seeSessions(ctx, l)
		in.Found = r.Prober.Probe(ctx, Question{
			Rotation: l.name(), Location: l.rot.Status.Location, Version: in.Version, Anew: in.Anew, Graph: l.graph, Sessions: l.sessions,
		})
	}
	r.judge(l, in)
}

// seeOnceMore finds the consumers for the statement of a turn that is over, when
// this process did not see them at its end. What cannot be asked
// does not keep the turn from ending.
func (r *Reconciler) seeOnceMore(ctx context.Context, l *look) {
	o := l.o
	r.seeConsumers(ctx, l)
	l.o = o
}

func (r *Reconciler) input(ctx context.Context, l *look) evidence.Input {
	_, sees := l.target.(target.Witness)
	return evidence.Input{
		Anew: l.o.Turn.NoOld, Back: l.o.Turn.Back != rotate.Forward, Required: l.rot.Spec.Proof.Pod, Method: l.o.Plan.Method, Version: l.rot.Status.Version,
		Secrets: l.graph.Secrets, Pods: l.graph.Pods, Workloads: l.graph.Workloads,
		Nodes: r.Prober.Nodes(ctx), Backend: sees && l.o.Plan.NeedBackend != v1alpha1.BackendIgnored,
	}
}

// foresee judges as if the Secrets held the new version already and nobody had
// followed: what can never be proven shows before anything is published.
func (r *Reconciler) foresee(ctx context.Context, l *look) {
	in := r.input(ctx, l)
	in.Version = fmt.Sprintf("of turn %d", l.o.Turn.Number)
	in.Anew, in.Secrets = true, slices.Clone(in.Secrets)
	for i := range in.Secrets {
		in.Secrets[i].Version, in.Secrets[i].Digest = in.Version, "new"
	}
	r.judge(l, in)
}

// find asks for the graph: with a search for copies where one is due before the turn
// publishes, and with what the last one has found in any case.
func (r *Reconciler) find(ctx context.Context, l *look) (consumer.Graph, error) {
	w, staged, m := l.wanted(), origin(l.o.Turn) == v1alpha1.PhaseStaged, &l.mem.scans
	w.Live, w.Copies = l.live, m.Known(l.o.Turn.Number, staged, l.rot.Status.Copies)
	w.Scan = staged && m.Begin(l.o.Turn.Number, l.o.Turn.HeldFor == rotate.ReasonSecretsStuck, r.Clock.Now())
	graph, err := r.Finder.Find(ctx, w)
	if err == nil && staged {
		if why := m.End(l.o.Turn.Number, w.Scan, &graph); why != "" {
			l.o.Blind = append(l.o.Blind, "copies of the credential: "+why)
		}
	}
	return graph, err
}

// Defaults of spec.rollout, as its documentation names them.
const (
	defaultDeadline      = 10 * time.Minute
	defaultMaxConcurrent = 5
)

func (r *Reconciler) restart(l *look) Restart {
	spec := &l.rot.Spec.Rollout
	return Restart{
		Owner: l.name(), Graph: l.graph, Clusters: l.wanted().Clusters, Method: l.o.Plan.Method, Since: l.o.Turn.Since,
		MaxConcurrent: int(ptr.Deref(spec.MaxConcurrent, defaultMaxConcurrent)),
		Deadline:      ptr.Deref(spec.Deadline, metav1.Duration{Duration: defaultDeadline}).Duration,
	}
}

// seeSecrets says which Secrets hold the version that readers are to see.
func (r *Reconciler) seeSecrets(ctx context.Context, l *look) { //nolint:cyclop // flat: a case after the other
	version := l.rot.Status.Version
	if l.mem.version != version {
		l.mem.version, l.mem.confirmed = version, map[consumer.Object]string{}
	}
	published := !l.o.Turn.Published.IsZero()
	for i := range l.graph.Secrets {
		fed := &l.graph.Secrets[i]
		l.o.Secrets.Total++
		if fed.Stuck {
			l.o.Secrets.Stuck = append(l.o.Secrets.Stuck, fed.String())
		}
		if version == "" || !published {
			continue
		}
		if r.holds(ctx, l, fed, version) {
			l.o.Secrets.Confirmed++
		} else if !fed.Stuck {
			l.o.Secrets.Late = append(l.o.Secrets.Late, fed.String())
		}
	}
	if published && !l.o.Turn.NoOld && consumer.SameValues(l.graph.Secrets, version) {
		l.o.Secrets.Stuck = append(l.o.Secrets.Stuck, "version "+version+" changed no value of any of them: it is the same credential again; roll back, and see why no new one was made")
	}
	if late := len(l.o.Secrets.Late) > 0; late && r.Clock.Since(l.mem.asked) >= hurry {
		r.refresh(l)
	}
}

// holds reports whether a Secret holds version: what the caches say is believed
// only after one live read of the Secret's metadata, and not at all in a live look.
func (r *Reconciler) holds(ctx context.Context, l *look, fed *consumer.Fed, version string) bool {
	if fed.Version != version {
		return false
	}
	if fed.Cluster != "" || fed.Feeder.Name == "" { // read live by the Finder, and without an annotation of ours
		return true
	}
	if at := l.mem.confirmed[fed.Object]; at != "" && at == fed.ResourceVersion && !l.live {
		return true
	}
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := r.Live.Get(ctx, fed.NamespacedName, m); err != nil {
		if client.IgnoreNotFound(err) != nil {
			l.blind("Secret "+fed.NamespacedName.String(), errs.As(errs.Unavailable, err))
		}
		return false
	}
	if optarget.Versions(m.Annotations)[l.rot.Status.Location] != version {
		return false
	}
	l.mem.confirmed[fed.Object] = m.ResourceVersion
	return true
}

// refresh asks whoever feeds a Secret from the credential to do so at once.
func (r *Reconciler) refresh(l *look) {
	l.mem.asked = r.Clock.Now()
	if l.graph == nil {
		return
	}
	for i := range l.graph.Secrets {
		if feeder := l.graph.Secrets[i].Feeder; feeder.Name != "" && l.graph.Secrets[i].Cluster == "" {
			r.Refresh(feeder)
		}
	}
}

// key names a workload in the baseline.
func key(o consumer.Object) string {
	text := o.Kind.Group + "/" + o.Kind.Kind + "/" + o.NamespacedName.String()
	if o.Cluster != "" {
		text = o.Cluster + ":" + text
	}
	return strings.TrimPrefix(text, "/")
}

// seeFailing counts the pods that do not run, and leaves out those that did not
// before the turn published.
func (l *look) seeFailing() {
	l.failing = map[string]int32{}
	texts := map[string][]string{}
	for i := range l.graph.Pods {
		p := &l.graph.Pods[i]
		if p.Failing == "" || p.Deleting {
			continue
		}
		k := key(p.Workload)
		l.failing[k]++
		texts[k] = append(texts[k], p.NamespacedName.String()+": "+p.Failing)
	}
	if l.o.Turn.Published.IsZero() && origin(l.o.Turn) != v1alpha1.PhasePublishing {
		return
	}
	for k, n := range l.failing {
		if n > l.rot.Status.Baseline[k] {
			l.o.Proof.Failing = append(l.o.Proof.Failing, texts[k]...)
		}
	}
	slices.Sort(l.o.Proof.Failing)
	l.o.Proof.Failing = few(l.o.Proof.Failing)
}

func few(texts []string) []string {
	if len(texts) > maxTexts {
		return append(texts[:maxTexts:maxTexts], fmt.Sprintf("and %d more", len(texts)-maxTexts))
	}
	return texts
}

// seeSessions asks the backend who uses which credential.
func (r *Reconciler) seeSessions(ctx context.Context, l *look) {
	witness, ok := l.target.(target.Witness)
	if !ok || l.o.Plan.NeedBackend == v1alpha1.BackendIgnored {
		return
	}
	sessions, err := witness.Sessions(ctx, l.turn())
	if err != nil {
		if again(err) || l.o.Plan.NeedBackend == v1alpha1.BackendRequired {
			l.blind("the backend's sessions", err)
		}
		l.o.Proof.Backend = false // it cannot tell
		return
	}
	if sessions.Partial != "" && l.o.Plan.NeedBackend == v1alpha1.BackendRequired {
		// That it sees none is not its word that there are none.
		l.o.Proof.Backend, l.o.Proof.BackendLacks = false, sessions.Partial
	}
	if origin(l.o.Turn) == v1alpha1.PhaseRollingBack {
		sessions.Old, sessions.New = sessions.New, sessions.Old
	}
	l.sessions, l.o.Proof.OldSessions = &sessions, len(sessions.Old)
}

// judge weighs what is known of each pod.
func (r *Reconciler) judge(l *look, in evidence.Input) {
	j := evidence.Judge(in)
	l.o.Proof.Pods, l.o.Proof.Proven = len(j.Pods), j.Proven
	l.o.Proof.Missing, l.o.Proof.Never = j.Missing, j.Never
	if len(l.o.Blind) > 0 {
		return
	}
	l.proof = &v1alpha1.ProofStatus{
		Summary: fmt.Sprintf("%d/%d pods", j.Proven, len(j.Pods)),
		Secrets: count(l.o.Secrets.Total), SecretsConfirmed: count(l.o.Secrets.Confirmed),
		Workloads: count(len(l.graph.Workloads)), Pods: count(len(j.Pods)), PodsProven: count(j.Proven),
		Complete: len(l.graph.Unknown) == 0, Unknown: few(l.graph.Unknown), Evidence: evidence.Limit(j.Pods, maxEvidence), Clients: l.clients,
	}
	if l.clients != nil && !l.clients.Complete {
		l.proof.Complete = false
	}
	l.judged = j.Pods
	if l.sessions != nil {
		oldOnes, newOnes := count(len(l.sessions.Old)), count(len(l.sessions.New))
		l.proof.OldSessions, l.proof.NewSessions, l.proof.SessionsPartial = &oldOnes, &newOnes, short(l.sessions.Partial)
	}
}

// maxEvidence is how many pods the status has; the statement has them all.
const maxEvidence = 200

func count(n int) int32 { return int32(min(n, 1<<30)) }
