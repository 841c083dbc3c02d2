package transit

import (
	"context"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/operation"
)

// rulesOf reads what a new key is to be.
func rulesOf(d *engine.Decoder) (r key.Rules, err error) {
	name := d.String("type", key.AES256GCM96.String())
	size := d.Int("key_size", 0)
	r = key.Rules{
		Derived:         d.Bool("derived", false),
		Convergent:      d.Bool("convergent_encryption", false),
		Exportable:      d.Bool("exportable", false),
		PlaintextBackup: d.Bool("allow_plaintext_backup", false),
		AutoRotate:      d.Duration("auto_rotate_period", 0),
	}
	if err := d.Err(); err != nil {
		return r, err
	}
	if r.Type, err = key.ParseType(name); err != nil {
		return r, err
	}
	if size < 0 || size > key.MaxHMAC {
		return r, errs.Newf(errs.Invalid, "key_size must be between %d and %d bytes", key.MinHMAC, key.MaxHMAC)
	}
	r.Size = int(size)
	return r, nil
}

// createKey makes a key. One that is there already stays as it is.
func (e *Engine) createKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	d := req.Decode()
	rules, err := rulesOf(&d)
	if err != nil {
		return nil, err
	}
	if err := keyring.CheckName(name); err != nil {
		return nil, err
	}
	k, err := keyring.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if k != nil {
		data, err := describe(name, k, nil)
		return &engine.Response{Data: data, Warnings: []string{"key " + name + " already existed"}}, err
	}
	if k, err = key.New(rules, e.source(req.Time)); err != nil {
		return nil, err
	}
	return e.store(tx, keyring.Change{Name: name, Made: k, Operation: "key-create"})
}

func readKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := keyring.Load(ctx, tx, req.Params["name"])
	if err != nil || k == nil {
		return nil, err
	}
	derivation, err := operation.Bytes(req.Body, "context")
	if err != nil {
		return nil, err
	}
	data, err := describe(req.Params["name"], k, derivation)
	return &engine.Response{Data: data}, err
}

func listKeys(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return keypath.List(ctx, tx, keyring.Folder, req)
}

func (e *Engine) deleteKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	k, err := keyring.Load(ctx, tx, name)
	switch {
	case err != nil:
		return nil, err
	case k == nil:
		return nil, errs.Newf(errs.Invalid, "error deleting policy %s: could not delete key; not found", name)
	case !k.DeletionAllowed:
		return nil, errs.Newf(errs.Invalid, "error deleting policy %s: deletion is not allowed for this key: set deletion_allowed on keys/%s/config first", name, name)
	}
	c := keyring.Change{Name: name, Old: k, Operation: "key-delete"}
	_, err = c.Apply(tx)
	return nil, err
}

// configureKey changes the settings that the request names.
func (e *Engine) configureKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	old, err := keyring.Named(ctx, tx, req, "no existing key named "+name+" could be found")
	if err != nil {
		return nil, err
	}
	k := old.Clone()
	if err := configure(k, req); err != nil {
		return nil, err
	}
	res, err := e.store(tx, keyring.Change{Name: name, Old: old, Made: k, Operation: "key-config"})
	if d := req.Decode(); err == nil && d.Has("min_decryption_version") && d.Int("min_decryption_version", 1) == 0 {
		res.Warnings = append(res.Warnings, "transit key numbering starts at 1; forcing minimum to 1")
	}
	return res, err
}

func configure(k *key.Key, req *engine.Request) error {
	d := req.Decode()
	minDecryption := d.Int("min_decryption_version", int64(k.MinDecryption))
	minEncryption := d.Int("min_encryption_version", int64(k.MinEncryption))
	k.DeletionAllowed = d.Bool("deletion_allowed", k.DeletionAllowed)
	exportable := d.Bool("exportable", false)
	backup := d.Bool("allow_plaintext_backup", false)
	k.AutoRotate = d.Duration("auto_rotate_period", k.AutoRotate)
	if err := d.Err(); err != nil {
		return err
	}
	// Once out, always out: taking the permission back would only hide that the
	// key may be known elsewhere.
	k.Exportable = k.Exportable || exportable
	k.PlaintextBackup = k.PlaintextBackup || backup
	if err := key.CheckAutoRotate(k.AutoRotate); err != nil {
		return err
	}
	if k.AutoRotate != 0 && !k.Rotates() {
		return errs.New(errs.Invalid, "auto_rotate_period cannot be set on an imported key that does not allow rotation")
	}
	if err := k.SetMinDecryption(minDecryption); err != nil {
		return err
	}
	if err := k.SetMinEncryption(minEncryption); err != nil {
		return err
	}
	return k.CheckMinima()
}

