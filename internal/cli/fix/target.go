package fix

import (
	"os"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/adoption"
)

// asked says which remedy is to be taken, and of what.
func (x *command) asked(given []string, namespace string) (*remedy.Remedy, remedy.Target, error) {
	if x.finding != "" || x.report != "" {
		return x.reported(given)
	}
	if len(given) != 2 {
		return nil, remedy.Target{}, errs.New(errs.Invalid, "say which check and what: strongkeep fix SEC-09 shop/web; or -report and -finding")
	}
	kind := ""
	if parts := strings.Split(given[1], "/"); len(parts) == 3 {
		kind = canonical(parts[0])
	}
	rule := ""
	if strings.EqualFold(given[0], "SEC-09") && len(x.options.Secrets) > 0 {
		rule = "LiteralVariable" // only for these a Secret is named
	}
	mend, err := remedyOf(given[0], rule, kind)
	if err != nil {
		return nil, remedy.Target{}, err
	}
	t, err := targetOf(mend, given[1], namespace)
	return mend, t, err
}

// targetOf takes NAMESPACE/NAME, KIND/NAMESPACE/NAME, or NAME.
func targetOf(mend *remedy.Remedy, given, namespace string) (remedy.Target, error) {
	t := remedy.Target{Kind: mend.Kind}
	parts := strings.Split(given, "/")
	cluster := mend.Kind == "ClusterRoleBinding" // which lies in no namespace
	if len(parts) == 3 || len(parts) == 2 && cluster {
		t.Kind, parts = canonical(parts[0]), parts[1:]
	}
	switch {
	case slices.Contains(parts, "") || len(parts) > 2:
		return t, errs.Newf(errs.Invalid, "%q is neither NAMESPACE/NAME nor KIND/NAMESPACE/NAME", given)
	case len(parts) == 2:
		t.Namespace, t.Name = parts[0], parts[1]
	case cluster:
		t.Name = parts[0]
	default:
		t.Namespace, t.Name = namespace, parts[0]
	}
	return t, nil
}

// workloads are the kinds that remedies of workloads mend.
var workloads = []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob"}

// canonical is a kind as objects spell it.
func canonical(kind string) string {
	for _, k := range slices.Concat(workloads, []string{"Role", "ClusterRoleBinding", "ServiceAccount", "Secret", "ConfigMap"}) {
		if strings.EqualFold(k, kind) {
			return k
		}
	}
	return kind
}

// remedies are all there are. Those without Plan are adoptions, which a check's name alone
// means before others.
func remedies() []remedy.Remedy {
	return append([]remedy.Remedy{{Check: adoption.Check, Rules: adoption.Rules, Kind: "Secret"}}, remedy.List()...)
}

// remedyOf returns the remedy of a check; of a rule and of a kind, where they are named.
func remedyOf(id, rule, kind string) (*remedy.Remedy, error) {
	var known []string
	list := remedies()
	for i := range list {
		r := &list[i]
		fits := kind == "" || kind == r.Kind || r.Workload && slices.Contains(workloads, kind)
		if strings.EqualFold(r.Check, id) && (rule == "" || slices.Contains(r.Rules, rule)) && fits {
			return r, nil
		}
		known = append(known, r.Check+" "+strings.Join(r.Rules, ", "))
	}
	return nil, errs.Newf(errs.Unsupported, "%s is not mended from here; what is: %s. The finding itself says what to do", strings.Join(strings.Fields(id+" "+rule+" "+kind), " "), strings.Join(known, "; "))
}

// reported takes a finding of a report.
func (x *command) reported(given []string) (*remedy.Remedy, remedy.Target, error) {
	var t remedy.Target
	if len(given) > 0 || x.finding == "" || x.report == "" {
		return nil, t, errs.New(errs.Invalid, "-finding and -report go together, without CHECK and NAME")
	}
	f, err := os.Open(x.report)
	if err != nil {
		return nil, t, errs.Newf(errs.Invalid, "reading the report: %w", err)
	}
	defer func() { _ = f.Close() }()
	report, err := check.ReadReport(x.report, f)
	if err != nil {
		return nil, t, err
	}
	for i := range report.Results {
		for j := range report.Results[i].Findings {
			m := &report.Results[i].Findings[j]
			if m.Fingerprint != x.finding {
				continue
			}
			mend, err := remedyOf(m.Check, m.Rule, "")
			if err == nil && strings.HasPrefix(m.Field, "namespace ") && m.Field != "namespace "+m.Object.Namespace {
				return nil, t, errs.Newf(errs.Unsupported, "the finding is of %s in %s: name the Role there, strongkeep fix %s NAMESPACE/ROLE", m.Object, m.Field, m.Check)
			}
			return mend, remedy.Target{Kind: m.Object.Kind, Namespace: m.Object.Namespace, Name: m.Object.Name}, err
		}
	}
	return nil, t, errs.Newf(errs.NotExist, "%s has no finding %s", x.report, x.finding)
}
