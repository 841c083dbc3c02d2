package configure

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// Config says what is to be, and where.
type Config struct {
	File    string // the EncryptionConfiguration of this node; need not be there yet
	Goal    config.Goal
	From    string // a file that somebody wrote, to be taken instead of a step of ours
	Servers []string
	REST    *rest.Config
	// Manifest of the API server's static pod; "" or a file that is not there: not looked at.
	Manifest string
	// Final takes away what the goal does not need, proven by what is stored: a running
	// etcd, whose values lie below EtcdPrefix ("" is stored.DefaultPrefix).
	Final      bool
	Stored     stored.Source
	EtcdPrefix string
	Settled    time.Duration // how long each API server has had its file before etcd is read; default a minute
	Expect     string        // key id that all plugins are to have; "": not compared
	// TheseAreAll says that Servers are all that there are, where no lease tells it.
	TheseAreAll bool
	Host        string                            // this node's name, by which its API server is known; default os.Hostname
	Local       func(url string) bool             // for tests: whether an API server is at an address of this machine
	Wait        time.Duration                     // how long API servers get to take a file; default 3 minutes
	Say         func(string, ...any)              // progress, a line each
	At          func(step string)                 // for tests: called between the steps of a write
	Every       func() (<-chan time.Time, func()) // for tests: when to ask again
}

func (c *Config) defaults() {
	if c.Settled == 0 {
		c.Settled = settled
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname() // without it an API server is known by its address
	}
	if c.Local == nil {
		c.Local = local
	}
	if c.Wait == 0 {
		c.Wait = 3 * time.Minute
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	if c.At == nil {
		c.At = func(string) {}
	}
	if c.Every == nil {
		c.Every = func() (<-chan time.Time, func()) {
			t := time.NewTicker(5 * time.Second) // metrics are large
			return t.C, t.Stop
		}
	}
}

// State is where things stand.
type State struct {
	File    string       `json:"file"`
	Hash    string       `json:"hash,omitempty"` // of what the file has now; "" if it is not there
	Stage   config.Stage `json:"stage"`          // of the file
	InClear []string     `json:"in_clear,omitempty"`
	Servers []At         `json:"servers"`
	// Blocked says why the next file must not be written yet, "" if nothing does.
	Blocked string `json:"blocked,omitempty"`
	// NotKnown is what the next step rests on without it having been seen.
	NotKnown []string `json:"not_known,omitempty"`
	// Manifest says what is wrong with how the API server's pod sees the file and the
	// socket, "" if nothing, or if it was not looked at.
	Manifest string `json:"manifest,omitempty"`

	current, next *config.File
	blocked       error
	noFlag        bool // what is wrong in the manifest is that no file is named yet
}

// At is an API server and what is known of its file.
type At struct {
	Server
	Which string       `json:"which"`           // this, before, next, none, unknown
	Stage config.Stage `json:"stage,omitempty"` // "" if the file is not known
	Alone bool         `json:"alone,omitempty"` // it has nothing but the goal's provider
	file  *config.File
}

// Done reports that all API servers are where they are to be. Without a file here it is
// not known: an API server that tells of none may have one all the same.
func (s *State) Done() bool {
	if s.next != s.current || s.Hash == "" {
		return false
	}
	for _, at := range s.Servers {
		if at.Hash != s.Hash {
			return false
		}
	}
	return true
}

// Alone reports that no API server has anything but the goal's provider.
func (s *State) Alone() bool {
	for _, at := range s.Servers {
		if !at.Alone {
			return false
		}
	}
	return s.Hash != "" && len(s.Servers) > 0
}

// previous is where the file before is kept: the way back from a mistake, and how a
// node that is ahead knows the others' file.
func previous(file string) string { return file + ".previous" }

// Look reads this node's file and asks all API servers. It changes nothing. Bad files
// and goals are Invalid with the line at fault.
func Look(ctx context.Context, cfg Config) (*State, error) {
	cfg.defaults()
	return look(ctx, &cfg)
}

func look(ctx context.Context, cfg *Config) (*State, error) {
	if err := cfg.Goal.Check(); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(cfg.File) {
		return nil, errs.Newf(errs.Invalid, "file %q: its path has to be absolute", cfg.File)
	}
	current, err := load(cfg.File)
	if err != nil {
		return nil, err
	}
	next, err := successor(cfg, current)
	if err != nil {
		return nil, err
	}
	real, err := resolve(cfg.File)
	if err != nil {
		return nil, err
	}
	before, err := load(previous(real))
	if err != nil {
		before = &config.File{} // it is a help, and no part of the world
	}
	all, err := servers(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &State{File: cfg.File, Hash: current.Hash, Stage: current.Stage(&cfg.Goal), current: current, next: next}
	for _, one := range all {
		s.Servers = append(s.Servers, s.place(one, before, &cfg.Goal))
	}
	s.InClear = slices.Sorted(maps.Keys(current.InClear()))
	if s.blocked = s.judge(cfg); s.blocked != nil {
		s.Blocked = s.blocked.Error()
	}
	if err := mounted(cfg); err != nil {
		s.Manifest, s.noFlag = err.Error(), errs.Is(err, errs.NotExist)
	}
	return s, nil
}

// load reads a file; one that is not there is the zero File.
func load(path string) (*config.File, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &config.File{}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, errs.Newf(errs.Denied, "reading %s: you may not: run this as root on a control-plane node", path)
	case err != nil:
		return nil, errs.Newf(errs.Unavailable, "reading the EncryptionConfiguration: %w", err)
	}
	return config.Parse(path, text)
}

// successor is the file that comes next.
func successor(cfg *Config, current *config.File) (*config.File, error) {
	switch {
	case cfg.From == "" && cfg.Final:
		return current.Final(&cfg.Goal)
	case cfg.From == "":
		return current.Next(&cfg.Goal)
	}
	text, err := os.ReadFile(cfg.From)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the new EncryptionConfiguration: %w", err)
	}
	next, err := config.Parse(cfg.From, text)
	if err != nil {
		return nil, err
	}
	if next.Hash == current.Hash {
		return current, nil
	}
	return next, config.Follows(current, next, config.Allow{Clear: cfg.Goal.Back, Loss: cfg.Final})
}

