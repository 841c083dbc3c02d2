package rotation

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/policy"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/report"
)

// overdue is the exit code of -fail-overdue, as other checks have it.
const overdue = session.Exit(10)

// pageSize is how many objects a list asks for at once.
const pageSize = 500

func (x *commands) report() *cobra.Command {
	var only, fail, asCSV bool
	c := &cobra.Command{
		Use: "report", Short: "List every credential: age, owner, last proof, what is overdue", Args: session.Args(0, 0),
		Long: `List every credential that the cluster knows of: Rotations, Secrets that ExternalSecrets feed, and
Secrets that a RotationPolicy has a class for, with their age, who owns them (label or annotation
strongkeep.io/owner, app.kubernetes.io/part-of and their like), when they were last proven, and how
that stands to the greatest age of their class. Of Secrets only metadata is read.`,
		Example: "  strongkeep rotation report -A\n  strongkeep rotation report -A -overdue -fail-overdue -csv",
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := x.flags.Connect(x.Env)
			if err != nil {
				return err
			}
			in, err := x.collect(c.Context(), k)
			if err != nil {
				return err
			}
			r := report.Make(in)
			late := r.States[policy.Overdue] + r.States[policy.Forbidden] + r.States[policy.Unknown]
			if only {
				r.Rows = lateRows(r.Rows)
			}
			if err := x.printReport(r, asCSV); err != nil {
				return err
			}
			if fail && late > 0 {
				return overdue
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&only, "overdue", false, "only what is overdue, must not be stored at all, or is not known to be neither")
	f.BoolVar(&fail, "fail-overdue", false, "exit with code 10 if anything is")
	f.BoolVar(&asCSV, "csv", false, "as comma-separated values")
	x.flags.AddAll(f)
	return c
}

func lateRows(rows []report.Row) []report.Row {
	late := []report.Row{}
	for i := range rows {
		if s := rows[i].State; s == policy.Overdue || s == policy.Forbidden || s == policy.Unknown {
			late = append(late, rows[i])
		}
	}
	return late
}

func (x *commands) printReport(r report.Report, asCSV bool) error {
	switch {
	case asCSV:
		w := csv.NewWriter(x.Env.Stdout)
		rows := [][]string{{"state", "kind", "namespace", "name", "class", "policy", "owner", "age_seconds", "max_age_seconds", "changed", "last_proof", "next", "fed_by", "last_turn", "last_result", "statement"}}
		for i := range r.Rows {
			row := &r.Rows[i]
			rows = append(rows, []string{string(row.State), row.Kind, row.Namespace, row.Name, row.Class, row.Policy, row.Owner,
				strconv.FormatInt(row.AgeSeconds, 10), strconv.FormatInt(row.MaxSeconds, 10), stamp(row.Changed), stamp(row.LastProof), row.Next, row.FedBy,
				strconv.FormatInt(row.LastTurn, 10), string(row.LastResult), row.Statement})
		}
		if err := w.WriteAll(rows); err != nil {
			return errs.Newf(errs.Unavailable, "writing the report: %w", err)
		}
		return nil
	case x.Format != "table" || x.Field != "":
		return x.Print(r, nil, nil)
	}
	if err := r.Table(x.Env.Stdout); err != nil {
		return err
	}
	_, err := fmt.Fprintf(x.Env.Stdout, "\n%d credentials: %d overdue, %d due, %d that must not be stored\n", len(r.Rows), r.States[policy.Overdue], r.States[policy.Due], r.States[policy.Forbidden])
	return err
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// collect reads what a report is made of. Lists that the asker may not see
// anywhere are an error: a report with holes would look better than things are.
func (x *commands) collect(ctx context.Context, k *cluster.Cluster) (report.Input, error) {
	in := report.Input{Now: x.now(), Namespaces: map[string]labels.Set{}}
	scope := k.In(&x.flags)
	var rotations v1alpha1.RotationList
	var policies v1alpha1.RotationPolicyList
	if err := pages(ctx, k, &rotations, func() { in.Rotations = append(in.Rotations, rotations.Items...) }, scope); err != nil {
		return in, cluster.Explain(err, "listing Rotations")
	}
	if err := k.List(ctx, &policies); err != nil {
		return in, cluster.Explain(err, "listing RotationPolicies")
	}
	var err error
	if in.Policies, err = policy.Compile(policies.Items); err != nil {
		x.Warn([]string{err.Error() + "; credentials that it is about are Unknown"})
	}
	var feeds external.ExternalSecretList
	err = pages(ctx, k, &feeds, func() { in.ExternalSecrets = append(in.ExternalSecrets, feeds.Items...) }, scope)
	if err != nil && !meta.IsNoMatchError(err) {
		return in, cluster.Explain(err, "listing ExternalSecrets")
	}
	if in.Policies.Scoped() {
		if err := x.namespaces(ctx, k, in.Namespaces); err != nil {
			return in, err
		}
	}
	in.Secrets, err = secrets(ctx, k, policies.Items, scope)
	return in, err
}

func (x *commands) namespaces(ctx context.Context, k *cluster.Cluster, to map[string]labels.Set) error {
	list := metadataOf("Namespace")
	err := pages(ctx, k, list, func() {
		for i := range list.Items {
			to[list.Items[i].Name] = list.Items[i].Labels
		}
	})
	if apierrors.IsForbidden(err) && !x.flags.All {
		ns := &corev1.Namespace{}
		if err = k.Get(ctx, client.ObjectKey{Name: k.Namespace}, ns); err == nil {
			to[k.Namespace] = ns.Labels
		}
	}
	return cluster.Explain(err, "reading the labels of namespaces, which a RotationPolicy selects by")
}

// secrets lists the metadata of Secrets, with the types that policies ask for.
func secrets(ctx context.Context, k *cluster.Cluster, policies []v1alpha1.RotationPolicy, scope client.ListOption) ([]report.Secret, error) {
	of := map[types.UID]string{}
	seen := map[string]bool{}
	for i := range policies {
		for _, class := range policies[i].Spec.Classes {
			for _, t := range class.SecretTypes {
				if seen[t] {
					continue
				}
				seen[t] = true
				list := metadataOf("Secret")
				byType := client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("type", t)}
				if err := pages(ctx, k, list, func() {
					for i := range list.Items {
						of[list.Items[i].UID] = t
					}
				}, scope, byType); err != nil {
					return nil, cluster.Explain(err, "listing Secrets of type "+t)
				}
			}
		}
	}
	var out []report.Secret
	list := metadataOf("Secret")
	err := pages(ctx, k, list, func() {
		for i := range list.Items {
			m := list.Items[i].ObjectMeta
			out = append(out, report.Secret{Meta: &m, Type: of[m.UID]})
		}
	}, scope)
	return out, cluster.Explain(err, "listing the metadata of Secrets")
}

func metadataOf(kind string) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
	return list
}

// pages lists page by page, calling each after every one.
func pages(ctx context.Context, k *cluster.Cluster, list client.ObjectList, each func(), options ...client.ListOption) error {
	options = append(options, client.Limit(pageSize))
	for next := ""; ; {
		if err := k.List(ctx, list, append(options, client.Continue(next))...); err != nil {
			return err
		}
		each()
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}
