package rotation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

// ledger is one mount of the evidence engine.
type ledger struct {
	client *vault.Client
	mount  string
}

// unverified is the exit code of what is not as it was signed, as `audit verify` has it.
const unverified = session.Exit(10)

// envelopeOf is what the engine answers of one statement.
type envelopeOf struct {
	Envelope json.RawMessage `json:"envelope"`
}

func (x *commands) evidence() *cobra.Command {
	var turn int64
	var mount, keyFile, save string
	c := &cobra.Command{
		Use: "evidence NAME", Short: "Print the signed statement of a turn, and prove it and all before it", Args: session.Args(1, 1),
		ValidArgsFunction: x.complete,
		Long: `Print the signed statement of a Rotation's last turn, or of another with -turn: which version,
which pods, what was seen of each, and when; of one that went back or was given up, why. The signatures of this statement and of all before it
are verified, and that none is missing between them; what does not verify is an error.

It is read from the vault (VAULT_ADDR, VAULT_TOKEN). The keys come from the vault too, unless -key
names a file with a public key that you kept: then the vault need not be trusted.`,
		Example: "  strongkeep rotation evidence shop/db\n  strongkeep rotation evidence shop/db -turn=7 -key=evidence.pem -save=turn-7.json",
		RunE: func(c *cobra.Command, given []string) error {
			name, err := x.statementName(given[0])
			if err != nil {
				return err
			}
			client, err := x.Client()
			if err != nil {
				return err
			}
			l := ledger{client, strings.Trim(mount, "/")}
			keys, err := x.trusted(c.Context(), l, keyFile)
			if err != nil {
				return err
			}
			chain, err := l.chain(c.Context(), name, turn)
			if err != nil {
				return err
			}
			if err := saveTo(save, chain); err != nil {
				return err
			}
			return x.show(keys, chain)
		},
	}
	f := c.Flags()
	f.Int64Var(&turn, "turn", 0, "the turn; the last one when not given")
	f.StringVar(&mount, "mount", "evidence", "where the evidence engine is mounted")
	f.StringVar(&keyFile, "key", "", "file with the public key (PEM) to trust, instead of the vault's word")
	f.StringVar(&save, "save", "", "write the envelopes, a line each, to this file: for `rotation verify`, without the vault")
	x.flags.Add(f)
	return c
}

// statementName is NAMESPACE/NAME. Only without a namespace is a kubeconfig needed:
// the Rotation, and its cluster, may be gone.
func (x *commands) statementName(given string) (string, error) {
	if strings.Contains(given, "/") {
		return given, nil
	}
	if x.flags.Namespace != "" {
		return x.flags.Namespace + "/" + given, nil
	}
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return "", errs.Newf(errs.Invalid, "which namespace? Write NAMESPACE/%s: %w", given, err)
	}
	return k.Namespace + "/" + given, nil
}

// get reads one path of the mount as the engine wrote it. Kind NotExist: there is none.
func (l ledger) get(ctx context.Context, path string, query url.Values, v any) error {
	answer, err := l.client.Logical().ReadRawWithDataWithContext(ctx, l.mount+"/"+path, query)
	if answer != nil {
		defer func() { _ = answer.Body.Close() }()
	}
	switch {
	case answer != nil && answer.StatusCode == http.StatusNotFound:
		return errs.Newf(errs.NotExist, "the vault has no %s/%s", l.mount, path)
	case err != nil:
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, 2*attest.MaxEnvelope))
	if err != nil {
		return errs.Newf(errs.Unavailable, "reading %s/%s: %w", l.mount, path, err)
	}
	var wrapped struct{ Data json.RawMessage }
	if err := json.Unmarshal(raw, &wrapped); err != nil {
		return errs.Newf(errs.Invalid, "reading %s/%s: the answer is not JSON", l.mount, path)
	}
	if err := json.Unmarshal(wrapped.Data, v); err != nil {
		return errs.Newf(errs.Invalid, "reading %s/%s: the answer is not that of an evidence engine: is -mount right?", l.mount, path)
	}
	return nil
}

// turns returns the turns of name that have a statement, in their order.
func (l ledger) turns(ctx context.Context, name string) ([]int64, error) {
	var below struct{ Keys []string }
	err := l.get(ctx, "statements/"+name, url.Values{"list": {"true"}}, &below)
	if err != nil && !errs.Is(err, errs.NotExist) {
		return nil, err
	}
	var turns []int64
	for _, key := range below.Keys {
		if n, err := strconv.ParseInt(key, 10, 64); err == nil { // others are names below this one
			turns = append(turns, n)
		}
	}
	slices.Sort(turns)
	return turns, nil
}

