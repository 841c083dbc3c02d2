package operation

import (
	"fmt"
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/signature"
)

type handlers = map[engine.Operation]engine.Handler

// uses are the handlers; they keep no state.
type uses struct{ cfg engine.Config }

// Routes are all that use keys, and the few that need none.
func Routes(cfg engine.Config) []engine.Route {
	e := &uses{cfg}
	return slices.Concat(e.cryptRoutes(), e.signRoutes(), e.randomRoutes())
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

func batchFields() []engine.Field {
	return []engine.Field{
		{Name: "batch_input", Type: engine.Strings, Secret: true, Help: "A list of objects with the fields of single requests, and a reference that comes back beside each result. Results are in batch_results, in order, with an error beside those that failed."},
		integer("partial_failure_response_code", "400", "HTTP status if some items of a batch failed and others did not."),
	}
}

func itemFields() []engine.Field {
	return append([]engine.Field{
		str("context", "Base64. What a derived key is derived by; needed for such keys."),
		str("associated_data", "Base64. Bound to the ciphertext but not in it: the same is needed to decrypt."),
		str("nonce", "Not allowed: nonces are made here."),
		{Name: "padding_scheme", Type: engine.String, Default: "oaep", Help: "Of RSA keys; only oaep is offered."},
		str("reference", "Comes back beside the result in a batch."),
	}, batchFields()...)
}

func (e *uses) cryptRoutes() []engine.Route {
	version := integer("key_version", "0", "Version of the key to encrypt with; 0 is the latest.")
	return []engine.Route{
		{
			Pattern:  "encrypt/{name}",
			Handlers: handlers{engine.Create: e.encrypt, engine.Update: e.encrypt},
			Exists:   keyring.Exists,
			Summary:  "Encrypt with a key.",
			Help: `Answers with a ciphertext "vault:vN:..." that names the key's version. A key that is not there is made, if policy allows
create and config/keys does not forbid it: of the given type, derived if there is a context.`,
			Fields: append([]engine.Field{
				secret("plaintext", "Base64. What to encrypt."), version,
				{Name: "type", Type: engine.String, Default: key.AES256GCM96.String(), Help: "Type of a key that is made."},
				boolean("convergent_encryption", "A key that is made gives equal ciphertexts for equal plaintexts; needs a context."),
			}, itemFields()...),
		},
		{
			Pattern:  "decrypt/{name}",
			Handlers: handlers{engine.Update: e.decrypt},
			Summary:  "Decrypt with a key.",
			Help:     "Answers with the plaintext in base64, if the ciphertext's version is not below the key's min_decryption_version.",
			Fields:   append([]engine.Field{str("ciphertext", "What encrypt answered.")}, itemFields()...),
		},
		{
			Pattern:  "rewrap/{name}",
			Handlers: handlers{engine.Update: e.rewrap},
			Summary:  "Encrypt a ciphertext anew with the latest version of its key.",
			Help:     "The plaintext is not shown: whoever may rewrap need not be allowed to decrypt.",
			Fields:   append([]engine.Field{str("ciphertext", "What encrypt answered."), version}, itemFields()...),
		},
		{
			Pattern:  "datakey/{kind}/{name}",
			Handlers: handlers{engine.Update: e.dataKey},
			Summary:  "Make a random key for use elsewhere.",
			Help:     "kind is plaintext, to be shown the key as well, or wrapped, to be given its ciphertext only.",
			Fields: append([]engine.Field{
				integer("bits", "256", "Length of the key: 128, 256 or 512."),
			}, itemFields()[:4]...),
		},
	}
}

func hashFields() []engine.Field {
	return []engine.Field{
		{Name: "hash_algorithm", Type: engine.String, Default: signature.DefaultHash, Help: "One of " + signature.HashNames() + "; or none, with prehashed and pkcs1v15."},
		str("algorithm", "Old name of hash_algorithm."),
		secret("input", "Base64. What to sign, check or hash."),
		str("reference", "Comes back beside the result in a batch."),
	}
}

func signFields() []engine.Field {
	return slices.Concat(hashFields(), batchFields(), []engine.Field{
		str("context", "Base64. What a derived key is derived by."),
		{Name: "signature_algorithm", Type: engine.String, Default: "pss", Help: "Of RSA keys: pss or pkcs1v15."},
		{Name: "marshaling_algorithm", Type: engine.String, Default: "asn1", Help: "How a signature is written: asn1, or jws for JSON Web Signatures (base64url; ECDSA as r and s side by side)."},
		boolean("prehashed", "The input is a digest of hash_algorithm already; for ed25519 it means Ed25519ph with sha2-512."),
		{Name: "salt_length", Type: engine.String, Default: "auto", Help: "Of RSA-PSS: auto, hash (as long as the digest), or a number of bytes."},
		str("signature_context", "Base64. Makes Ed25519 signatures Ed25519ctx."),
	})
}

// twice returns the route, and the same with the hash function in the path.
func twice(r engine.Route) []engine.Route {
	with := r
	with.Pattern += "/{hash}"
	return []engine.Route{r, with}
}

func (e *uses) signRoutes() []engine.Route {
	version := integer("key_version", "0", "Version of the key to use; 0 is the latest.")
	return slices.Concat(
		twice(engine.Route{
			Pattern:  "sign/{name}",
			Handlers: handlers{engine.Update: e.sign},
			Summary:  "Sign with a key.",
			Help:     `Answers with a signature "vault:vN:..." that names the key's version.`,
			Fields:   append(signFields(), version),
		}),
		twice(engine.Route{
			Pattern:  "verify/{name}",
			Handlers: handlers{engine.Update: e.verify},
			Summary:  "Check a signature or an HMAC.",
			Help:     "Answers with valid. The options must be those the signature was made with.",
			Fields:   append(signFields(), str("signature", "What sign answered."), str("hmac", "What hmac answered.")),
		}),
		twice(engine.Route{
			Pattern:  "hmac/{name}",
			Handlers: handlers{engine.Update: e.hmac},
			Summary:  "Compute an HMAC with a key.",
			Help:     "Every version of every key has an HMAC key of its own; keys of type hmac have nothing else.",
			Fields:   slices.Concat(hashFields(), batchFields(), []engine.Field{version}),
		}),
		twice(engine.Route{
			Pattern:  "hash",
			Handlers: handlers{engine.Update: hashInput},
			Summary:  "Hash an input.",
			Help:     "No key is involved.",
			Fields:   append(hashFields()[:3], engine.Field{Name: "format", Type: engine.String, Default: "hex", Help: "hex or base64."}),
		}),
	)
}

func (e *uses) randomRoutes() []engine.Route {
	random := func(pattern string) engine.Route {
		return engine.Route{
			Pattern: pattern, Handlers: handlers{engine.Update: e.random},
			Summary: "Random bytes.", Help: "The path may name a source, a number of bytes, or both: random/platform/32. All sources are the platform's generator.",
			Fields: []engine.Field{
				integer("bytes", "32", fmt.Sprintf("How many, at most %d.", maxRandom)),
				{Name: "format", Type: engine.String, Default: "base64", Help: "base64 or hex."},
				{Name: "source", Type: engine.String, Default: "platform", Help: "platform; seal and all are the same."},
			},
		}
	}
	return []engine.Route{random("random"), random("random/{source}"), random("random/{source}/{bytes}")}
}
