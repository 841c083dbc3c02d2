package configure

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// settled is how old the newest configuration of an API server has to be before etcd is
// read: requests that began under the one before have ended by then (--request-timeout).
const settled = time.Minute

// prove finds out that nothing in etcd needs what the next file takes away. Where the API
// servers stand is looked at before and after, so that none wrote otherwise in between.
// The kind is Conflict if something needs it, or something changed.
func prove(ctx context.Context, cfg *Config, s *State) error {
	if err := settle(ctx, cfg); err != nil {
		return err
	}
	before, err := look(ctx, cfg)
	if err != nil {
		return err
	}
	if before.blocked != nil {
		return before.blocked
	}
	if err := s.evidence(ctx, cfg); err != nil {
		return err
	}
	after, err := look(ctx, cfg)
	if err != nil {
		return err
	}
	if after.blocked != nil {
		return after.blocked
	}
	for _, at := range [][]string{s.hashes(), before.hashes()} {
		if !slices.Equal(at, after.hashes()) {
			return errs.New(errs.Conflict, "an API server took another file while etcd was read: run this again")
		}
	}
	return nil
}

// hashes are those of the files everywhere.
func (s *State) hashes() []string {
	out := []string{s.Hash}
	for _, at := range s.Servers {
		out = append(out, at.Hash)
	}
	return out
}

// settle waits until every API server has had its file for some time.
func settle(ctx context.Context, cfg *Config) error {
	limited, cancel := context.WithTimeout(ctx, cfg.Wait)
	defer cancel()
	tick, stop := cfg.Every()
	defer stop()
	for said := false; ; said = true {
		all, err := servers(limited, cfg)
		if limited.Err() != nil {
			return errs.Newf(errs.Unavailable, "waiting until every API server has had its file for %s: %w", cfg.Settled, limited.Err())
		}
		if err != nil {
			return err
		}
		young := slices.IndexFunc(all, func(s Server) bool {
			return !s.Reloaded.IsZero() && s.Told.Sub(s.Reloaded) < cfg.Settled
		})
		if young < 0 {
			return nil
		}
		if !said {
			cfg.Say("The API server %s has its file since %s only: waiting until what began before has ended.", all[young].URL, all[young].Reloaded.Format(time.TimeOnly))
		}
		select {
		case <-limited.Done():
		case <-tick:
		}
	}
}

// evidence reads etcd for what the next file takes away. The kind is Conflict if
// something there needs it, or nothing shows that this is the etcd of these API servers.
func (s *State) evidence(ctx context.Context, cfg *Config) error {
	lost := map[string][]string{} // what is lost, by resource
	var resources []string
	for _, l := range config.Losses(s.current, s.next) {
		if strings.Contains(l.Resource, "*") {
			return errs.Newf(errs.Unsupported, "%s is a wildcard: what is taken away from it cannot be proven to be unused yet: name the resources in entries of their own", l.Resource)
		}
		if lost[l.Resource] == nil {
			resources = append(resources, l.Resource)
		}
		lost[l.Resource] = append(lost[l.Resource], l.Under)
	}
	if err := sameEtcd(ctx, cfg); err != nil {
		return err
	}
	r, err := stored.Verify(ctx, cfg.Stored, stored.Config{Prefix: cfg.EtcdPrefix, Resources: resources, Most: 1})
	if err != nil {
		return err
	}
	for i := range r.Resources {
		if err := s.unneeded(&r.Resources[i], lost[r.Resources[i].Name]); err != nil {
			return err
		}
	}
	values := 0
	for i := range r.Resources {
		values += r.Resources[i].Values
	}
	cfg.Say("Read %d values of %s at revision %d of %s: nothing needs %s.", values, strings.Join(resources, ", "), r.Revision, r.Source, strings.Join(lost[resources[0]], ", "))
	return nil
}

