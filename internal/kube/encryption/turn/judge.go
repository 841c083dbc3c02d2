package turn

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

const (
	// seedLife is for how long an API server may write with the seed of a key id, from
	// when its plugin told it last (k8s.io/apiserver encryptionconfig,
	// kmsv2PluginWriteDEKSourceMaxTTL: 3 minutes), some seconds, since a time that is
	// told in an answer has whole ones, and as long as what it encrypted last may take to
	// reach etcd.
	seedLife = 3*time.Minute + 10*time.Second + settled
	// settled is how old the configuration of an API server has to be: requests that
	// began under the one before have ended by then (--request-timeout).
	settled = time.Minute
	// silent is for how long a plugin may have told an API server nothing: it is asked each
	// minute.
	silent = 5 * time.Minute
	// slow is how long API servers may take to be told of a version before it is said what
	// may be wrong.
	slow = 3 * time.Minute
)

// Phase is how far API servers are.
type Phase string

// The phases, in their order.
const (
	Turning Phase = "turning" // plugins tell some API server another version
	Ending  Phase = "ending"  // some API server may write under another version yet
	Settled Phase = "settled" // all write under the version
)

// Standing is where API servers stand. The zero Standing is not known.
type Standing struct {
	Target    kms.Known // the version that all are to have: the newest one
	Providers []string  // of EncryptionConfigurations, whose plugins have this key
	Phase     Phase
	Waits     string // what is waited for; "" if nothing is
}

// Judge says where API servers stand with a key, by its versions and what each tells.
// Kinds: Conflict (waiting does not help), Unavailable (it may).
func Judge(versions []kms.Known, servers []configure.Server) (*Standing, error) {
	s := &Standing{}
	target := -1
	for i, v := range versions {
		if v.Wraps {
			target = i
		}
	}
	if target < 0 {
		return nil, errs.New(errs.Conflict, "the key store lets no version of the key encrypt: lower its least version for encryption")
	}
	s.Target = versions[target]
	index := map[string]int{}
	for i := range versions[:target+1] {
		index[meter.HashOf(versions[i].KeyID)] = i
	}
	if err := s.alike(servers, index); err != nil {
		return nil, err
	}
	s.Phase = Settled
	for _, name := range s.Providers {
		for i := range servers {
			if err := s.provider(name, &servers[i], versions, index); err != nil {
				return nil, err
			}
		}
	}
	if s.Phase != Turning {
		for i := range servers {
			s.reloaded(&servers[i])
		}
	}
	return s, nil
}

// alike finds the providers that have this key, and refuses API servers that encrypt with
// different configurations, or do not tell.
func (s *Standing) alike(servers []configure.Server, index map[string]int) error {
	names := map[string]bool{}
	for i := range servers {
		at := &servers[i]
		switch {
		case at.Told.IsZero():
			return errs.Newf(errs.Unavailable, "the API server %s does not say what time it is: is there something between it and us?", at.URL)
		case at.Hash == "":
			return errs.Newf(errs.Conflict, "the API server %s tells no hash of its EncryptionConfiguration, so that it is not known whether it has the same as the others: has it --encryption-provider-config and --encryption-provider-config-automatic-reload=true?", at.URL)
		case at.Hash != servers[0].Hash:
			return errs.Newf(errs.Conflict, "the API servers %s and %s have different EncryptionConfigurations: wait until all have the same, or see strongkeep encryption status", servers[0].URL, at.URL)
		}
		for name, k := range at.Keys {
			if _, ours := index[k.Hash]; ours {
				names[name] = true
			}
		}
	}
	if len(names) == 0 {
		return errs.New(errs.Conflict, "no API server tells a key id that is one of this key's versions: is this the configuration of the plugins beside them (-config), with their name, and do they run? Ask: strongkeep kms doctor")
	}
	s.Providers = slices.Sorted(maps.Keys(names))
	return nil
}

// provider takes what one API server tells of a provider's key.
func (s *Standing) provider(name string, at *configure.Server, versions []kms.Known, index map[string]int) error {
	k, told := at.Keys[name]
	version, ours := index[k.Hash]
	switch {
	case !told:
		return errs.Newf(errs.Unavailable, "the API server %s does not tell which key the plugin of provider %s has: ask strongkeep kms doctor on its node", at.URL, name)
	case at.Told.Sub(k.At) > silent:
		return errs.Newf(errs.Conflict, "the plugin of provider %s has told the API server %s its key last at %s: find out there why with strongkeep kms doctor; of a provider that is no longer in its configuration it tells until it is restarted", name, at.URL, k.At.Format(time.RFC3339))
	case !ours:
		return errs.Newf(errs.Conflict, "the plugin of provider %s has told the API server %s a key id that is none of this key's versions: it has another key, or another name in its configuration: compare strongkeep kms status on all nodes", name, at.URL)
	}
	if v := versions[version]; v.KeyID != s.Target.KeyID {
		s.wait(Turning, fmt.Sprintf("the plugin of provider %s tells the API server %s version %s: %s", name, at.URL, v.ID, s.due(at.Told)))
		return nil
	}
	if left := seedLife - at.Told.Sub(k.Before); !k.Before.IsZero() && left > 0 {
		s.wait(Ending, fmt.Sprintf("the API server %s may write under the key id before until %s", at.URL, at.Told.Add(left).UTC().Format(time.TimeOnly)))
	}
	return nil
}

// reloaded waits for requests that began under the configuration before.
func (s *Standing) reloaded(at *configure.Server) {
	if left := settled - at.Told.Sub(at.Reloaded); !at.Reloaded.IsZero() && left > 0 {
		s.wait(Ending, fmt.Sprintf("the API server %s has its configuration since %s only", at.URL, at.Reloaded.Format(time.TimeOnly)))
	}
}

// moved reports whether API servers encrypted with anything else between two answers,
// also if that is over by the second one.
func (s *Standing) moved(before, after []configure.Server) bool {
	return !slices.EqualFunc(before, after, func(a, b configure.Server) bool {
		return a.URL == b.URL && a.Hash == b.Hash && a.Reloaded.Equal(b.Reloaded) && !slices.ContainsFunc(s.Providers, func(name string) bool {
			was, is := a.Keys[name], b.Keys[name]
			return was.Hash != is.Hash || !was.Before.Equal(is.Before)
		})
	})
}

// wait notes what is waited for; of several the first of the earliest phase.
func (s *Standing) wait(phase Phase, why string) {
	if s.Phase == Settled || s.Phase == Ending && phase == Turning {
		s.Phase, s.Waits = phase, why
	}
}

// due says when plugins turn to the target.
func (s *Standing) due(now time.Time) string {
	at := s.Target.Active
	text := at.UTC().Format(time.TimeOnly)
	switch {
	case at.IsZero():
		return "API servers ask their plugins each minute"
	case now.Before(at):
		return fmt.Sprintf("plugins turn to version %s at %s, and API servers ask them each minute", s.Target.ID, text)
	case now.Sub(at) < slow:
		return fmt.Sprintf("plugins have turned to version %s at %s, and API servers ask them each minute", s.Target.ID, text)
	}
	return fmt.Sprintf("plugins should have turned to version %s at %s: does the one on that node have it (a key file has to be copied), and can it encrypt? Ask there: strongkeep kms doctor", s.Target.ID, text)
}
