// Package custody serves what those who keep the keys of a vault do with them, below sys/: rekey and
// rekey-recovery-key (new shares), generate-root (a root token by shares), and seals (the unseal keys).
//
// A rekey, and a root token, is begun by one call and completed by the shares of several people. Beginning,
// looking and cancelling need a token with sudo on the path; generate-root is also begun by a share, since
// who needs it may have no token. Giving a share needs no token: it needs the nonce, which whoever began it tells
// the others, and the share itself, which is checked against its hash. What is under way lies in the memory of
// the node where it was begun, and ends when that is sealed.
//
// Handlers may run several times for one request: what they change in memory is the same each time, and what
// no rollback undoes is done in Response.After.
//
// Start reading at Routes.
package custody
