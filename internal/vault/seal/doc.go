// Package seal is what stands between the disk and the secrets: the keys that
// encrypt everything in the store, and the ways in which a vault is opened.
//
//	shares of people ─ shamir ─┐
//	                           ├─ each wraps ─▶ root key ─ encrypts ─▶ keyring ─ encrypts ─▶ every value
//	static key, KMS ─ Wrapper ─┘
//
// The Keyring encrypts and decrypts and does nothing else; the Barrier is the
// state machine around it: not initialised, sealed, unsealed. A root key can
// be wrapped in several ways at once and each opens the vault alone, so that
// the shares dealt at initialisation still open it when the key of an
// auto-unseal is gone. A sealed vault holds no key in memory.
//
// What is on disk, under keys that no decorator touches:
//
//	core/seal-config     who can unwrap the root key: JSON, see config
//	core/keyring         the keys, encrypted by the root key: see material
//	core/keyring-usage   how often the newest key was used: see tally
//
// Start reading at Keyring, then Barrier.
package seal
