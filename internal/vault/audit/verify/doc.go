// Package verify proves that audit files are complete and unaltered: it hashes
// every line as package chain did when it was written and compares with the
// signed checkpoints among them. It works offline, on files in the order they
// were written, and names the first line that is wrong.
//
// Start reading at Verify, then Report.
package verify
