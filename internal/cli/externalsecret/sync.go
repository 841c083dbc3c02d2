package externalsecret

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
)

// annotation asks for a refresh by taking another value. The original heeds it too.
const annotation = "force-sync"

// fieldManager owns it.
const fieldManager = "strongkeep-cli"

// The results of a sync.
const (
	resultRefreshed = "refreshed"
	resultNotReady  = "not ready"
	resultAsked     = "asked"
	resultLeft      = "left alone"
	resultSilent    = "no answer"
)

// outcome is what came of asking for one refresh.
type outcome struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Result    string `json:"result"`
	Message   string `json:"message,omitempty"`

	before *v1.ExternalSecret // as the request left it
}

func (o *outcome) open() bool { return o.Result == "" }

func (x *commands) sync() *cobra.Command {
	all, wait := false, time.Minute
	c := &cobra.Command{
		Use: "sync NAME", Short: "Refresh an ExternalSecret now, and say what came of it", Args: session.Args(0, 1), ValidArgsFunction: x.complete,
		Long: `Refresh an ExternalSecret now, or with -all every one of a namespace: the annotation
force-sync takes a new value, which this operator and External Secrets heed. Then the
operator is waited for, as long as -wait says.`,
		Example: `  strongkeep sync shop/db
  strongkeep sync -n shop -all -wait=5m`,
		RunE: func(c *cobra.Command, given []string) error {
			switch {
			case all == (len(given) == 1):
				return errs.New(errs.Invalid, "name one ExternalSecret, or give -all for every one of the namespace")
			case wait < 0:
				return errs.Newf(errs.Invalid, "-wait=%s: use a time such as 30s, or 0 to wait for nothing", wait)
			}
			return x.syncThem(c.Context(), given, wait)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "every ExternalSecret of the namespace")
	c.Flags().DurationVar(&wait, "wait", wait, "how long to wait for the operator; 0: not at all")
	x.flags.Add(c.Flags())
	return c
}

func (x *commands) syncThem(ctx context.Context, given []string, wait time.Duration) error {
	k, list, err := x.chosen(ctx, given)
	if err != nil {
		return err
	}
	outcomes, err := x.ask(ctx, k, list)
	if err != nil {
		return err
	}
	if len(given) == 1 && outcomes[0].Result == resultLeft {
		return errs.Newf(errs.Conflict, "%s: %s", what(client.ObjectKeyFromObject(&list[0])), outcomes[0].Message)
	}
	if wait == 0 {
		settle(outcomes, resultAsked, "the operator refreshes it; see strongkeep explain externalsecret")
	} else if err := x.await(ctx, k, outcomes, wait); err != nil {
		return err
	}
	return x.report(outcomes)
}

// chosen returns the ExternalSecrets that are meant.
func (x *commands) chosen(ctx context.Context, given []string) (*cluster.Cluster, []v1.ExternalSecret, error) {
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return nil, nil, err
	}
	if len(given) == 1 {
		es, err := x.get(ctx, k, given[0])
		if err != nil {
			return nil, nil, err
		}
		return k, []v1.ExternalSecret{*es}, nil
	}
	var list v1.ExternalSecretList
	if err := k.List(ctx, &list, client.InNamespace(k.Namespace)); err != nil {
		return nil, nil, cluster.Explain(err, "listing ExternalSecrets of namespace "+k.Namespace)
	}
	if len(list.Items) == 0 {
		return nil, nil, errs.Newf(errs.NotExist, "namespace %s has no ExternalSecret: say which with -n", k.Namespace)
	}
	return k, list.Items, nil
}

// ask writes the annotation. One value is for all that were asked together.
func (x *commands) ask(ctx context.Context, k *cluster.Cluster, list []v1.ExternalSecret) ([]outcome, error) {
	value := uuid.NewString()
	outcomes := make([]outcome, len(list))
	for i := range list {
		es := &list[i]
		outcomes[i] = outcome{Namespace: es.Namespace, Name: es.Name, before: es}
		if outcomes[i].leave(es) {
			continue
		}
		base := es.DeepCopy()
		if es.Annotations == nil {
			es.Annotations = map[string]string{}
		}
		es.Annotations[annotation] = value
		if err := k.Patch(ctx, es, client.MergeFrom(base), client.FieldOwner(fieldManager)); err != nil {
			if ctx.Err() != nil {
				return nil, interrupted()
			}
			return nil, cluster.Explain(err, what(client.ObjectKeyFromObject(es)))
		}
		outcomes[i].leave(es) // as it is now: the operator may have made it since it was listed
	}
	return outcomes, nil
}

// leave reports whether es is one that is not refreshed any more, which is the result then.
func (o *outcome) leave(es *v1.ExternalSecret) bool {
	if !timing.Once(es) {
		return false
	}
	o.Result, o.Message = resultLeft, "refreshPolicy CreatedOnce: it is not refreshed any more; delete its Secret to have it made anew"
	return true
}

