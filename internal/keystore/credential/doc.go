// Package credential reads what a program proves itself with from local files:
// those of systemd's credentials, or files that nobody else can read. What must
// come up before its cluster cannot be given anything by it, so the tokens that a
// cluster mounts are refused.
//
// Start reading at Read.
package credential
