package custody

import (
	"context"
	"crypto/rand"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/seal/recipient"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// rekey is new shares on their way: people give old ones until there are enough, the new ones are dealt and, if
// they have to prove themselves, given back until there are enough of those; then they take the place of the old.
type rekey struct {
	nonce     string
	from      seal.Set // the shares that it needs
	shares    int
	threshold int
	to        []recipient.Recipient // nil = plain
	backup    bool
	verify    bool
	old       given

	// Once the old shares were enough:
	by     string // the request that they were complete with; it may run again
	draft  *seal.Draft
	shown  recipient.Sealed
	second string // nonce of the verification
	fresh  given

	adopting bool // the new shares are being put in the place of the old
}

func (d *Desk) endRekey() {
	if r := d.rekey; r != nil {
		r.old.Wipe()
		r.fresh.Wipe()
	}
	d.rekey = nil
}

// rekeyRoutes are those of one of two names: people have one set of shares here, and it opens the vault.
func (d *Desk) rekeyRoutes(name string) []engine.Route {
	key := engine.Field{Name: "key", Type: engine.String, Secret: true, Help: "a share"}
	nonce := engine.Field{Name: "nonce", Type: engine.String, Help: "of what is under way"}
	return []engine.Route{
		{
			Pattern: name + "/init", Sudo: true, Summary: "New shares of the unseal key: begin, look, cancel.",
			Fields: []engine.Field{
				{Name: "secret_shares", Type: engine.Int, Default: "5", Help: "how many shares"},
				{Name: "secret_threshold", Type: engine.Int, Default: "3", Help: "how many of them open the vault"},
				{Name: "stored_shares", Type: engine.Int, Help: "ignored: unseal keys are not shares here"},
				{Name: "pgp_keys", Type: engine.Strings, Help: "a public PGP key for each share, base64"},
				{Name: "age_recipients", Type: engine.Strings, Help: "an age recipient for each share, instead or behind those"},
				{Name: "backup", Type: engine.Bool, Help: "keep the encrypted shares in the vault, for rekey/backup"},
				{Name: "Backup", Type: engine.Bool, Help: "the same, as the official client writes it"},
				{Name: "require_verification", Type: engine.Bool, Help: "the old shares hold until the new ones were given back"},
				nonce,
			},
			Handlers: handlers{engine.Read: d.rekeyStatus, engine.Update: d.rekeyBegin, engine.Delete: d.rekeyCancel},
		},
		{
			Pattern: name + "/update", Unauthenticated: true, Summary: "Give a share for a rekey that is under way.",
			Fields: []engine.Field{key, nonce}, Handlers: handlers{engine.Update: d.rekeyUpdate},
		},
		{
			Pattern: name + "/verify", Unauthenticated: true, Recognises: true, Summary: "Give a new share back, to prove that it has arrived.",
			Fields:   []engine.Field{key, nonce},
			Handlers: handlers{engine.Read: d.verifyStatus, engine.Update: d.verifyUpdate, engine.Delete: d.verifyRestart},
		},
	}
}

// status is the body of most answers. The caller holds mu.
func (r *rekey) status(current seal.Set) map[string]any {
	if r == nil {
		return map[string]any{
			"nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": current.Threshold,
			"pgp_fingerprints": nil, "backup": false, "verification_required": false,
		}
	}
	s := map[string]any{
		"nonce": r.nonce, "started": true, "t": r.threshold, "n": r.shares, "progress": r.old.Len(), "required": r.from.Threshold,
		"pgp_fingerprints": fingerprints(r.to), "backup": r.backup, "verification_required": r.verify,
	}
	if r.draft != nil && r.verify {
		s["verification_nonce"] = r.second
	}
	return s
}

func fingerprints(to []recipient.Recipient) []string {
	var all []string
	for _, r := range to {
		all = append(all, r.Fingerprint)
	}
	return all
}

func (d *Desk) rekeyStatus(ctx context.Context, _ engine.Tx, _ *engine.Request) (*engine.Response, error) {
	current, err := d.cfg.Barrier.People(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return respond(d.rekey.status(current))
}

func (d *Desk) rekeyBegin(ctx context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := d.planned(ctx, req)
	if err != nil {
		return nil, err
	}
	busy := errs.New(errs.Invalid, "rekey already in progress: finish or cancel it first")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rekey != nil {
		return nil, busy
	}
	res, err := respond(r.status(r.from))
	if err != nil {
		return nil, err
	}
	res.After = func(context.Context) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.rekey != nil {
			return busy
		}
		d.rekey = r
		return nil
	}
	return res, nil
}

func (d *Desk) planned(ctx context.Context, req *engine.Request) (*rekey, error) {
	f := req.Decode()
	shares, threshold := f.Int("secret_shares", 0), f.Int("secret_threshold", 0)
	r := &rekey{nonce: uuid.NewString(), backup: f.Bool("backup", f.Bool("Backup", false)), verify: f.Bool("require_verification", false)}
	if err := f.Err(); err != nil {
		return nil, err
	}
	if shares == 0 && threshold == 0 {
		shares, threshold = seal.DefaultShares, seal.DefaultThreshold
	}
	if shares < 0 || shares > shamir.MaxParts || threshold < 0 || threshold > shamir.MaxParts {
		return nil, errs.Newf(errs.Invalid, "secret_shares and secret_threshold are at most %d", shamir.MaxParts)
	}
	r.shares, r.threshold = int(shares), int(threshold)
	if err := shamir.Check(r.shares, r.threshold); err != nil {
		return nil, err
	}
	var err error
	if r.to, err = recipients(&f, r.shares, d.cfg.Now()); err != nil {
		return nil, err
	}
	if r.backup && r.to == nil {
		return nil, errs.New(errs.Invalid, "cannot request a backup of the new keys without providing PGP keys or age recipients for encryption")
	}
	r.from, err = d.cfg.Barrier.People(ctx)
	return r, err
}

func (d *Desk) rekeyCancel(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rekey
	if r == nil {
		return nil, nil
	}
	if f := req.Decode(); f.String("nonce", "") != "" && !names(req, r.nonce) {
		return nil, errNonce
	}
	return &engine.Response{After: func(context.Context) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case d.rekey != r:
		case r.adopting: // who is told that it was cancelled must be able to trust the old shares
			return errs.New(errs.Invalid, "too late: the new shares are being put in the place of the old at this moment")
		default:
			d.endRekey()
		}
		return nil
	}}, nil
}

