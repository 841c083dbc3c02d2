package configure

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

// silent is for how long a plugin may have told an API server nothing: it is asked each
// minute.
const silent = 5 * time.Minute

// writers are the names of the KMS v2 providers that write some resource.
func writers(f *config.File) map[string]bool {
	names := map[string]bool{}
	for _, resource := range f.Resources() {
		if first := f.Providers(resource)[0]; first.Kind == "kms" && first.Version == "v2" {
			names[first.Name] = true
		}
	}
	return names
}

// agree refuses a step by which this node begins to write with a provider, or has nothing
// but it left, whose plugins have not the same key everywhere: a provider's name says nothing of its key. What each
// API server's plugin told last is in its metrics. The kind is Conflict.
func (s *State) agree(cfg *Config) error {
	had := writers(s.current)
	for _, name := range slices.Sorted(maps.Keys(writers(s.next))) {
		if had[name] && !cfg.Final {
			continue
		}
		if err := s.agreeOn(name, cfg.Expect); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) agreeOn(name, expect string) error {
	want, from := "", ""
	if expect != "" {
		want, from = meter.HashOf(expect), "-expect"
	}
	var mute []string
	for _, at := range s.Servers {
		k, told := at.Keys[name]
		switch {
		case !told:
			mute = append(mute, at.URL)
			continue
		case at.Told.Sub(k.At) > silent:
			return errs.Newf(errs.Conflict, "the plugin of the API server %s has told its key last at %s: find out there why with strongkeep kms doctor", at.URL, k.At.Format(time.RFC3339))
		case want == "":
			want, from = k.Hash, at.URL
		case want != k.Hash:
			return errs.Newf(errs.Conflict, "the plugins of provider %s have not one key: its hash is %s by %s, and %s by the API server %s, which could not read what is written here: compare strongkeep kms status on all nodes; if the key was turned just now, wait three minutes", name, want, from, k.Hash, at.URL)
		}
	}
	if len(mute) == 0 {
		return nil
	}
	unknown := "which key the plugin of provider " + name + " has beside " + strings.Join(mute, ", ")
	if expect == "" {
		return errs.Newf(errs.Conflict, "the API server does not tell %s: compare strongkeep kms status on all nodes, and say -expect=KEYID", unknown)
	}
	s.NotKnown = append(s.NotKnown, unknown)
	return nil
}

// same refuses a plugin of this node that has not the key which the API servers tell, or
// which is expected. The kind is Conflict.
func (s *State) same(name, keyID, expect string) error {
	if expect != "" && keyID != expect {
		return errs.Newf(errs.Conflict, "its key id is %s, and -expect says %s: compare name and key of both plugins", keyID, expect)
	}
	for _, at := range s.Servers {
		if k, told := at.Keys[name]; told && k.Hash != meter.HashOf(keyID) {
			return errs.Newf(errs.Conflict, "its key id is %s, and that of the plugin beside the API server %s is another: compare strongkeep kms status on all nodes; if the key was turned just now, wait three minutes", keyID, at.URL)
		}
	}
	return nil
}
