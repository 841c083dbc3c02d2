// Package wrapping carries key material between vaults and other places: an
// AES key made for the occasion wraps it, and an RSA key wraps that.
//
// Start reading at Unwrap.
package wrapping
