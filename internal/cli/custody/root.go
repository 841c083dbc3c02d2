package custody

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/sys/custody"
)

type rootFlags struct {
	begin, cancel, status, makeOTP, byShare bool
	otp, key, nonce, decode                 string
}

func (a *app) generateRoot() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "generate-root [-]", Short: "Make a root token by shares", Args: session.Args(0, 1),
		Long: `Make a root token. Whoever needs it begins (-init), with a token that may or with
one of the shares (-share), keeps the one-time pad and tells the nonce to those who hold
shares; each gives one. With the last one the token is shown, veiled by the pad: -decode
shows it to whoever has that. Give all shares to the node where it was begun.`,
		Example: "  strongkeep operator generate-root -init\n  strongkeep operator generate-root -nonce=NONCE -\n  strongkeep operator generate-root -decode=ENCODED -otp=-",
		RunE:    func(c *cobra.Command, given []string) error { return a.doRoot(c.Context(), f, given) },
	}
	s := c.Flags()
	s.BoolVar(&f.begin, "init", false, "begin")
	s.BoolVar(&f.byShare, "share", false, "with -init, and no token that may: one of the shares is given, and asked for if it is not an argument")
	s.BoolVar(&f.cancel, "cancel", false, "drop what is under way")
	s.BoolVar(&f.status, "status", false, "only look")
	s.StringVar(&f.decode, "decode", "", "an encoded token to be read by -otp")
	s.BoolVar(&f.makeOTP, "generate-otp", false, "make a one-time pad for -init -otp; without, the server makes one")
	s.StringVar(&f.otp, "otp", "", "the one-time pad; - for standard input")
	s.StringVar(&f.key, "pgp-key", "", "instead of a pad: an age recipient (age1…) or the file of a PGP key")
	s.StringVar(&f.nonce, "nonce", "", "as -init has shown it")
	return c
}

func (a *app) doRoot(ctx context.Context, f rootFlags, given []string) error {
	switch {
	case f.makeOTP:
		otp, err := custody.NewOTP()
		if err != nil {
			return err
		}
		return a.Print(map[string]any{"otp": otp}, nil, []session.Row{{otp}})
	case f.decode != "":
		return a.decodeRoot(f)
	case f.begin:
		return a.beginRoot(ctx, f, given)
	case f.cancel:
		query := map[string][]string{}
		if f.nonce != "" {
			query["nonce"] = []string{f.nonce}
		}
		if err := a.delete(ctx, "sys/generate-root/attempt", query); err != nil {
			return err
		}
		return a.Done("Success! Cancelled the generation of a root token.")
	case f.status:
		return a.showRoot(a.read(ctx, "sys/generate-root/attempt"))
	case f.nonce == "":
		return errs.New(errs.Invalid, "-nonce is missing: whoever began this has it; -init begins, -status looks")
	}
	share, err := a.share(given)
	if err != nil {
		return err
	}
	return a.showRoot(a.ask(ctx, "sys/generate-root/update", map[string]any{"key": share, "nonce": f.nonce}))
}

func (a *app) beginRoot(ctx context.Context, f rootFlags, given []string) error {
	body := map[string]any{}
	if f.otp != "" {
		otp, err := a.pad(f.otp)
		if err != nil {
			return err
		}
		body["otp"] = otp
	}
	if f.key != "" {
		keys, err := Keys([]string{f.key})
		if err != nil {
			return err
		}
		body["pgp_key"] = keys[0]
	}
	if f.byShare {
		share, err := a.share(given)
		if err != nil {
			return err
		}
		body["key"] = share
	}
	return a.showRoot(a.ask(ctx, "sys/generate-root/attempt", body))
}

func (a *app) pad(given string) (string, error) {
	text, err := a.SecretArgument([]string{given}, "one-time pad")
	return strings.TrimSpace(text), err
}

func (a *app) showRoot(s map[string]any, err error) error {
	if err != nil {
		return err
	}
	s["given"] = fmt.Sprintf("%v/%v", s["progress"], s["required"])
	defer a.next(s)
	return a.show(s, "nonce=Nonce", "started=Started", "given=Progress", "complete=Complete", "pgp_fingerprint=Encrypted For", "otp=OTP", "otp_length=OTP Length", "encoded_token=Encoded Token")
}

// next says what people do then, beside what programs read.
func (a *app) next(s map[string]any) {
	switch {
	case s["complete"] == true && s["encoded_token"] != "" && s["pgp_fingerprint"] == "":
		_, _ = fmt.Fprintf(a.Env.Stderr, "Who has the one-time pad reads the token: strongkeep operator generate-root -decode=%v -otp=-\n", s["encoded_token"])
	case s["started"] == true && s["complete"] == false:
		_, _ = fmt.Fprintf(a.Env.Stderr, "Each gives a share, to this node: strongkeep operator generate-root -nonce=%v -\n", s["nonce"])
	}
}

// decodeRoot needs no server.
func (a *app) decodeRoot(f rootFlags) error {
	otp, err := a.pad(f.otp)
	if err != nil {
		return err
	}
	clear, err := custody.Unveil(f.decode, otp)
	if err != nil {
		return err
	}
	return a.Print(map[string]any{"token": clear.RevealString()}, nil, []session.Row{{clear.RevealString()}})
}
