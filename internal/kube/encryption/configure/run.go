package configure

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Run does the next step on this node: it writes the file, and returns when an API
// server has it in force. If one refuses it and none takes it, the file before is put
// back. Where there is nothing to write it waits until all API servers have the file.
// It may be killed at any moment and run again.
//
// Kinds: Invalid (bad input, nothing was written), Conflict (not yet; nothing was
// written), Denied, NotExist, Unavailable (no API server took the file in time).
func Run(ctx context.Context, cfg Config) (*State, error) {
	cfg.defaults()
	s, err := look(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	if s.Done() {
		return s, nil
	}
	if s.blocked != nil {
		return s, s.blocked
	}
	if s.Manifest != "" && (s.Hash != "" || !s.noFlag) { // the first file may be there before the flag
		return s, errs.New(errs.Invalid, s.Manifest)
	}
	if s.Hash == "" && cfg.Goal.Back {
		return s, errs.Newf(errs.NotExist, "%s is not there: for the way back name the file that the API server has, with -file", cfg.File)
	}
	if s.next == s.current {
		return await(ctx, &cfg, s, true)
	}
	if err := plugins(ctx, s.current, s.next); err != nil {
		return s, err
	}
	now, err := load(cfg.File)
	if err != nil || now.Hash != s.Hash {
		return s, errs.Newf(errs.Conflict, "%s was changed meanwhile: try again", cfg.File)
	}
	if err := write(&cfg, s.current, s.next); err != nil {
		return s, err
	}
	cfg.Say("Wrote %s.", cfg.File)
	if s.Hash == "" { // no API server has it yet, and none will without a flag
		return look(ctx, &cfg)
	}
	cfg.Say("The file before is %s. Waiting for an API server to take the new one, which they look for each minute.", previous(cfg.File))
	return await(ctx, &cfg, s, false)
}

// await waits until one API server more, or all of them, have the next file in force.
func await(ctx context.Context, cfg *Config, s *State, all bool) (*State, error) {
	limited, cancel := context.WithTimeout(ctx, cfg.Wait)
	defer cancel()
	tick, stop := cfg.Every()
	defer stop()
	had, failed := s.begun()
	var asking error // why the last question got no answer, if there was time for one
	for {
		now, err := servers(limited, cfg)
		if err == nil || limited.Err() == nil {
			asking = err
		}
		have, refused := count(now, s.next.Hash, failed)
		switch {
		case err != nil:
		case have == len(now), have > had && !all:
			return look(ctx, cfg)
		case refused != "" && !all:
			return s, takeBack(cfg, s, refused)
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("waiting for %s to be in force: %w: run this again", cfg.File, ctx.Err())
		case <-limited.Done():
			return s, late(cfg, s, all, asking)
		case <-tick:
		}
	}
}

// begun is how many have the next file already, and how often each has refused one.
func (s *State) begun() (had int, failed map[string]int) {
	failed = map[string]int{}
	for _, at := range s.Servers {
		failed[at.URL] = at.Failures
		if at.Hash == s.next.Hash {
			had++
		}
	}
	return had, failed
}

// count is how many have a file in force, and one that has refused a file since.
func count(now []Server, hash string, failed map[string]int) (have int, refused string) {
	for _, one := range now {
		if one.Hash == hash {
			have++
		}
		if one.Failures > failed[one.URL] {
			refused = one.URL
		}
	}
	return have, refused
}

func takeBack(cfg *Config, s *State, by string) error {
	if err := restore(cfg, s.current, s.next); err != nil {
		return errs.Newf(errs.KindOf(err), "the API server %s does not take the new file, and putting the one before back: %w", by, err)
	}
	return errs.Newf(errs.Unavailable, "the API server %s does not take the new file (its log says why), so the one before is back in %s: look at the plugin with strongkeep kms doctor", by, cfg.File)
}

// late says what to do if the time is up.
func late(cfg *Config, s *State, all bool, asking error) error {
	if asking != nil {
		return errs.Newf(errs.Unavailable, "waiting for %s to be in force: %w", cfg.File, asking)
	}
	if all {
		var left []string
		for _, at := range s.Servers {
			if at.Hash != s.next.Hash {
				left = append(left, at.URL)
			}
		}
		return errs.Newf(errs.Unavailable, "%s does not have the file of this node in force: run this on its node", strings.Join(left, ", "))
	}
	return errs.Newf(errs.Unavailable, "no API server has taken %s in %s: it needs --encryption-provider-config=%s and --encryption-provider-config-automatic-reload=true, or a restart; then run this again", cfg.File, cfg.Wait, cfg.File)
}