// proven reads etcd once more where the last step was taken by a run before, which may have ended
// before it saw the file in force. The kind is Conflict if something is left that the file cannot read.
func (s *State) proven(ctx context.Context, cfg *Config) error {
	if !cfg.Final || cfg.Stored == nil || cfg.From != "" {
		return nil
	}
	if err := sameEtcd(ctx, cfg); err != nil {
		return err
	}
	r, err := stored.Verify(ctx, cfg.Stored, stored.Config{Prefix: cfg.EtcdPrefix, Resources: cfg.Goal.Resources, Most: 1})
	if err != nil {
		return err
	}
	values := 0
	for i := range r.Resources {
		values += r.Resources[i].Values
		if err := s.unneeded(&r.Resources[i], []string{"what was taken away"}); err != nil {
			return errs.Newf(errs.KindOf(err), "the last step was taken before: %w; %s has what it took away", err, previous(cfg.File))
		}
	}
	cfg.Say("Read %d values of %s at revision %d of %s: the file reads them all.", values, strings.Join(cfg.Goal.Resources, ", "), r.Revision, r.Source)
	return nil
}

// unneeded refuses values that the next file could not read.
func (s *State) unneeded(r *stored.Resource, lost []string) error {
	if r.Values == 0 {
		return errs.Newf(errs.Conflict, "etcd has no value of %s, which proves nothing: is this the right name, and the right -etcd-prefix?", r.Name)
	}
	var can []string
	for _, p := range s.next.Providers(r.Name) {
		can = append(can, p.Unders()...)
	}
	for _, g := range r.Under {
		if !slices.Contains(can, g.Provider) {
			return errs.Newf(errs.Conflict, "%d values of %s in etcd are under %s, which could not be read without %s: have them rewritten (strongkeep encryption rewrite -resource=%s); strongkeep encryption verify names them", g.Values, r.Name, g.Provider, strings.Join(lost, ", "), r.Name)
		}
	}
	return nil
}

// sameEtcd refuses an etcd that is not, or is no longer, that of the API servers: it has
// the lease of each, as new as they tell it.
func sameEtcd(ctx context.Context, cfg *Config) error {
	list, err := leases(ctx, cfg)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		cfg.Say("Not known: whether this is the etcd of these API servers, which keep no leases.")
	}
	return tied(ctx, cfg, list)
}

// tied refuses an etcd that has not these leases.
func tied(ctx context.Context, cfg *Config, list []coordinationv1.Lease) error {
	folder := strings.TrimSuffix(firstOf(cfg.EtcdPrefix, stored.DefaultPrefix), "/") + "/leases/kube-system/"
	there := map[string]int64{}
	if _, err := cfg.Stored.Read(ctx, []string{folder}, func(e stored.Entry) { there[strings.TrimPrefix(string(e.Key), folder)] = e.Revision }); err != nil {
		return err
	}
	for i := range list {
		version, err := strconv.ParseInt(list[i].ResourceVersion, 10, 64)
		if err != nil || there[list[i].Name] < version {
			return errs.Newf(errs.Conflict, "this is not the etcd of these API servers, or an old copy: the lease %s of one of them is not there as they tell it", list[i].Name)
		}
	}
	return nil
}

func firstOf(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// final is the step that takes away, with a proof before and another one behind it. If
// that fails the file before is put back.
func final(ctx context.Context, cfg *Config, s *State) (*State, error) {
	if cfg.Stored == nil {
		return s, errs.New(errs.Invalid, "what is taken away has to be proven to be unused right before: say where etcd is, with -etcd=https://127.0.0.1:2379, -etcd-ca, -etcd-cert and -etcd-key")
	}
	if err := prove(ctx, cfg, s); err != nil {
		return s, err
	}
	now, err := put(ctx, cfg, s)
	if err != nil {
		return now, err
	}
	if err := s.evidence(ctx, cfg); err != nil {
		if back := restore(cfg, s.current, s.next); back != nil {
			return now, fmt.Errorf("%w; and putting the file before back: %w", err, back)
		}
		return now, errs.Newf(errs.KindOf(err), "after the step: %w: the file before is back in %s", err, cfg.File)
	}
	return now, nil
}
