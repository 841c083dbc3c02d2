package custody

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/seal/recipient"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Config of Routes. All fields are set.
type Config struct {
	Barrier *seal.Barrier
	Tokens  *token.Manager
	// Policies, and who asks as unsealed.Vault.Caller says it.
	Policies *policy.Book
	Caller   func(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error)
	// Reload reads the unseal keys of this node's configuration again.
	Reload func() error
	Now    func() time.Time
	Log    *slog.Logger
}

// Desk is where shares are given. It lasts as long as the vault is open.
type Desk struct {
	cfg Config

	mu    sync.Mutex // guards what follows; never held while reading or writing the store
	rekey *rekey     // nil = none is under way
	root  *rootgen   // likewise
}

// New returns a Desk. Close it when the vault is sealed.
func New(cfg Config) *Desk { return &Desk{cfg: cfg} }

// Close wipes the shares that were given.
func (d *Desk) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.endRekey()
	d.endRoot()
}

// Routes are those below sys/.
func (d *Desk) Routes() []engine.Route {
	return slices.Concat(d.rekeyRoutes("rekey"), d.rekeyRoutes("rekey-recovery-key"), d.backupRoutes(), d.rootRoutes(), d.sealRoutes())
}

type handlers = map[engine.Operation]engine.Handler

// may returns Denied unless the caller has a token that may do what it asks for here, and sudo.
func (d *Desk) may(ctx context.Context, tx engine.Tx, req *engine.Request) error {
	denied := errs.New(errs.Denied, "permission denied")
	if len(req.Caller.Policies) == 0 && req.Caller.EntityID == "" {
		return denied
	}
	who, err := d.cfg.Caller(ctx, tx, req)
	if err != nil {
		return err
	}
	acl, _, err := d.cfg.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return err
	}
	has := acl.Capabilities(req.Namespace.Path + req.Mount + req.Path)
	if slices.Contains(has, policy.RootName) || slices.Contains(has, "sudo") && slices.Contains(has, req.Operation.String()) {
		return nil
	}
	return denied
}

// given is shares of one set that people have given so far. It is guarded by Desk.mu.
type given struct {
	shamir.Given
	by string // the request that gave the newest
}

// add takes a share, which is the set's then, and returns a warning if it was given before. Kind: Invalid, for one that
// contradicts another, in a set whose shares cannot be checked one by one: then all are dropped.
func (g *given) add(req *engine.Request, share redact.Secret) (warnings []string, err error) {
	again, err := g.Add(share)
	switch {
	case err != nil:
		return nil, err
	case !again:
		g.by = req.ID
	case g.by != req.ID: // else its handler runs again
		return []string{shamir.Twice}, nil
	}
	return nil, nil
}

// shareOf reads the share of a request and checks it against its set. Kind: Invalid.
func shareOf(req *engine.Request, set seal.Set) (redact.Secret, error) {
	d := req.Decode()
	text := d.String("key", "")
	if err := d.Err(); err != nil {
		return redact.Secret{}, err
	}
	if text == "" {
		return redact.Secret{}, errs.New(errs.Invalid, "'key' must specified in request body as JSON")
	}
	share, err := shamir.Parse(redact.FromString(text))
	if err != nil {
		return redact.Secret{}, err
	}
	if err := set.Knows(share); err != nil {
		share.Wipe()
		return redact.Secret{}, err
	}
	return share, nil
}

// names reports whether the request brings the nonce. It takes the same time for all that are wrong.
func names(req *engine.Request, nonce string) bool {
	d := req.Decode()
	got := d.String("nonce", "")
	return d.Err() == nil && nonce != "" && subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) == 1
}

var errNonce = errs.New(errs.Invalid, "incorrect nonce supplied: whoever began this has the right one, and it changes when it is begun again")

// recipients reads who shares are for: PGP keys first, then age recipients.
func recipients(d *engine.Decoder, n int, now time.Time) ([]recipient.Recipient, error) {
	return recipient.ParseAll(append(slices.Clone(d.Strings("pgp_keys")), d.Strings("age_recipients")...), n, now)
}

// warned is respond with warnings.
func warned(data any, warnings []string) (*engine.Response, error) {
	res, err := respond(data)
	if err != nil {
		return nil, err
	}
	res.Warnings = warnings
	return res, nil
}

func respond(data any) (*engine.Response, error) {
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw, TopLevel: true}, err
}