func (e *Engine) rotateKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	old, err := keyring.Named(ctx, tx, req, "key not found")
	if err != nil {
		return nil, err
	}
	if !old.Rotates() {
		return nil, errs.Newf(errs.Invalid, "imported key %s does not allow rotation within Vault: import a new version with keys/%s/import_version", name, name)
	}
	k, err := old.Rotate(e.source(req.Time))
	if err != nil {
		return nil, err
	}
	return e.store(tx, keyring.Change{Name: name, Old: old, Made: k, Operation: "key-rotate"})
}

func (e *Engine) trimKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	n := d.Int("min_available_version", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if !d.Has("min_available_version") {
		return nil, errs.New(errs.Invalid, "missing min_available_version")
	}
	old, err := keyring.Named(ctx, tx, req, "invalid key: there is none of that name")
	if err != nil {
		return nil, err
	}
	k := old.Clone()
	if err := k.Trim(n); err != nil {
		return nil, err
	}
	return e.store(tx, keyring.Change{Name: req.Params["name"], Old: old, Made: k, Operation: "key-trim"})
}

// describe is what is public of a key. context is that of a derived key whose
// public halves are asked for.
func describe(name string, k *key.Key, context []byte) ([]byte, error) {
	o := engine.NewObjectSize(640).
		Bool("allow_plaintext_backup", k.PlaintextBackup).
		Int("auto_rotate_period", int64(k.AutoRotate/time.Second)).
		Bool("deletion_allowed", k.DeletionAllowed).
		Bool("derived", k.Derived).
		Bool("exportable", k.Exportable).
		Bool("imported_key", k.Imported)
	if k.Imported {
		o = o.Bool("imported_key_allow_rotation", k.ImportedRotation)
	}
	if k.Derived {
		o = o.Str("kdf", "hkdf_sha256").Bool("convergent_encryption", k.Convergent)
	}
	if k.Convergent {
		o = o.Int("convergent_encryption_version", 3)
	}
	if k.Type == key.HMAC {
		o = o.Int("key_size", int64(k.Size))
	}
	o, err := describeVersions(o.Open("keys"), k, context)
	if err != nil {
		return nil, err
	}
	return o.Close().
		Int("latest_version", int64(k.Latest())).
		Int("min_available_version", int64(k.MinAvailable)).
		Int("min_decryption_version", int64(k.MinDecryption)).
		Int("min_encryption_version", int64(k.MinEncryption)).
		Str("name", name).
		Bool("supports_decryption", k.Type.Encrypts()).
		Bool("supports_derivation", k.Type.Derives()).
		Bool("supports_encryption", k.Type.Encrypts()).
		Bool("supports_signing", k.Type.Signs()).
		Str("type", k.Type.String()).
		Value(), nil
}

// describeVersions lists when symmetric versions were made, in Unix seconds, and
// the public halves of others. Versions that decrypt no more are left out.
func describeVersions(o engine.Builder, k *key.Key, context []byte) (engine.Builder, error) {
	for _, v := range k.Versions {
		if v.Number < k.MinDecryption {
			continue
		}
		number := strconv.Itoa(v.Number)
		if k.Type.Symmetric() {
			o = o.Int(number, v.Created.Unix())
			continue
		}
		text := ""
		if !k.Derived || len(context) > 0 {
			public, err := k.Verifier(v, context)
			if err != nil {
				return o, err
			}
			if text, err = key.PublicText(public); err != nil {
				return o, err
			}
		}
		o = o.Open(number).Time("creation_time", v.Created).Str("name", k.Type.PublicName()).Str("public_key", text).Close()
	}
	return o, nil
}
