package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace/picture"
	"github.com/strongkeep/strongkeep/internal/printable"
)

func (x *commands) secret() *cobra.Command {
	var q scope
	var key, html string
	c := &cobra.Command{
		Use: "secret NAME | NAMESPACE/NAME | CLUSTER/NAMESPACE/NAME", Short: "Trace the credentials in a Secret", Args: session.Args(1, 1),
		Long: `Show for each credential in a Secret every copy of it (in Secrets, ConfigMaps,
literals of workloads, annotations, releases of Helm, repositories, other
clusters), where it comes from, how old it is, who uses it, who gets at it by
whatever copy, whose it is, and what rotates it.

Copies are known by keyed fingerprints, of parts too: a password is found in a
connection string. No value is kept or shown.`,
		Example: "  strongkeep trace secret shop/db\n  strongkeep trace secret shop/db -key=password -html=db.html",
		RunE: func(c *cobra.Command, given []string) error {
			s, err := x.read(c.Context(), &q)
			if err != nil {
				return err
			}
			list, err := s.credentials(given[0], key)
			if err != nil {
				return err
			}
			return x.show(s.graph, list, html)
		},
	}
	q.add(c.Flags())
	c.Flags().StringVar(&key, "key", "", "only the credential in this key of the Secret")
	c.Flags().StringVar(&html, "html", "", "write a graph for browsers to this file instead; - is standard output")
	return c
}

// credentials are those of a Secret that is named.
func (s *seen) credentials(given, key string) ([]*trace.Credential, error) {
	parts := strings.Split(given, "/")
	cluster := s.name
	switch len(parts) {
	case 1:
		parts = []string{s.Namespace, given}
	case 3:
		cluster, parts = parts[0], parts[1:]
	}
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return nil, errs.Newf(errs.Invalid, "%q is neither NAME nor NAMESPACE/NAME of a Secret, nor CLUSTER/NAMESPACE/NAME", given)
	}
	ref := snapshot.Ref{Kind: "Secret", Namespace: parts[0], Name: parts[1]}
	list, ok := s.graph.Of(cluster, ref)
	if !ok {
		return nil, errs.Newf(errs.NotExist, "there is no Secret %s in what was read: `strongkeep inventory` lists all", strings.Join(parts, "/"))
	}
	if key == "" {
		return list, nil
	}
	list = slices.DeleteFunc(slices.Clone(list), func(c *trace.Credential) bool { return !slices.Contains(c.Keys(cluster, ref), key) })
	if len(list) == 0 {
		return nil, errs.Newf(errs.NotExist, "no credential is known in the key %q of %s: there is no such key, or its value is weak or no secret", key, given)
	}
	return list, nil
}

func (x *commands) vault() *cobra.Command {
	var q scope
	var ask bool
	var html string
	c := &cobra.Command{
		Use: "vault PATH", Short: "Trace the credentials that come from a path of a vault or of another store, or are pushed there", Args: session.Args(1, 1),
		Long: `Show the credentials whose ExternalSecrets, PushSecrets and the like name a path
of a store, wherever they are by now. With -ask the path is read from the vault
too, with the token of the environment, and what is equal to what it holds now is
shown even if nothing names the path. The values become fingerprints at once.`,
		Example: "  strongkeep trace vault secret/shop/db\n  strongkeep trace vault secret/shop/db -ask",
		RunE: func(c *cobra.Command, given []string) error {
			s, err := x.read(c.Context(), &q)
			if err != nil {
				return err
			}
			if ask {
				if err := x.ask(c.Context(), s, given[0]); err != nil {
					return err
				}
			}
			list := s.graph.OfVault(given[0])
			if len(list) == 0 {
				return errs.Newf(errs.NotExist, "nothing that was read names %s: -ask compares what the vault holds there", given[0])
			}
			return x.show(s.graph, list, html)
		},
	}
	q.add(c.Flags())
	c.Flags().BoolVar(&ask, "ask", false, "read the path from the vault, and compare")
	c.Flags().StringVar(&html, "html", "", "write a graph for browsers to this file instead; - is standard output")
	return c
}

