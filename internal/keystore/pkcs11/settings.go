package pkcs11

import (
	"cmp"
	"encoding/hex"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/helper"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// Settings say which key, and how to get at it. Token, Serial, Key, ID and Fingerprint are
// part of what the key is called on disk: they never change.
type Settings struct {
	// Program is strongkeep-pkcs11 of this release. Default /usr/local/bin/strongkeep-pkcs11.
	Program string `json:"program,omitzero"`
	// Module is the token vendor's PKCS#11 library. It and Program are absolute paths of
	// files that nobody but root and we can change.
	Module string `json:"module"`
	// Token is its label, Serial its serial number: one of them, or both.
	Token  string `json:"token,omitzero"`
	Serial string `json:"serial,omitzero"`
	// Key is NAME: the versions are the keys labelled NAME/1, NAME/2 and so on. Or:
	Key string `json:"key,omitzero"`
	// ID is the CKA_ID of one key, in hex. It has one version.
	ID string `json:"id,omitzero"`
	// Fingerprint is check-value where the token does not decrypt by AES-ECB: keys of one
	// label are told apart by CKA_CHECK_VALUE then.
	Fingerprint string `json:"fingerprint,omitzero"`
	// PINFile has the user PIN, readable by its owner only; credential:NAME is one of systemd's.
	PINFile string `json:"pin_file"`
	// Environment is all that the module finds in its environment, such as where its
	// configuration lies. No secrets.
	Environment map[string]string `json:"environment,omitzero"`
	// Timeout of a call, a Go duration; default 2s, less than an API server's patience.
	// A module that does not answer for five of them is killed.
	Timeout string `json:"timeout,omitzero"`
	// StartTimeout is how long the module may take to be loaded and to log in; default 30s.
	StartTimeout string `json:"start_timeout,omitzero"`

	timeout, startTimeout time.Duration
	id                    []byte
}

const (
	defaultProgram = "/usr/local/bin/strongkeep-pkcs11"
	defaultTimeout = "2s"
	defaultStart   = "30s"
	checkValue     = "check-value"
)

var (
	labels    = regexp.MustCompile(`^[ -~]{1,32}$`)
	serials   = regexp.MustCompile(`^[!-~]{1,16}$`)
	names     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	variables = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// loaders are variables that load or trace something else than the module.
	loaders = regexp.MustCompile(`^(LD_|GLIBC_|MALLOC_|GO)`)
)

func parse(raw []byte) (Settings, error) {
	var s Settings
	if err := keystore.Decode(raw, &s); err != nil {
		return s, err
	}
	s.Program = cmp.Or(s.Program, defaultProgram)
	for _, f := range []struct{ name, path string }{{"program", s.Program}, {"module", s.Module}} {
		if !filepath.IsAbs(f.path) || filepath.Clean(f.path) != f.path {
			return s, errs.Newf(errs.Invalid, "%s %q must be an absolute path without dots", f.name, f.path)
		}
	}
	if s.PINFile == "" {
		return s, errs.New(errs.Invalid, "pin_file is missing: a file with the user PIN, or credential:NAME")
	}
	if err := s.which(); err != nil {
		return s, err
	}
	for name := range s.Environment {
		if !variables.MatchString(name) || loaders.MatchString(name) {
			return s, errs.Newf(errs.Invalid, "environment: %q is no variable that a module is given", name)
		}
	}
	var err error
	if s.timeout, err = duration("timeout", cmp.Or(s.Timeout, defaultTimeout)); err != nil {
		return s, err
	}
	s.startTimeout, err = duration("start_timeout", cmp.Or(s.StartTimeout, defaultStart))
	return s, err
}

// which checks what names token and key.
func (s *Settings) which() error {
	switch {
	case s.Token == "" && s.Serial == "":
		return errs.New(errs.Invalid, "token (its label) or serial says which token")
	case s.Token != "" && (!labels.MatchString(s.Token) || strings.TrimSpace(s.Token) != s.Token):
		return errs.Newf(errs.Invalid, "token %q is no label: 1 to 32 characters", s.Token)
	case s.Serial != "" && !serials.MatchString(s.Serial):
		return errs.Newf(errs.Invalid, "serial %q is no serial number: 1 to 16 characters", s.Serial)
	case (s.Key == "") == (s.ID == ""):
		return errs.New(errs.Invalid, "one of key and id says which key")
	case s.Key != "" && !names.MatchString(s.Key):
		return errs.Newf(errs.Invalid, "key %q must be such as kubernetes, whose versions are labelled kubernetes/1, kubernetes/2 and so on: letters, digits, dots, dashes, underscores", s.Key)
	}
	return s.decode()
}

// decode reads the CKA_ID, and how keys are told apart.
func (s *Settings) decode() (err error) {
	if s.Fingerprint != "" && s.Fingerprint != checkValue {
		return errs.Newf(errs.Invalid, "fingerprint %q: only %s can be asked for", s.Fingerprint, checkValue)
	}
	if s.id, err = hex.DecodeString(s.ID); err != nil || len(s.id) > 32 {
		return errs.Newf(errs.Invalid, "id %q is no CKA_ID: 1 to 32 bytes in hex", s.ID)
	}
	return nil
}

func duration(name, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, errs.Newf(errs.Invalid, "%s %q: use a positive duration such as 2s", name, text)
	}
	return d, nil
}

// helper returns what runs the program.
func (s *Settings) helper() *helper.Supervisor {
	var environment []string
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		environment = append(environment, name+"="+s.Environment[name])
	}
	return helper.New(helper.Config{
		Program: s.Program, PINFile: s.PINFile, Environment: environment, Timeout: s.timeout, StartTimeout: s.startTimeout, Now: time.Now,
		Opening: wire.Opening{Module: s.Module, Label: s.Token, Serial: s.Serial, Name: s.Key, KeyID: s.id, CheckValue: s.Fingerprint == checkValue},
	})
}
