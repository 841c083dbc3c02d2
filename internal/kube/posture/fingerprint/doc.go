// Package fingerprint tells equal secrets from others without keeping them: a
// value becomes a keyed MAC, and so does each part of it that may be a secret of
// its own, such as the password in a connection string.
//
// A Print is HMAC-SHA256 under a key of the installation, cut to 128 bits: without
// the key it says nothing about the value, not even to somebody who can guess it.
// Cutting is safe, as HMAC's strength does not rest on the length of its output
// but for collisions, of which 2^64 values would be needed (RFC 2104, section 5).
//
// What is found inside a value: JSON and YAML leaves, lines of KEY=VALUE, URLs'
// user information, keyword strings (libpq, JDBC, ADO), base64 around any of them,
// and registry logins. What is compressed or encrypted is not looked into, but for
// Helm releases, which package read unpacks.
//
// Start reading at Key.Prints.
package fingerprint
