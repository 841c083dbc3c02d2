package transit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/operation"
)

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	return slices.Concat(operation.Routes(e.cfg), e.keyRoutes(), e.importRoutes(), e.exportRoutes(), settingsRoutes())
}

func str(name, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.String, Help: help}
}

func integer(name, def, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.Int, Default: def, Help: help}
}

func boolean(name, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.Bool, Default: "false", Help: help}
}

func secret(name, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.String, Secret: true, Help: help}
}

// ruleFields are what a key is made with, here or by import.
func ruleFields() []engine.Field {
	return []engine.Field{
		{Name: "type", Type: engine.String, Default: key.AES256GCM96.String(), Help: "One of " + strings.Join(key.TypeNames(), ", ") + "."},
		boolean("derived", "Every use must give a context, by which its own key is derived."),
		boolean("convergent_encryption", "Equal plaintexts with equal contexts give equal ciphertexts; needs derived."),
		boolean("exportable", "The key may be exported. This cannot be taken back."),
		boolean("allow_plaintext_backup", "The key may be backed up in the clear. This cannot be taken back."),
		{Name: "auto_rotate_period", Type: engine.Duration, Default: "0", Help: "How old the latest version may be before a new one is made; 0 for ever, otherwise at least an hour."},
		integer("key_size", "32", fmt.Sprintf("Bytes of a key of type hmac, %d to %d.", key.MinHMAC, key.MaxHMAC)),
		str("context", "Base64. Shows the public keys of a derived key for this context."),
	}
}

func (e *Engine) keyRoutes() []engine.Route {
	config := engine.Route{
		Pattern:  "keys/{name}/config",
		Handlers: handlers{engine.Update: e.configureKey},
		Summary:  "Change a key's settings.",
		Help:     "Changes those that are given.",
		Fields: []engine.Field{
			integer("min_decryption_version", "1", "Lowest version that still decrypts and verifies."),
			integer("min_encryption_version", "0", "Lowest version that may be asked to encrypt and sign; 0: no bound."),
			boolean("deletion_allowed", "The key may be deleted."),
			boolean("exportable", "The key may be exported. This cannot be taken back."),
			boolean("allow_plaintext_backup", "The key may be backed up in the clear. This cannot be taken back."),
			{Name: "auto_rotate_period", Type: engine.Duration, Default: "0", Help: "How old the latest version may be before a new one is made; 0 for ever, otherwise at least an hour."},
		},
	}
	return []engine.Route{
		{
			Pattern: "keys", Handlers: handlers{engine.List: listKeys}, ReadOnly: true,
			Summary: "List keys.", Help: "Names in alphabetical order.", Fields: keypath.Fields(),
		},
		{
			Pattern:  "keys/{name}",
			Handlers: handlers{engine.Read: readKey, engine.Update: e.createKey, engine.Delete: e.deleteKey},
			ReadOnly: true,
			Summary:  "Make, read and delete a key.",
			Help:     "A key that is there already is not changed by a write. Deleting needs deletion_allowed, and leaves everything encrypted with the key unreadable for good.",
			Fields:   ruleFields(),
		},
		config,
		{
			Pattern: "keys/{name}/rotate", Handlers: handlers{engine.Update: e.rotateKey},
			Summary: "Make a new version of a key.", Help: "It encrypts and signs from now on; older versions still decrypt and verify.",
		},
		{
			Pattern: "keys/{name}/trim", Handlers: handlers{engine.Update: e.trimKey},
			Summary: "Remove old versions of a key for good.", Help: "What they encrypted cannot be read any more: rewrap it first.",
			Fields: []engine.Field{integer("min_available_version", "", "Lowest version that stays; at most min_decryption_version and min_encryption_version.")},
		},
	}
}

