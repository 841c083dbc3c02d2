// Package unsealed is a vault that is open: its parts, and how they live from
// unseal to seal. It builds them over the decrypted store, starts what runs by
// itself (audit devices, the end of leases, the work of mounts, the deletion of
// what was removed), brings memory in step with what is committed, and closes
// all of it.
//
// It also answers what takes more than one part to know: whom a token speaks
// for, how long it may go on, which namespaces a request reaches.
//
// How one request goes through it is package gate's, which alone opens and
// closes it. System engines get a Vault to work on (Config.Types).
//
// Start reading at Vault in vault.go; setup.go is how a new vault begins.
package unsealed
