// Package cli is the command line. Commands are generic over paths (read,
// write, list, delete, patch), so that a new engine needs no change here; the
// others are conveniences over the same API through the official Go client.
//
// Secret values come from standard input, files or a prompt. On the command
// line they work, with a warning that the shell remembers them.
//
// Start reading at Main in main.go, then env.go and generic.go.
package cli
