package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
)

// Config of Check.
type Config struct {
	File     string // the plugin's configuration
	Stores   map[string]keystore.Opener
	Peers    []string // sockets of other nodes' plugins
	Expect   string   // a key id that another node's plugin has; empty: not compared
	Manifest string   // the API server's static pod; empty: not looked at
}

// Finding is the answer to one question, and what to do.
type Finding struct {
	conform.Finding
	Next string `json:"next,omitempty"` // a command, or what to change; empty if all is well
}

// patience is how long an API server waits for a call.
const patience = 3 * time.Second

// visit is a check under way.
type visit struct {
	cfg    Config
	config serve.Config
	key    keystore.Versioned
	keyID  string // that a plugin with this configuration has now
	found  []Finding
}

// Check asks everything that it can. It changes nothing.
func Check(ctx context.Context, cfg Config) []Finding {
	v := &visit{cfg: cfg}
	if v.configuration() {
		v.store(ctx)
		v.directory()
		v.socket()
		v.plugin(ctx)
		v.peers(ctx)
	}
	v.apiServer()
	return v.found
}

func (v *visit) ok(question, format string, args ...any) {
	v.found = append(v.found, Finding{Finding: conform.Finding{Question: question, Level: conform.OK, Detail: fmt.Sprintf(format, args...)}})
}

func (v *visit) bad(level conform.Level, question string, err error, next string) {
	v.found = append(v.found, Finding{Finding: conform.Finding{Question: question, Level: level, Detail: err.Error()}, Next: next})
}

func (v *visit) configuration() bool {
	const question = "the configuration is right"
	var err error
	if v.config, err = serve.Load(v.cfg.File); err != nil {
		v.bad(conform.Fail, question, err, "write "+v.cfg.File+" as docs/encryption.md has it")
		return false
	}
	if v.key, err = keystore.Open(v.cfg.Stores, v.config.Key); err != nil {
		v.bad(conform.Fail, question, err, "correct key in "+v.cfg.File)
		return false
	}
	v.ok(question, "name %s, key %s %s", v.config.Name, v.key.Name(), v.key.KeyID())
	return true
}

// store asks the key store as the plugin does.
func (v *visit) store(ctx context.Context) {
	const question = "the key store answers in time"
	p, err := v.config.Plugin(v.key, slog.New(slog.DiscardHandler))
	if err != nil {
		v.bad(conform.Fail, "the configuration is right", err, "correct "+v.cfg.File)
		return
	}
	begun := time.Now()
	looked := p.Look(ctx)
	took := time.Since(begun).Round(100 * time.Microsecond)
	if v.keyID, err = p.Status(); err != nil {
		v.bad(conform.Fail, question, cmp.Or(looked, err), v.advice(cmp.Or(looked, err)))
		return
	}
	if looked != nil {
		v.bad(conform.Warn, "every version that waits works", looked, v.advice(looked))
	}
	a := p.About()
	if took > patience {
		v.bad(conform.Warn, question, fmt.Errorf("asking, encrypting and decrypting took %v, and API servers wait %v for a call", took, patience), "look at the key store's load, and the network to it")
	} else {
		v.ok(question, "asking, encrypting and decrypting took %v; version %s is active%s", took, a.Version, waiting(a))
	}
	v.clock(ctx)
}

func waiting(a kms.About) string {
	if a.Waiting == "" {
		return ""
	}
	return fmt.Sprintf(", %s from %s on", a.Waiting, a.Due.UTC().Format(time.RFC3339))
}

// advice is what to do about a key store's error.
func (v *visit) advice(err error) string {
	kind := errs.KindOf(err)
	if v.key.Name() == "pkcs11" {
		switch kind {
		case errs.Denied:
			return "mend what the message names before you start the plugin again: a token locks itself after a few wrong PINs"
		case errs.NotExist, errs.Unavailable:
			return "look at the token and its keys: pkcs11-tool --module=… --list-token-slots, and --login --list-objects"
		case errs.Unsupported:
			return "correct what the message names; docs/encryption.md#pkcs11 has how a key is made"
		}
	}
	switch kind {
	case errs.Denied, errs.Unauthenticated:
		return "give the plugin's login read of the key, and update of encrypt and decrypt; look at its credential file"
	case errs.NotExist:
		return "look at mount and name of the key in the configuration"
	case errs.Conflict:
		return "bring the key's versions back from a backup of the key store"
	case errs.Unsupported:
		return "make a key of a supported type, and name it in the configuration"
	case errs.Unavailable, errs.Sealed, errs.Exhausted:
		return "look at the key store: VAULT_ADDR=… strongkeep status"
	}
	return "correct what the message names"
}

