// Package username makes names for new users by templates, with the functions
// that Vault's users know: random, truncate, truncate_sha256, uppercase,
// lowercase, replace, sha256, base64, unix_time, unix_time_millis, timestamp and
// uuid.
//
// Templates are an operator's, yet bounded: no loops, no definitions, and no
// more output than any database takes.
//
// Start reading at Template.
package username