// chain returns the envelopes of name from the first to that of turn, or to the
// last when turn is 0.
func (l ledger) chain(ctx context.Context, name string, turn int64) ([][]byte, error) {
	turns, err := l.turns(ctx, name)
	if err != nil {
		return nil, err
	}
	if turn > 0 {
		i, found := slices.BinarySearch(turns, turn)
		if !found {
			return nil, errs.Newf(errs.NotExist, "%s has no statement of turn %d at %s/; there are those of %s: a turn has one when it has ended", name, turn, l.mount, listed(turns))
		}
		turns = turns[:i+1]
	}
	if len(turns) == 0 {
		return nil, errs.Newf(errs.NotExist, "%s has no statement at %s/: a turn has one when it has ended", name, l.mount)
	}
	chain := make([][]byte, 0, len(turns))
	for _, n := range turns {
		var e envelopeOf
		if err := l.get(ctx, fmt.Sprintf("statements/%s/%d", name, n), nil, &e); err != nil {
			return nil, err
		}
		chain = append(chain, e.Envelope)
	}
	return chain, nil
}

// listed names turns, the last of many.
func listed(turns []int64) string {
	if len(turns) == 0 {
		return "no turn"
	}
	texts := make([]string, len(turns))
	for i, n := range turns {
		texts[i] = strconv.FormatInt(n, 10)
	}
	const most = 5
	if len(texts) > most {
		return "… " + strings.Join(texts[len(texts)-most:], ", ")
	}
	return strings.Join(texts, ", ")
}

// trusted returns the keys to verify with: those of the file, and those after
// them that they endorse; without a file the vault's own.
func (x *commands) trusted(ctx context.Context, l ledger, file string) (attest.Keys, error) {
	var told struct {
		Log        string `json:"log"`
		PublicKeys string `json:"public_keys"`
		Keys       map[string]struct {
			Endorsement json.RawMessage `json:"endorsement"`
		} `json:"keys"`
	}
	if err := l.get(ctx, "keys", nil, &told); err != nil {
		return nil, err
	}
	if file == "" {
		x.Warn([]string{"the keys come from the vault that is to be proven: keep " + l.mount + "/keys elsewhere and give it with -key"})
		return attest.ParseKeys([]byte(told.PublicKeys))
	}
	keys, err := readKeys(file)
	if err != nil {
		return nil, err
	}
	for n := 2; n <= len(told.Keys); n++ {
		// Keys before the trusted one do not extend it; statements they signed then fail by name.
		_ = keys.Extend(told.Log, told.Keys[strconv.Itoa(n)].Endorsement)
	}
	return keys, nil
}

func readKeys(file string) (attest.Keys, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the public key: %w", err)
	}
	return attest.ParseKeys(text)
}

func saveTo(file string, chain [][]byte) error {
	if file == "" {
		return nil
	}
	var out bytes.Buffer
	for _, envelope := range chain {
		if err := json.Compact(&out, envelope); err != nil {
			return errs.New(errs.Invalid, "an envelope is not JSON")
		}
		out.WriteByte('\n')
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		return errs.Newf(errs.Invalid, "saving the envelopes: %w", err)
	}
	return nil
}

func (x *commands) verify() *cobra.Command {
	keyFile := ""
	c := &cobra.Command{
		Use: "verify FILE", Short: "Verify saved statements without a vault or a cluster", Args: session.Args(1, 1),
		Long:    "Verify the envelopes that `rotation evidence -save` wrote, a line each, with a public key that was kept. Nothing is asked of anybody.",
		Example: "  strongkeep rotation verify turn-7.json -key=evidence.pem",
		RunE: func(_ *cobra.Command, given []string) error {
			if keyFile == "" {
				return errs.New(errs.Invalid, "name the public key with -key=FILE: `strongkeep read -field=public_keys evidence/keys` prints it")
			}
			keys, err := readKeys(keyFile)
			if err != nil {
				return err
			}
			raw, err := os.ReadFile(given[0])
			if err != nil {
				return errs.Newf(errs.Invalid, "reading the statements: %w", err)
			}
			var chain [][]byte
			for line := range bytes.Lines(raw) {
				if line = bytes.TrimSpace(line); len(line) > 0 {
					chain = append(chain, line)
				}
			}
			if len(chain) == 0 {
				return errs.Newf(errs.Invalid, "%s holds no statement", given[0])
			}
			return x.show(keys, chain)
		},
	}
	c.Flags().StringVar(&keyFile, "key", "", "file with the public key (PEM) to trust")
	return c
}