// clock compares when the versions were made with what time it is here.
func (v *visit) clock(ctx context.Context) {
	h, err := v.key.History(ctx)
	if err != nil {
		return // told already
	}
	newest := slices.MaxFunc(h.Versions, func(a, b keystore.Version) int { return a.Made.Compare(b.Made) })
	if ahead := time.Until(newest.Made); ahead > 2*time.Second {
		v.bad(conform.Fail, "the clock is right", fmt.Errorf("version %s was made %v after now, says the key store: nodes with different clocks turn to it at different times", newest.ID, ahead.Round(time.Second)), "chronyc tracking")
		return
	}
	v.ok("the clock is right", "no version was made in the future")
}

func (v *visit) directory() {
	const question = "nobody else can write to the socket's directory"
	dir := filepath.Dir(v.config.Socket)
	if err := serve.CheckDirectory(dir); err != nil {
		v.bad(conform.Fail, question, err, "ls -ld "+dir)
		return
	}
	v.ok(question, "%s", dir)
}

func (v *visit) socket() {
	const question = "only its owner can use the socket"
	want := fs.FileMode(0o600)
	if v.config.SocketGroup != "" {
		want = 0o660
	}
	info, err := os.Lstat(v.config.Socket)
	switch {
	case err != nil:
		v.bad(conform.Fail, question, errs.Newf(errs.NotExist, "there is no socket %s: the plugin does not run", v.config.Socket), "systemctl start strongkeep-kms")
	case info.Mode().Type() != fs.ModeSocket:
		v.bad(conform.Fail, question, fmt.Errorf("%s is no socket", v.config.Socket), "rm "+v.config.Socket)
	case info.Mode().Perm() != want:
		v.bad(conform.Fail, question, fmt.Errorf("its mode is %#o, not %#o, and the socket asks nobody for a password", info.Mode().Perm(), want), "systemctl restart strongkeep-kms")
	default:
		v.ok(question, "mode %#o", want)
	}
}

// plugin asks the one that runs.
func (v *visit) plugin(ctx context.Context) {
	const question = "the plugin answers, with the key that the key store says"
	id, took, err := ask(ctx, v.config.Socket)
	switch {
	case err != nil:
		v.bad(conform.Fail, question, err, "journalctl -u strongkeep-kms -n 50")
	case v.keyID != "" && id != v.keyID:
		v.bad(conform.Fail, question, fmt.Errorf("it has key id %s, and the configuration with this key store gives %s: was it started with another configuration, or turned just now?", id, v.keyID), "systemctl restart strongkeep-kms")
	case v.cfg.Expect != "" && id != v.cfg.Expect:
		v.bad(conform.Fail, question, fmt.Errorf("it has key id %s, and the other node %s: API servers would rewrite each other's objects for ever", id, v.cfg.Expect), "compare name and key in "+v.cfg.File+" on both nodes")
	default:
		v.ok(question, "key id %s, in %v", id, took)
	}
}

func (v *visit) peers(ctx context.Context) {
	for _, peer := range v.cfg.Peers {
		question := "the plugin at " + peer + " has the same key"
		id, _, err := ask(ctx, peer)
		switch {
		case err != nil:
			v.bad(conform.Fail, question, err, "strongkeep kms status -socket="+peer)
		case v.keyID != "" && id != v.keyID:
			v.bad(conform.Fail, question, fmt.Errorf("it has key id %s, and here it is %s", id, v.keyID), "compare name and key in the configurations of both nodes")
		default:
			v.ok(question, "key id %s", id)
		}
	}
}

func ask(ctx context.Context, socket string) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := conform.Dial(socket)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = c.Close() }()
	begun := time.Now()
	a, err := c.Status(ctx)
	if err != nil {
		return "", 0, err
	}
	return a.GetKeyId(), time.Since(begun).Round(10 * time.Microsecond), nil
}
