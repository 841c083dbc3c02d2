package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// explained is what sys/policies/explain answers.
type explained struct {
	Allowed                       bool
	Reason, Path, Rule, Note      string
	Wanted, Granted, Policies     []string
	Blocks                        []explainedBlock
	Missing                       []string `json:"missing_policies"`
	Helpful                       []string `json:"policies_that_would_allow"`
	Suggestion, Advice, Parameter string
}

type explainedBlock struct {
	Policy, Path             string
	Line                     int
	Capabilities, Conditions []string
	Decides                  bool
}

func (a *app) policyExplain() *cobra.Command {
	var policies []string
	c := &cobra.Command{
		Use: "explain [WHO] PATH OPERATION", Short: "Say why something is allowed or denied, and what would change it", Args: session.Args(2, 3),
		Long: "WHO is a token's accessor, - to read a token from standard input, or the path of a role such as\n" +
			"auth/kubernetes/role/my-app; without it, and without -policy, it is about your own token.\n" +
			"OPERATION is read, list, create, update, patch, delete, or write: create and update.",
		Example: "  strongkeep policy explain auth/kubernetes/role/my-app secret/data/my-app/config read\n" +
			"  strongkeep policy explain - secret/data/my-app/config write < token.txt",
		RunE: func(c *cobra.Command, given []string) error {
			at, operation := given[len(given)-2], given[len(given)-1]
			body := map[string]any{"path": at, "operation": operation}
			switch {
			case len(given) == 3 && len(policies) > 0:
				return errs.New(errs.Invalid, "give WHO or -policy, not both")
			case len(given) == 3:
				if err := a.explainWho(c.Context(), given[0], body); err != nil {
					return err
				}
			case len(policies) > 0:
				body["policies"] = policies
			}
			return a.explain(c.Context(), body)
		},
	}
	c.Flags().StringSliceVar(&policies, "policy", nil, "ask about these policies instead of a token's; may be repeated")
	return c
}

// explainWho sets in body whom a question is about.
func (a *app) explainWho(ctx context.Context, who string, body map[string]any) error {
	switch {
	case who == "-" || strings.HasPrefix(who, "hvs.") || strings.HasPrefix(who, "hvb."):
		token, err := a.SecretArgument([]string{who}, "token")
		body["token"] = token
		return err
	case !strings.Contains(who, "/"):
		body["accessor"] = who
		return nil
	}
	role, err := a.ReadData(ctx, session.Clean(who))
	if err != nil {
		return err
	}
	names, ok := firstList(role, "token_policies", "policies", "allowed_policies")
	if !ok {
		return errs.Newf(errs.NotExist, "there is no role at %q", who)
	}
	if role["token_no_default_policy"] != true && !slices.Contains(names, "default") {
		names = append(names, "default")
	}
	body["policies"] = names
	return nil
}

// firstList returns the first of the fields that is a list which is not empty,
// and whether one of them is there at all.
func firstList(data map[string]any, names ...string) (list []string, there bool) {
	for _, name := range names {
		all, ok := data[name].([]any)
		there = there || ok
		for _, v := range all {
			list = append(list, session.Text(v))
		}
		if len(list) > 0 {
			break
		}
	}
	return list, there
}

func (a *app) explain(ctx context.Context, body map[string]any) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	s, err := client.Logical().WriteWithContext(ctx, "sys/policies/explain", body)
	if err != nil {
		return err
	}
	if a.Format != "table" || a.Field != "" {
		return a.PrintSecret(s)
	}
	raw, err := json.Marshal(s.Data)
	if err != nil {
		return errs.Newf(errs.Internal, "reading the answer: %w", err)
	}
	var x explained
	if err := json.Unmarshal(raw, &x); err != nil {
		return errs.Newf(errs.Internal, "reading the answer: %w", err)
	}
	return x.print(a.Env.Stdout)
}

func (x *explained) print(w io.Writer) error {
	var b strings.Builder
	verdict := "DENIED"
	if x.Allowed {
		verdict = "ALLOWED"
	}
	fmt.Fprintf(&b, "%s: %s on %s: %s\n", verdict, strings.Join(x.Wanted, " and "), x.Path, x.Reason)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-12s%s\n", label, text)
		}
	}
	line("note", x.Note)
	line("policies", strings.Join(x.Policies, ", "))
	line("missing", strings.Join(x.Missing, ", "))
	line("parameter", x.Parameter)
	if x.Rule != "" {
		line("decided by", fmt.Sprintf("%q, which grants %s", x.Rule, strings.Join(x.Granted, ", ")))
	}
	for _, block := range x.Blocks {
		mark := "outranked"
		if block.Decides {
			mark = "decides"
		}
		text := fmt.Sprintf("policy %s, line %d: path %q: %s", block.Policy, block.Line, block.Path, strings.Join(block.Capabilities, ", "))
		if len(block.Conditions) > 0 {
			text += "; " + strings.Join(block.Conditions, "; ")
		}
		line(mark, text)
	}
	line("would help", strings.Join(x.Helpful, ", "))
	line("next", x.Advice)
	if x.Suggestion != "" {
		fmt.Fprintf(&b, "\n%s", x.Suggestion)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
