package custody

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

type rekeyFlags struct {
	begin, cancel, status, verify, backup bool
	retrieve, remove                      bool
	shares, threshold                     int
	nonce, target                         string
	keys                                  []string
}

func (a *app) rekey() *cobra.Command {
	var f rekeyFlags
	c := &cobra.Command{
		Use: "rekey [-]", Short: "Deal new shares of the unseal key", Args: session.Args(0, 1),
		Long: `Deal new shares. Whoever may begins (-init) and tells the nonce to those who hold
shares; each gives one. With the last one the new shares are shown. They have to be
given back (-verify) before the old ones end, so that a lost answer, or a share that
nobody can read, costs nothing; -init -verify=false ends the old ones at once. Give all
shares to the node where it was begun.`,
		Example: "  strongkeep operator rekey -init -key-shares=5 -key-threshold=3\n  strongkeep operator rekey -nonce=NONCE -\n  strongkeep operator rekey -verify -nonce=NONCE -",
		RunE: func(c *cobra.Command, given []string) error {
			if f.begin && !c.Flags().Changed("verify") {
				f.verify = true
			}
			return a.doRekey(c.Context(), f, given)
		},
	}
	s := c.Flags()
	s.BoolVar(&f.begin, "init", false, "begin")
	s.BoolVar(&f.cancel, "cancel", false, "drop what is under way; the old shares stay")
	s.BoolVar(&f.status, "status", false, "only look")
	s.BoolVar(&f.verify, "verify", false, "with -init: new shares have to be given back (the default there); else: this share, -status or -cancel is of that")
	s.IntVarP(&f.shares, "key-shares", "n", 5, "number of new shares")
	s.IntVarP(&f.threshold, "key-threshold", "t", 3, "how many of them open the vault")
	s.StringVar(&f.nonce, "nonce", "", "as -init has shown it")
	s.StringVar(&f.target, "target", "barrier", "barrier or recovery, which are the same: there is one set of shares")
	s.StringSliceVar(&f.keys, "pgp-keys", nil, "for each share an age recipient (age1…) or the file of a PGP key, separated by commas")
	s.BoolVar(&f.backup, "backup", false, "keep the encrypted shares in the vault")
	s.BoolVar(&f.retrieve, "backup-retrieve", false, "show the encrypted shares that were kept")
	s.BoolVar(&f.remove, "backup-delete", false, "delete them")
	return c
}

func (a *app) doRekey(ctx context.Context, f rekeyFlags, given []string) error {
	if f.target != "barrier" && f.target != "recovery" {
		return errs.Newf(errs.Invalid, "-target=%s: use barrier or recovery", f.target)
	}
	switch {
	case f.retrieve:
		kept, err := a.read(ctx, "sys/rekey/backup")
		if err != nil {
			return err
		}
		return a.show(kept, "nonce=Nonce", "keys_base64=Keys")
	case f.remove:
		if err := a.delete(ctx, "sys/rekey/backup", nil); err != nil {
			return err
		}
		return a.Done("Success! Deleted the backup of shares.")
	case f.begin:
		return a.beginRekey(ctx, f)
	case f.cancel:
		return a.cancelRekey(ctx, f)
	case f.status && f.verify:
		return a.showVerification(a.read(ctx, "sys/rekey/verify"))
	case f.status:
		return a.showRekey(a.read(ctx, "sys/rekey/init"))
	}
	return a.giveRekey(ctx, f, given)
}

func (a *app) beginRekey(ctx context.Context, f rekeyFlags) error {
	keys, err := Keys(f.keys)
	if err != nil {
		return err
	}
	body := map[string]any{"secret_shares": f.shares, "secret_threshold": f.threshold, "require_verification": f.verify, "backup": f.backup}
	if len(keys) > 0 {
		body["pgp_keys"] = keys
	}
	if !f.verify {
		a.Warn([]string{"with -verify=false the old shares end before anybody has proved to hold the new ones: if the answer is lost, so are they"})
	}
	return a.showRekey(a.ask(ctx, "sys/rekey/init", body))
}

func (a *app) cancelRekey(ctx context.Context, f rekeyFlags) error {
	path, what := "sys/rekey/init", "Cancelled the rekey: the old shares open the vault."
	if f.verify {
		path, what = "sys/rekey/verify", "Dropped the new shares that were given back: begin giving them again, under the nonce that -verify -status shows."
	}
	if err := a.delete(ctx, path, nil); err != nil {
		return err
	}
	return a.Done("Success! %s", what)
}

func (a *app) giveRekey(ctx context.Context, f rekeyFlags, given []string) error {
	path := "sys/rekey/update"
	if f.verify {
		path = "sys/rekey/verify"
	}
	if f.nonce == "" {
		return errs.New(errs.Invalid, "-nonce is missing: whoever began this has it; -init begins, -status looks")
	}
	share, err := a.share(given)
	if err != nil {
		return err
	}
	answer, err := a.ask(ctx, path, map[string]any{"key": share, "nonce": f.nonce})
	switch {
	case err != nil:
		return err
	case answer["complete"] != true && f.verify:
		return a.showVerification(answer, nil)
	case answer["complete"] != true:
		return a.showRekey(answer, nil)
	case f.verify:
		return a.Done("Success! The new shares open the vault, and the old ones do not any more.")
	}
	return a.showShares(answer)
}

func (a *app) showRekey(s map[string]any, err error) error {
	if err != nil {
		return err
	}
	s["given"] = fmt.Sprintf("%v/%v", s["progress"], s["required"])
	return a.show(s, "nonce=Nonce", "started=Started", "given=Rekey Progress", "n=New Shares", "t=New Threshold", "pgp_fingerprints=Encrypted For", "verification_required=Verification Required", "verification_nonce=Verification Nonce")
}

func (a *app) showVerification(s map[string]any, err error) error {
	if err != nil {
		return err
	}
	s["given"] = fmt.Sprintf("%v/%v", s["progress"], s["t"])
	return a.show(s, "nonce=Nonce", "started=Started", "given=Verification Progress")
}

func (a *app) showShares(answer map[string]any) error {
	if a.Format != "table" || a.Field != "" {
		return a.Print(answer, nil, nil)
	}
	names := list(answer["pgp_fingerprints"])
	var rows []session.Row
	for i, share := range list(answer["keys_base64"]) {
		row := session.Row{fmt.Sprintf("Key %d:", i+1), share}
		if i < len(names) {
			row = append(row, "for "+names[i])
		}
		rows = append(rows, row)
	}
	if err := a.Print(answer, nil, rows); err != nil {
		return err
	}
	if answer["verification_required"] == true {
		return a.Done("\nThe old shares open the vault until the new ones were given back:\nstrongkeep operator rekey -verify -nonce=%v -", answer["verification_nonce"])
	}
	return a.Done("\nThe new shares take the place of the old. Keep the old ones until the new ones have opened the vault once.")
}