// ask adds what the vault holds at a path.
func (x *commands) ask(ctx context.Context, s *seen, at string) error {
	if s.Key == nil {
		return errs.New(errs.Invalid, "-ask needs the key that the snapshot was made with: give -key-file")
	}
	client, err := x.Client()
	if err != nil {
		return err
	}
	if client.Token() == "" {
		return errs.New(errs.Unauthenticated, "-ask reads from the vault, and there is no token: strongkeep login, or set VAULT_TOKEN")
	}
	data, err := readVault(ctx, client.Logical(), at)
	if err != nil {
		return x.Explain(err)
	}
	if data == nil {
		return errs.Newf(errs.NotExist, "the vault has nothing at %s", at)
	}
	var values []snapshot.Value
	for _, k := range slices.Sorted(maps.Keys(data)) {
		text, ok := data[k].(string)
		if !ok {
			raw, err := json.Marshal(data[k])
			if err != nil {
				return errs.Newf(errs.Internal, "reading %s: %w", at, err)
			}
			text = string(raw)
		}
		values = append(values, trace.Value(s.Key, "data."+field(k), k, []byte(text)))
	}
	s.graph.AddVault(at, values)
	return nil
}

// field is the name of a field as it may be shown: somebody may have put a secret there.
func field(name string) string {
	if looks.Key(name) {
		return "*"
	}
	return name
}

// show prints what is known of credentials.
func (x *commands) show(g *trace.Graph, list []*trace.Credential, html string) error {
	reports := make([]*trace.Report, len(list))
	for i, c := range list {
		reports[i] = g.Trace(c)
	}
	if html != "" {
		return x.picture(html, reports)
	}
	if x.Format != "table" {
		return x.Print(reports, nil, nil)
	}
	var out bytes.Buffer
	for _, r := range reports {
		tree(r).write(&out, "", "")
	}
	_, err := x.Env.Stdout.Write(out.Bytes())
	return err
}

func (x *commands) picture(to string, reports []*trace.Report) error {
	var page bytes.Buffer
	if err := picture.Write(&page, reports); err != nil {
		return err
	}
	if to == "-" {
		_, err := x.Env.Stdout.Write(page.Bytes())
		return err
	}
	if err := os.WriteFile(to, page.Bytes(), 0o600); err != nil {
		return errs.Newf(errs.Invalid, "writing the graph: %w", err)
	}
	return x.Done("Wrote %s: open it in a browser.", to)
}

// branch is a line and what is below it.
type branch struct {
	text  string
	below []branch
}

func (b branch) write(to io.Writer, first, rest string) {
	_, _ = fmt.Fprintln(to, first+printable.Line(b.text)) // to is a buffer
	for i, one := range b.below {
		if i == len(b.below)-1 {
			one.write(to, rest+"└─ ", rest+"   ")
		} else {
			one.write(to, rest+"├─ ", rest+"│  ")
		}
	}
}

// tree is a report for eyes.
func tree(r *trace.Report) branch {
	out := branch{text: r.Name + keys(r) + "  credential " + r.ID}
	add := func(format string, args ...any) *branch {
		out.below = append(out.below, branch{text: fmt.Sprintf(format, args...)})
		return &out.below[len(out.below)-1]
	}
	add("source     %s%s", &r.Source, remotes(r.Source.Remote))
	add("age        %s%s", age(r), writer(r))
	if v := versions(r); v != "" {
		add("version    %s", v)
	}
	if o := owner(r.Owner); o != "" {
		add("owner      %s", o)
	}
	add("rotation   %s", rotation(r.Rotation))
	copies := add("copies     %s", copyCount(r))
	for _, c := range r.Copies {
		copies.below = append(copies.below, branch{text: copyLine(&c)})
	}
	for _, t := range r.Targets {
		add("pushed to  %s%s by %s", t.Store, remotes(t.Remote), t.By)
	}
	users := add("consumers  %s", consumerCount(r))
	for _, c := range r.Consumers {
		users.below = append(users.below, consumerTree(&c))
	}
	for _, one := range r.Readers {
		b := add("readers    %s", readerCount(&one))
		for _, who := range one.First {
			b.below = append(b.below, branch{text: who.Subject + ": " + strings.Join(who.Steps, ", then ")})
		}
	}
	for _, o := range r.Orphaned {
		add("orphaned   %s", o)
	}
	return out
}

