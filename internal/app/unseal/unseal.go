// Package unseal opens the keys of a configuration that unseal the vault without people.
//
// Start reading at Open; a server keeps its keys in a Ring.
package unseal

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
)

// Config is one key that unseals the vault without people. Either KeyFile or KeyStore is set.
type Config struct {
	// Name is what people call the key: a to z, digits, -, _ and dots. It is not used for another key later.
	Name string `json:"name"`
	// KeyFile is a static key, as unseal_key_file.
	KeyFile string `json:"key_file,omitempty"`
	// KeyStore names a key store and its settings, such as {"transit":{…}}, as the file of unseal_key_store does.
	KeyStore json.RawMessage `json:"key_store,omitempty"`
	// Timeout is how long one use of the key may take, a Go duration. Default 10s.
	Timeout string `json:"timeout,omitempty"`
}

// openKeyStore opens the key that a file names: {"transit":{…}}, in YAML or JSON.
func (k *keys) openKeyStore(path string) (keystore.Versioned, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading unseal_key_store: %w", err)
	}
	settings, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "unseal_key_store %s is no YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	key, err := keystore.Open(k.kinds, settings)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "unseal_key_store %s: %w", path, err)
	}
	return key, nil
}

func openKeyFile(path string) (seal.Wrapper, error) {
	key, err := keyfile.Load(path)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "loading the unseal key (make one with: strongkeep operator unseal-key %s): %w", path, err)
	}
	return key, nil
}

// Unusable is an unseal key of the list that could not even be opened.
type Unusable struct {
	Name string
	Err  error
}

// Keys is what a configuration says.
type Keys struct {
	Kinds map[string]keystore.Opener // of key stores
	File  string                     // unseal_key_file
	Store string                     // unseal_key_store
	List  []Config                   // seals
}

// Open opens them. Of several, those that cannot be opened are left out and told: the others are there for
// that. If none can, that is an error, as is a configuration that is wrong in itself.
func Open(c Keys) (all []seal.Wrapper, broken []Unusable, err error) {
	all, broken, err = open(c)
	if err == nil && len(all) == 0 {
		err = together(broken)
	}
	return all, broken, err
}

// together is nil if there is nothing unusable.
func together(broken []Unusable) error {
	var err error
	for _, b := range broken {
		err = errors.Join(err, b.Err)
	}
	return err
}

// open is Open for who can go on without any key.
func open(c Keys) (all []seal.Wrapper, broken []Unusable, err error) {
	k := keys{kinds: c.Kinds, taken: map[string]bool{seal.KindShamir: true}}
	if c.File != "" {
		k.add(Config{}, keyfile.Name, func() (seal.Wrapper, error) { return openKeyFile(c.File) })
	}
	if c.Store != "" {
		k.add(Config{}, "unseal_key_store", func() (seal.Wrapper, error) { return k.openKeyStore(c.Store) })
	}
	for i := range c.List {
		if err := c.List[i].check(); err != nil {
			return nil, nil, err
		}
		k.add(c.List[i], c.List[i].Name, func() (seal.Wrapper, error) { return k.open(&c.List[i]) })
	}
	return k.all, k.broken, k.wrong
}

// keys collects unseal keys.
type keys struct {
	kinds  map[string]keystore.Opener
	taken  map[string]bool // names
	all    []seal.Wrapper
	broken []Unusable
	wrong  error // of the configuration itself
}

// add opens the key of c. called is its name if it cannot even be opened.
func (k *keys) add(c Config, called string, open func() (seal.Wrapper, error)) {
	limit, err := within(c.Timeout)
	if err != nil {
		k.wrong = errors.Join(k.wrong, errs.Newf(errs.Invalid, "seal %q: %w", called, err))
		return
	}
	key, err := open()
	if err != nil {
		k.broken = append(k.broken, Unusable{called, err})
		return
	}
	n := seal.Named{Wrapper: key, As: cmp.Or(c.Name, key.Name()), Within: limit}
	if k.taken[n.As] {
		k.wrong = errors.Join(k.wrong, errs.Newf(errs.Invalid, "two unseal keys are called %q (one of unseal_key_file or unseal_key_store is called by its kind): give each of seals a name of its own", n.As))
		return
	}
	k.taken[n.As] = true
	k.all = append(k.all, n)
}

var sealName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (s *Config) check() error {
	switch {
	case !sealName.MatchString(s.Name):
		return errs.Newf(errs.Invalid, "seals: the name %q is not 1 to 64 of a-z, 0-9, dots, - and _", s.Name)
	case (s.KeyFile == "") == (len(s.KeyStore) == 0):
		return errs.Newf(errs.Invalid, "seal %q: give it a key_file or a key_store, and not both", s.Name)
	}
	return nil
}

func (k *keys) open(s *Config) (seal.Wrapper, error) {
	if s.KeyFile != "" {
		return openKeyFile(s.KeyFile)
	}
	key, err := keystore.Open(k.kinds, s.KeyStore)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "seal %q: %w", s.Name, err)
	}
	return key, nil
}

func within(timeout string) (time.Duration, error) {
	if timeout == "" {
		return seal.DefaultWithin, nil
	}
	d, err := time.ParseDuration(timeout)
	if err != nil || d <= 0 || d > 5*time.Minute {
		return 0, errs.Newf(errs.Invalid, "timeout %q: use a duration up to 5m, such as 10s", timeout)
	}
	return d, nil
}
