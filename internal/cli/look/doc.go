// Package look is what commands that ask about a cluster have in common: where it is
// read from. That is a cluster, manifests, charts and dumps (-f), or a snapshot that was
// saved (-snapshot).
//
// A command has Flags, adds them by Add (RBAC, pods and names of Secrets are enough
// for it) or AddWhole (it needs everything, and fingerprints of values: -key-file,
// -save), and calls Read:
//
//	var from look.Flags
//	from.AddWhole(c.Flags())
//	seen, err := from.Read(c.Context(), x.Session, time.Now())
//
// A command that adds to what was seen calls Look and, when it has, Keep.
//
// What could not be understood in files was then said on standard error; what could
// not be read is in seen.Coverage, and is the command's to say.
//
// Start reading at Flags.
package look