func keys(r *trace.Report) string {
	if len(r.Keys) == 0 {
		return ""
	}
	return " (" + strings.Join(r.Keys, ", ") + ")"
}

func remotes(list []snapshot.Remote) string {
	var out []string
	for _, r := range list {
		one := r.Path
		if r.Property != "" {
			one += "#" + r.Property
		}
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

func age(r *trace.Report) string {
	switch {
	case r.Days < 0:
		return "not known"
	case r.Age.AtMost:
		return fmt.Sprintf("at most %d days", r.Days)
	}
	return fmt.Sprintf("%d days", r.Days)
}

func writer(r *trace.Report) string {
	if r.Writer == "" {
		return ""
	}
	return ", last written by " + r.Writer
}

func versions(r *trace.Report) string {
	var out []string
	for _, at := range slices.Sorted(maps.Keys(r.Versions)) {
		out = append(out, r.Versions[at]+" of "+at)
	}
	return strings.Join(out, ", ")
}

func owner(o trace.Owner) string {
	var out []string
	for _, s := range []string{o.Owner, o.Team, o.Environment} {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

func rotation(r *trace.Rotation) string {
	if r == nil {
		return "none was found"
	}
	out := r.By.String()
	if r.Seconds > 0 {
		out += " every " + (time.Duration(r.Seconds) * time.Second).String()
	}
	switch {
	case r.Proven == nil:
	case *r.Proven:
		out += ", its last turn is proven"
	default:
		out += ", its last turn is not proven"
	}
	return out
}

func copyCount(r *trace.Report) string {
	if !r.Known {
		return "not known: the values were not read, or are too weak to be compared"
	}
	return fmt.Sprint(len(r.Copies))
}

func copyLine(c *trace.Copy) string {
	out := strings.TrimPrefix(c.Cluster+": ", ": ") + c.Object.String()
	if len(c.Places) > 0 {
		out += "  " + strings.Join(c.Places, ", ")
	}
	if c.Release != "" {
		out += "  " + c.Release
	}
	if c.Object.Kind != "File" {
		out += "  " + c.Origin.String()
	} else if !c.Present {
		out += "  in the history only"
	}
	return out
}

func consumerCount(r *trace.Report) string {
	switch r.Unused {
	case "yes":
		return "none: nothing that was read uses it"
	case "cannot tell":
		return "none was seen; " + strings.Join(r.Missing, "; ")
	}
	return fmt.Sprint(len(r.Consumers))
}

func consumerTree(c *trace.Consumer) branch {
	out := branch{text: strings.TrimPrefix(c.Cluster+": ", ": ") + c.Object.String()}
	if c.Pods > 0 {
		out.text += fmt.Sprintf("  %d pods", c.Pods)
	}
	for _, u := range c.Uses {
		out.below = append(out.below, branch{text: u})
	}
	return out
}

func readerCount(r *trace.Readers) string {
	out := fmt.Sprintf("%d, %d of them directly; and %d of Kubernetes' own", r.Count, r.Direct, r.Builtin)
	if r.Later > 0 {
		out += fmt.Sprintf("; %d will see what is written from now on", r.Later)
	}
	if r.Cluster != "" {
		out += " in " + r.Cluster
	}
	if r.Count > len(r.First) {
		out += "; the first are"
	}
	return out
}
