package shelf

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// needs are the capabilities that a turn uses, by path; docs/rotation/kv.md has
// them as a policy.
func (s *Shelf) needs() map[string][]string {
	return map[string][]string{
		s.live.at("data"):       {"create", "read", "update"},
		s.live.at("metadata"):   {"read"},
		s.live.at("delete"):     {"update"},
		s.live.at("undelete"):   {"update"},
		s.live.at("destroy"):    {"update"},
		s.record.at("data"):     {"create", "read", "update"},
		s.record.at("metadata"): {"create", "read", "update"},
	}
}

// Rehearse reads everything that a turn reads, and asks the vault whether the
// login may do everything that it does. It writes nothing.
func (s *Shelf) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	r, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.admitStage(r, t); err != nil {
		return nil, err
	}
	live, err := s.live.read(ctx)
	if err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("%q has nothing yet: the first turn publishes it", s.live.at("data"))}
	if live.values != nil {
		lines[0] = fmt.Sprintf("%q is at version %d", s.live.at("data"), live.version)
	}
	needs := s.needs()
	paths := slices.Sorted(maps.Keys(needs))
	raw, err := s.vault.Call(ctx, http.MethodPost, "sys/capabilities-self", map[string]any{"paths": paths})
	if err != nil {
		return lines, err
	}
	var may map[string]json.RawMessage
	if json.Unmarshal(raw, &may) != nil {
		return lines, errs.New(errs.Invalid, "sys/capabilities-self answers as no vault does")
	}
	var missing []string
	for _, path := range paths {
		if lacks := lacking(may[path], needs[path]); len(lacks) > 0 {
			missing = append(missing, fmt.Sprintf("%s on %q", strings.Join(lacks, ", "), path))
		}
	}
	if len(missing) > 0 {
		return lines, errs.Newf(errs.Denied, "the store's login lacks %s: see the policy in docs/rotation/kv.md", strings.Join(missing, "; "))
	}
	return append(lines, "the store's login may do all that a turn does"), nil
}

func lacking(raw json.RawMessage, wanted []string) []string {
	var has []string
	if json.Unmarshal(raw, &has) != nil || slices.Contains(has, "root") {
		if slices.Contains(has, "root") {
			return nil
		}
		return wanted
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return slices.Contains(has, c) })
}

// Staged returns what readers would see if the turn, which is staged, were
// published: all properties, as a JSON object.
func (s *Shelf) Staged(ctx context.Context, t target.Turn) (redact.Secret, error) {
	r, err := s.load(ctx)
	if err != nil {
		return redact.Secret{}, err
	}
	if err := s.admit(r, t); err != nil {
		return redact.Secret{}, err
	}
	if r.Step != staged {
		return redact.Secret{}, s.past(r, "lending what is staged")
	}
	live, err := s.live.read(ctx)
	if err != nil {
		return redact.Secret{}, err
	}
	raw, err := json.Marshal(map[string]json.RawMessage(live.values.with(r.New)))
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "encoding what is staged for %q", s.live.at("data"))
	}
	return redact.New(raw), nil
}