var errEnded = errs.New(errs.Invalid, "this rekey was completed or cancelled a moment ago")

// underWay returns the rekey that the request names.
func (d *Desk) underWay(req *engine.Request) (*rekey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.rekey == nil:
		return nil, errs.New(errs.Invalid, "no rekey in progress on this node: shares are given to the node where it was begun")
	case !names(req, d.rekey.nonce):
		return nil, errNonce
	}
	return d.rekey, nil
}

// rekeyUpdate takes an old share. With the last one the new shares are in the answer.
func (d *Desk) rekeyUpdate(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if _, err := d.underWay(req); err != nil { // before storage is asked anything: who guesses costs nothing
		return nil, err
	}
	current, err := d.cfg.Barrier.People(ctx)
	if err != nil {
		return nil, err
	}
	r, err := d.underWay(req)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.rekey != r:
		return nil, errEnded
	case r.from.ID != current.ID:
		return nil, errs.New(errs.Conflict, "the shares were changed by another rekey meanwhile: cancel this one and begin again")
	case r.draft != nil && r.by != req.ID:
		return nil, errs.New(errs.Invalid, "the shares are complete: the new ones were dealt, or cancel this rekey")
	}
	if r.draft == nil {
		warnings, err := d.takeOld(req, r)
		if err != nil {
			return nil, err
		}
		if r.draft == nil {
			return warned(r.status(current), warnings)
		}
	}
	return d.dealt(tx, r)
}

// takeOld adds the share of a request, and deals the new set when there are enough. The caller holds mu.
func (d *Desk) takeOld(req *engine.Request, r *rekey) (warnings []string, err error) {
	share, err := shareOf(req, r.from)
	if err != nil {
		return nil, err
	}
	if warnings, err = r.old.add(req, share); err != nil || r.old.Len() < r.from.Threshold {
		return warnings, err
	}
	defer r.old.Wipe()
	draft, fresh, err := d.cfg.Barrier.Redeal(r.from, r.old.Shares(), r.shares, r.threshold)
	if err != nil {
		return nil, err
	}
	defer wipe(fresh)
	if r.shown, err = recipient.Seal(fresh, r.to, d.cfg.Now()); err != nil {
		return nil, err
	}
	r.draft, r.by, r.second = &draft, req.ID, rand.Text()
	return nil, nil
}

func wipe(all []redact.Secret) {
	for _, s := range all {
		s.Wipe()
	}
}

// dealt answers with the new shares. The caller holds mu.
func (d *Desk) dealt(tx engine.Tx, r *rekey) (*engine.Response, error) {
	answer := map[string]any{
		"nonce": r.nonce, "complete": true, "keys": r.shown.Hex, "keys_base64": r.shown.Base64,
		"pgp_fingerprints": r.shown.Fingerprints, "backup": r.backup, "verification_required": r.verify,
	}
	if r.verify {
		answer["verification_nonce"] = r.second
	}
	if r.backup && !r.verify { // else what was kept before stays until the new shares hold
		if err := keepBackup(tx, r); err != nil {
			return nil, err
		}
	}
	res, err := respond(answer)
	if err != nil {
		return nil, err
	}
	if r.verify {
		res.After = func(context.Context) error { return d.wereShown(r) }
		return res, nil
	}
	res.Warnings = []string{"nobody has verified the new shares: keep the old ones until the new ones have opened the vault once"}
	res.After = func(ctx context.Context) error { return d.adoptShown(ctx, r) }
	return res, nil
}

// wereShown forgets plain shares; encrypted ones are needed for the backup.
func (d *Desk) wereShown(r *rekey) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !r.backup {
		r.shown = recipient.Sealed{}
	}
	return nil
}

// adoptShown is adopt for shares that nobody has seen yet. If storage does not answer they may be the ones that
// open the vault now, so they are shown all the same.
func (d *Desk) adoptShown(ctx context.Context, r *rekey) error {
	err := d.adopt(ctx, r)
	if errs.Is(err, errs.Unavailable) {
		err = d.adopt(ctx, r) // once more: it does nothing if it was done
	}
	if !errs.Is(err, errs.Unavailable) {
		return err
	}
	d.cfg.Log.ErrorContext(ctx, "it is unknown whether the old or the new shares open the vault: keep both sets, and rekey again when storage answers", "error", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rekey == r {
		d.endRekey()
	}
	return nil
}

// adopt ends the old shares. Adopting again does nothing, so that an unknown outcome may be tried again.
func (d *Desk) adopt(ctx context.Context, r *rekey) error {
	d.mu.Lock()
	if d.rekey != r {
		d.mu.Unlock()
		return errEnded
	}
	r.adopting = true
	d.mu.Unlock()
	err := d.cfg.Barrier.Adopt(ctx, *r.draft)
	d.mu.Lock()
	defer d.mu.Unlock()
	r.adopting = false
	if err != nil {
		return err
	}
	if d.rekey == r {
		d.endRekey()
	}
	d.cfg.Log.WarnContext(ctx, "the shares of the unseal key were replaced", "shares", r.shares, "threshold", r.threshold)
	return nil
}
