package mount

import (
	"maps"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// lockoutFlag begins the names of the flags that are fields of user_lockout_config.
const lockoutFlag = "user-lockout-"

// addSettings declares the flags for a mount's settings.
func (s *side) addSettings(f *pflag.FlagSet) {
	f.String("description", "", "what it is for")
	f.String("default-lease-ttl", "", "lifetime given when none is asked for; system = the system's")
	f.String("max-lease-ttl", "", "the longest lifetime; system = the system's")
	f.String("listing-visibility", "", "unauth shows it to people who are not logged in; hidden")
	f.StringSlice("audit-non-hmac-request-keys", nil, "request fields that audit lines show in the clear; may be repeated")
	f.StringSlice("audit-non-hmac-response-keys", nil, "response fields that audit lines show in the clear; may be repeated")
	f.StringSlice("passthrough-request-headers", nil, "request headers that it may see; may be repeated")
	f.StringSlice("allowed-response-headers", nil, "response headers that it may set; may be repeated")
	f.StringToString("options", nil, "its own options, NAME=VALUE; may be repeated")
	if !s.auth() {
		f.String("version", "", "version of the kv engine: 1 or 2")
		return
	}
	f.String("token-type", "", "service, batch, default-service or default-batch")
	f.Uint(lockoutFlag+"threshold", 0, "wrong passwords before a user is locked out; methods with passwords only")
	f.String(lockoutFlag+"duration", "", "how long a user stays locked out")
	f.String(lockoutFlag+"counter-reset-duration", "", "how long wrong passwords are remembered")
	f.Bool(lockoutFlag+"disable", false, "lock nobody out")
}

// settings returns what was given of the settings: those of the mount's
// config, and the others, as the API has them.
func settings(f *pflag.FlagSet) (config, others map[string]any, err error) {
	config, others = map[string]any{}, map[string]any{}
	lockout, options := map[string]any{}, map[string]string{}
	f.Visit(func(flag *pflag.Flag) {
		name := strings.ReplaceAll(flag.Name, "-", "_")
		field, isLockout := strings.CutPrefix(flag.Name, lockoutFlag)
		switch {
		case isLockout:
			lockout["lockout_"+strings.ReplaceAll(field, "-", "_")] = flag.Value.String()
		case flag.Name == "version":
			options["version"] = flag.Value.String()
		case flag.Name == "options":
			given, fault := f.GetStringToString(flag.Name)
			maps.Copy(options, given)
			err = fault
		case flag.Name == "description":
			others[name] = flag.Value.String()
		case owned[flag.Name]:
			if list, ok := flag.Value.(pflag.SliceValue); ok {
				config[name] = list.GetSlice()
			} else {
				config[name] = flag.Value.String()
			}
		}
	})
	if len(lockout) > 0 {
		config["user_lockout_config"] = lockout
	}
	if len(options) > 0 {
		others["options"] = options
	}
	return config, others, err
}

// owned are the flags that are fields of a mount's config by their own name;
// the flags of every command stand in the same set.
var owned = map[string]bool{
	"default-lease-ttl": true, "max-lease-ttl": true, "listing-visibility": true, "token-type": true,
	"audit-non-hmac-request-keys": true, "audit-non-hmac-response-keys": true,
	"passthrough-request-headers": true, "allowed-response-headers": true,
}

func (s *side) enable() *cobra.Command {
	var path string
	var local, sealWrap bool
	c := &cobra.Command{
		Use: "enable TYPE", Short: "Mount a " + s.noun, Args: session.Args(1, 1),
		Example: map[bool]string{
			false: "  strongkeep secrets enable -path=secret -version=2 kv",
			true:  "  strongkeep auth enable -description='people' -token-type=batch userpass",
		}[s.auth()],
		RunE: func(c *cobra.Command, given []string) error {
			at := session.Clean(session.First(path, given[0]))
			config, body, err := settings(c.Flags())
			if err != nil {
				return errs.Newf(errs.Invalid, "reading the flags: %w", err)
			}
			body["type"], body["config"] = given[0], config
			if local {
				body["local"] = true
			}
			if sealWrap {
				body["seal_wrap"] = true
			}
			if err := s.WritePath(c.Context(), s.path+"/"+at, body); err != nil {
				return err
			}
			return s.Done("Success! Enabled the %s %s at: %s/", given[0], s.noun, at)
		},
	}
	f := c.Flags()
	f.StringVar(&path, "path", "", "where to mount it; default: the type's name")
	f.BoolVar(&local, "local", false, "not for other clusters; accepted and shown")
	f.BoolVar(&sealWrap, "seal-wrap", false, "accepted and shown: everything stored is sealed anyway")
	s.addSettings(f)
	return c
}

func (s *side) tune() *cobra.Command {
	c := &cobra.Command{
		Use: "tune PATH", Short: "Change TTLs, description and other settings", Args: session.Args(1, 1),
		Long:    "Change settings of a mount. What no flag names stays as it is; an empty list (-allowed-response-headers=) clears one.",
		Example: "  strongkeep " + s.use + " tune -max-lease-ttl=24h " + s.example + "/",
		RunE: func(c *cobra.Command, given []string) error {
			body, others, err := settings(c.Flags())
			if err != nil {
				return errs.Newf(errs.Invalid, "reading the flags: %w", err)
			}
			maps.Copy(body, others)
			if len(body) == 0 {
				return errs.New(errs.Invalid, "there is nothing to tune: give a flag")
			}
			if err := s.WritePath(c.Context(), s.path+"/"+session.Clean(given[0])+"/tune", body); err != nil {
				return err
			}
			return s.Done("Success! Tuned the %s at: %s/", s.noun, session.Clean(given[0]))
		},
	}
	s.addSettings(c.Flags())
	return c
}
