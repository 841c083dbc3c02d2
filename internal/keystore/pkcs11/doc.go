// Package pkcs11 keeps keys in a PKCS#11 token, such as an HSM: AES-256 keys that are
// sensitive and not extractable, used by AES-GCM within the token.
//
// A PKCS#11 module is a vendor's C library. It is not loaded into this process but into
// strongkeep-pkcs11 (pkcs11/token), a child with nothing of ours but a socket
// (pkcs11/helper), which may crash and hang and is started again.
//
// Versions are the keys labelled NAME/1, NAME/2 and so on. The number orders them: a token
// seldom says when a key was made, and CKA_START_DATE, where somebody set it, is a day. So
// none is dated, and each node counts from when it first saw a version. A fingerprint of
// CKA_ID and value makes a key that was made anew under its old label another version.
//
// Start reading at Open.
package pkcs11
