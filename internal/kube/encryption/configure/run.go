package configure

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Run does the next step on this node: it writes the file, and returns when this node's
// API server has it in force. If that refuses it, the file before is put back. Where there is nothing to write it waits until all API servers have the file.
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
		return s, s.proven(ctx, &cfg)
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
	switch {
	case s.next == s.current:
		now, err := await(ctx, &cfg, s, true)
		if err == nil {
			err = s.proven(ctx, &cfg)
		}
		return now, err
	case cfg.Final:
		return final(ctx, &cfg, s)
	}
	return put(ctx, &cfg, s)
}

// put writes the next file and waits until this node's API server has it in force.
func put(ctx context.Context, cfg *Config, s *State) (*State, error) {
	if err := s.plugins(ctx, cfg.Expect); err != nil {
		return s, err
	}
	for _, what := range s.NotKnown {
		cfg.Say("Not known: %s.", what)
	}
	if err := write(cfg, s.current, s.next); err != nil {
		return s, err
	}
	cfg.Say("Wrote %s.", cfg.File)
	if s.Hash == "" { // no API server has it yet, and none will without a flag
		return look(ctx, cfg)
	}
	cfg.Say("The file before is %s. Waiting for this node's API server to take the new one, which it looks for each minute.", previous(cfg.File))
	return await(ctx, cfg, s, false)
}

// await waits until this node's API server has the next file in force, or all have.
func await(ctx context.Context, cfg *Config, s *State, all bool) (*State, error) {
	limited, cancel := context.WithTimeout(ctx, cfg.Wait)
	defer cancel()
	tick, stop := cfg.Every()
	defer stop()
	w := s.watch(cfg)
	var asking error // why the last question got no answer, if there was time for one
	for {
		now, err := servers(limited, cfg)
		if err == nil || limited.Err() == nil {
			asking = err
		}
		taken, everywhere, refused := w.look(now)
		switch {
		case err != nil:
		case everywhere, taken && !all:
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

// process is an API server at a URL. Behind one URL there may be several.
type process struct{ url, id string }

// watch is what is compared with what API servers tell later.
type watch struct {
	hash   string          // of the next file
	here   map[string]bool // URLs of this node's API servers
	had    map[string]bool // URLs of those that had the next file
	failed map[process]int // how often each had refused one
}

func (s *State) watch(cfg *Config) *watch {
	w := &watch{s.next.Hash, s.here(cfg), map[string]bool{}, map[process]int{}}
	for _, at := range s.Servers {
		w.failed[process{at.URL, at.ID}] = at.Failures
		w.had[at.URL] = at.Hash == w.hash
	}
	return w
}

// look returns whether this node's API server has the next file in force, whether all
// have, and the URL of this node's API server if it has refused a file since. What those
// of other nodes refuse says nothing of this node's file.
func (w *watch) look(now []Server) (taken, everywhere bool, refused string) {
	have, here, behind := 0, 0, 0
	for _, s := range now {
		has := s.Hash == w.hash
		if has {
			have++
		}
		if !w.here[s.URL] {
			continue
		}
		here++
		taken = taken || has && !w.had[s.URL]
		if !has {
			behind++
		}
		before, known := w.failed[process{s.URL, s.ID}]
		if !known {
			_, known = w.failed[process{s.URL, ""}] // it did not tell who it is, nor that it has refused any
		}
		if known && s.Failures > before {
			refused = s.URL
		}
	}
	return taken || here > 0 && behind == 0, have == len(now), refused
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
	return errs.Newf(errs.Unavailable, "the API server of this node has not taken %s in %s: it needs --encryption-provider-config=%s and --encryption-provider-config-automatic-reload=true, or a restart; then run this again", cfg.File, cfg.Wait, cfg.File)
}
