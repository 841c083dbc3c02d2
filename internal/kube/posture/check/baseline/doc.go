// Package baseline knows the controllers whose work is to read Secrets
// everywhere, as their makers ship them, so that an answer can list them apart. They
// are named and counted, never hidden; that somebody calls a ServiceAccount as one
// of them does not make it one, which the pages of the checks say.
//
// Start reading at Controller.
package baseline