// show verifies a chain and prints its last statement.
func (x *commands) show(keys attest.Keys, chain [][]byte) error {
	all, err := attest.VerifyChain(keys, chain)
	if err != nil {
		_, _ = fmt.Fprintln(x.Env.Stderr, "Error: the statements do not verify:", err)
		return unverified
	}
	last := all[len(all)-1]
	if x.Format != "table" || x.Field != "" {
		var statement map[string]any
		if err := json.Unmarshal(last.Statement, &statement); err != nil {
			return errs.New(errs.Invalid, "the statement is not a JSON object")
		}
		return x.Print(map[string]any{
			"verified": true, "statements": len(all), "seq": last.Seq, "key_id": last.KeyID, "time": last.Time,
			"by": last.By, "digest": last.Digest, "statement": statement,
		}, nil, nil)
	}
	var s evidence.Statement
	if err := json.Unmarshal(last.Statement, &s); err != nil {
		return errs.New(errs.Invalid, "the statement is not one of a rotation: use -format=json")
	}
	return x.printStatement(last, len(all), &s)
}

// printEnd says what is known of the old credential's end.
func printEnd(line func(name, format string, args ...any), s *evidence.Statement) {
	if s.Retired != nil {
		proof := cmp.Or(s.Retired.Text, "a use of it was tried and refused")
		if !s.Retired.Proven {
			proof = "NOT PROVEN: " + cmp.Or(s.Retired.Text, "nothing is known of uses")
		}
		line("Removed", "the %s credential at %s: %s", s.Retired.Side, s.Retired.Time.UTC().Format(time.RFC3339), proof)
	}
	if s.Backend != nil {
		partial := ""
		if s.Backend.Partial != "" {
			partial = "; not seen: " + s.Backend.Partial
		}
		line("Sessions", "%d of the old credential, %d of the new one%s", s.Backend.Old, s.Backend.New, partial)
	}
}

func (x *commands) printStatement(v attest.Verified, n int, s *evidence.Statement) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	line := func(name, format string, values ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", values...) }
	line("Rotation", "%s, turn %d: %s", s.Rotation, s.Turn, s.Result)
	if s.Reason != "" {
		line("Why", "%s: %s", s.Reason, s.Message)
	}
	line("Credential", "%s", s.Credential)
	line("Version", "%s, before %s", s.Version, session.First(s.Previous, "none"))
	line("Cause", "%s", s.Cause)
	at := func(name string, when *time.Time) {
		if when != nil {
			line(name, "%s", when.UTC().Format(time.RFC3339))
		}
	}
	at("Begun", s.Begun)
	at("Staged", s.Staged)
	at("Published", s.Published)
	at("Closed", s.Closed)
	at("Ended", &s.Ended)
	for _, p := range s.Phases {
		if p.Phase == v1alpha1.PhaseHeld {
			line("Held", "%s for %s: %s", p.Time.UTC().Format(time.RFC3339), p.Reason, p.Message)
		}
	}
	printEnd(line, s)
	if s.Approved != nil {
		line("Approved", "%s %s", s.Approved.Time.UTC().Format(time.RFC3339), s.Approved.By)
	}
	if s.Accepted != nil {
		line("ACCEPTED UNPROVEN", "%s %s %s: %s", s.Accepted.Time.UTC().Format(time.RFC3339), s.Accepted.By, s.Accepted.Reason, strings.Join(s.Unproven, ", "))
	}
	clients(line, s.Clients)
	for _, u := range s.Unknown {
		line("Not asked", "%s", u)
	}
	line("Secrets", "%d hold the version", len(s.Secrets))
	line("Pods", "%d of %d proven", s.Pods.Proven, s.Pods.Total)
	line("Signed", "%s as number %d, by key %.16s…, for %s", v.Time.UTC().Format(time.RFC3339), v.Seq, v.KeyID, session.First(v.By.DisplayName, v.By.EntityID, "an unnamed token"))
	line("Verified", "%d statement(s), from the first to this one, none missing between", n)
	_ = t.Flush()
	Table(&b, s.Pods.Evidence)
	if s.Pods.Omitted > 0 {
		_, _ = fmt.Fprintf(&b, "%d pods were left out of the statement for its size\n", s.Pods.Omitted)
	}
	for _, list := range slices.Sorted(maps.Keys(s.Omitted)) {
		_, _ = fmt.Fprintf(&b, "of %s the statement has %d of %d for its size; the whole list has SHA-256 %s\n", list, s.Omitted[list].Kept, s.Omitted[list].Total, s.Omitted[list].SHA256)
	}
	_, err := x.Env.Stdout.Write(b.Bytes())
	return err
}