func interrupted() error {
	return session.Interrupted{Left: "what was asked for goes on without you: see strongkeep explain externalsecret"}
}

// settle gives those a result that have none.
func settle(outcomes []outcome, result, message string) {
	for i := range outcomes {
		if outcomes[i].open() {
			outcomes[i].Result, outcomes[i].Message = result, message
		}
	}
}

// lookEvery is how often the objects are looked at.
const lookEvery = 200 * time.Millisecond

// await looks until each has a result, or the time is over.
func (x *commands) await(ctx context.Context, k *cluster.Cluster, outcomes []outcome, wait time.Duration) error {
	began := x.now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := x.look(ctx, k, outcomes, x.now().Sub(began)); err != nil && ctx.Err() == nil {
			return err
		}
		if finished(outcomes) {
			return nil
		}
		if x.now().Sub(began) >= wait {
			x.silent(outcomes, wait)
			return nil
		}
		select {
		case <-ctx.Done():
			return interrupted()
		case <-tick.C:
		}
	}
}

func finished(outcomes []outcome) bool {
	for i := range outcomes {
		if outcomes[i].open() {
			return false
		}
	}
	return true
}

// silent is the result of those that the operator did not come to.
func (x *commands) silent(outcomes []outcome, wait time.Duration) {
	for i := range outcomes {
		o := &outcomes[i]
		if c := v1.FindCondition(o.before.Status.Conditions, v1.ConditionReady); o.open() && c != nil && !v1.IsReady(o.before.Status.Conditions) {
			o.Result, o.Message = resultNotReady, c.Message
		}
	}
	settle(outcomes, resultSilent, fmt.Sprintf("nothing happened in %s: does an operator run that answers for its store?", wait))
}

// look gives results by what is.
func (x *commands) look(ctx context.Context, k *cluster.Cluster, outcomes []outcome, waited time.Duration) error {
	now := map[types.NamespacedName]*v1.ExternalSecret{}
	if len(outcomes) == 1 {
		var es v1.ExternalSecret
		key := client.ObjectKeyFromObject(outcomes[0].before)
		if err := k.Get(ctx, key, &es); client.IgnoreNotFound(err) != nil {
			return cluster.Explain(err, what(key))
		} else if err == nil {
			now[key] = &es
		}
	} else {
		var list v1.ExternalSecretList
		if err := k.List(ctx, &list, client.InNamespace(outcomes[0].Namespace)); err != nil {
			return cluster.Explain(err, "listing ExternalSecrets")
		}
		for i := range list.Items {
			now[client.ObjectKeyFromObject(&list.Items[i])] = &list.Items[i]
		}
	}
	for i := range outcomes {
		if o := &outcomes[i]; o.open() {
			o.judge(now[client.ObjectKeyFromObject(o.before)], waited >= x.quiet)
		}
	}
	return nil
}

// judge compares an ExternalSecret with what it was when it was asked for. A status
// that says the same failure as before cannot be told from one that was not written
// since: patient says that it was waited for long enough.
func (o *outcome) judge(now *v1.ExternalSecret, patient bool) {
	if now == nil {
		o.Result, o.Message = resultNotReady, "it was deleted meanwhile"
		return
	}
	c := v1.FindCondition(now.Status.Conditions, v1.ConditionReady)
	if c == nil {
		return
	}
	if !v1.IsReady(now.Status.Conditions) {
		was := v1.FindCondition(o.before.Status.Conditions, v1.ConditionReady)
		if patient || was == nil || *was != *c {
			o.Result, o.Message = resultNotReady, c.Reason+": "+c.Message
		}
		return
	}
	current, sure := externalsecret.Current(now)
	if !sure { // another operator: it says so by changing both
		current = now.Status.SyncedResourceVersion != o.before.Status.SyncedResourceVersion && !now.Status.RefreshTime.Equal(&o.before.Status.RefreshTime)
	}
	if current {
		o.Result, o.Message = resultRefreshed, c.Message
	}
}

// report prints the outcomes and makes the exit code.
func (x *commands) report(outcomes []outcome) error {
	rows, code := make([]session.Row, len(outcomes)), 0
	for i := range outcomes {
		o := &outcomes[i]
		rows[i] = session.Row{o.Namespace, o.Name, o.Result, strings.ReplaceAll(o.Message, "\n", " ")}
		switch o.Result {
		case resultSilent:
			code = errs.Unavailable.ExitCode()
		case resultNotReady:
			if code == 0 {
				code = exitNotReady
			}
		}
	}
	var v any = outcomes
	if len(outcomes) == 1 {
		v = outcomes[0]
	}
	if err := x.Print(v, session.Row{"Namespace", "Name", "Result", "Message"}, rows); err != nil || code == 0 {
		return err
	}
	return session.Exit(code)
}

// exitNotReady is the exit code for what is not as it should be.
const exitNotReady = 10