func (e *Engine) importRoutes() []engine.Route {
	material := []engine.Field{
		secret("ciphertext", "Base64. The key, wrapped to wrapping_key: RSA-OAEP of an AES-256 key, then AES-KWP under that of the key itself (PKCS #8 if it is not symmetric)."),
		{Name: "hash_function", Type: engine.String, Default: "SHA256", Help: "Of RSA-OAEP: SHA1, SHA224, SHA256, SHA384 or SHA512."},
		str("public_key", "PEM. Instead of ciphertext: a public key, which verifies and, if RSA, encrypts."),
	}
	return []engine.Route{
		{
			Pattern: "wrapping_key", Handlers: handlers{engine.Read: e.readWrapper},
			Summary: "The public key to which keys are wrapped for import.", Help: "An RSA key of 4096 bits, made when it is first read: that takes a moment. It is in PEM (PKIX).",
		},
		{
			Pattern: "keys/{name}/import", Handlers: handlers{engine.Update: e.importKey},
			Summary: "Bring in a key.", Help: "It becomes version 1 of a key that must not be there yet.",
			Fields: slices.Concat(ruleFields(), material, []engine.Field{boolean("allow_rotation", "The key may be rotated here, by which it gets versions that nobody brought in.")}),
		},
		{
			Pattern: "keys/{name}/import_version", Handlers: handlers{engine.Update: e.importVersion},
			Summary: "Bring in a new version of an imported key.", Help: "With version, the private key of a version that has only its public one.",
			Fields: append(slices.Clone(material), integer("version", "0", "Version to add the private key to; 0 makes a new one.")),
		},
	}
}

func (e *Engine) exportRoutes() []engine.Route {
	export := engine.Route{
		Pattern: "export/{kind}/{name}", Handlers: handlers{engine.Read: exportKey}, ReadOnly: true,
		Summary: "Show a key's material.",
		Help:    "kind is encryption-key, signing-key, hmac-key or public-key. All but the last need the key to be exportable. A version, or latest, may follow.",
	}
	wrapped := engine.Route{
		Pattern: "byok-export/{destination}/{source}", Handlers: handlers{engine.Read: e.exportWrapped}, ReadOnly: true,
		Summary: "Show a key wrapped for another place.",
		Help:    "The destination is an RSA key of this mount, for example the imported wrapping_key of another vault, whose import takes what comes out. A version, or latest, may follow.",
		Fields:  []engine.Field{{Name: "hash", Type: engine.String, Default: "SHA256", Help: "Of RSA-OAEP: SHA1, SHA224, SHA256, SHA384 or SHA512."}, str("hash_function", "The same as hash.")},
	}
	restore := engine.Route{
		Pattern: "restore", Handlers: handlers{engine.Update: e.restore},
		Summary: "Bring back a key from a backup.", Help: "Under its own name or the one in the path.",
		Fields: []engine.Field{secret("backup", "What backup answered."), boolean("force", "Replace a key that is there.")},
	}
	versioned, versionedWrapped, named := export, wrapped, restore
	versioned.Pattern += "/{version}"
	versionedWrapped.Pattern += "/{version}"
	named.Pattern += "/{name}"
	return []engine.Route{
		export, versioned, wrapped, versionedWrapped, restore, named,
		{
			Pattern: "backup/{name}", Handlers: handlers{engine.Read: backup}, ReadOnly: true,
			Summary: "Back up a key in the clear.", Help: "Needs exportable and allow_plaintext_backup. Whoever has the backup has the key.",
		},
	}
}

func settingsRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "config/keys", Handlers: handlers{engine.Read: readKeysConfig, engine.Update: writeKeysConfig}, ReadOnly: true,
			Summary: "Settings for all keys.", Help: "Whether encrypting may make keys.",
			Fields: []engine.Field{boolean("disable_upsert", "Encrypting with a key that is not there fails, whatever policy allows.")},
		},
		{
			Pattern: "cache-config", Handlers: handlers{engine.Read: readCache, engine.Update: writeCache}, ReadOnly: true,
			Summary: "Accepted, and without effect.", Help: "Keys are in the vault's own cache, which bounds itself.",
			Fields: []engine.Field{integer("size", "0", fmt.Sprintf("0, or at least %d.", minCacheSize))},
		},
	}
}
