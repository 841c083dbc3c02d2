// Package transit keeps keys in the transit engine of a Strongkeep or a Vault,
// which encrypts for us over HTTP and gives no key away.
//
// It logs in by a token's file, AppRole or a client certificate, all local: no
// cluster is needed for it. The token needs read of MOUNT/keys/KEY and update of
// MOUNT/encrypt/KEY and MOUNT/decrypt/KEY, and should not have create of the
// former, by which a vault would make a lost key anew.
//
// Start reading at Open.
package transit