// place finds out which file an API server has.
func (s *State) place(one Server, before *config.File, goal *config.Goal) At {
	at := At{Server: one, Which: "unknown"}
	for _, known := range []struct {
		which string
		file  *config.File
	}{{"this", s.current}, {"next", s.next}, {"before", before}, {"none", &config.File{}}} {
		if known.file.Hash == one.Hash && (known.which == "none" || one.Hash != "") {
			at.Which, at.file = known.which, known.file
			if known.which != "none" || !goal.Back { // that it writes in the clear is not known
				at.Stage, at.Alone = known.file.Stage(goal), known.file.Alone(goal)
			}
			return at
		}
	}
	return at
}

// judge says why the next file must not be written: an API server has a file that is
// not known here, or could not read what is written with the next one, or the other
// way round, or its plugin has another key. The kind is Conflict.
func (s *State) judge(cfg *Config) error {
	for _, at := range s.Servers {
		if at.file == nil {
			return errs.Newf(errs.Conflict, "the API server %s has a file in force that is not this node's (%s, here %s): put the same file on all nodes, and wait until each has reloaded it", at.URL, at.Hash, orNone(s.Hash))
		}
		if at.Which == "none" && cfg.Goal.Back && s.next != s.current {
			return errs.Newf(errs.Conflict, "the API server %s tells of no file, which does not show that it has none: on the way back nothing is written before all tell theirs; restart it with --encryption-provider-config-automatic-reload=true", at.URL)
		}
		if err := config.Together(s.next, at.file); err != nil {
			what := "run this on its node, and wait until it has reloaded"
			if at.Which == "none" {
				what = "it tells of no file: give it --encryption-provider-config=" + s.File + " and --encryption-provider-config-automatic-reload=true"
			}
			return errs.Newf(errs.Conflict, "the API server %s is not ready for the next step: %w: %s", at.URL, err, what)
		}
	}
	if s.next == s.current {
		return nil
	}
	if err := s.agree(cfg); err != nil {
		return err
	}
	if s.current.Hash == "" {
		return nil
	}
	// What lies in this node's file may be taken by its API server at any moment.
	if err := config.Together(s.next, s.current); err != nil {
		return errs.Newf(errs.Conflict, "%w", err)
	}
	return nil
}

func orNone(hash string) string {
	if hash == "" {
		return "none"
	}
	return hash
}
