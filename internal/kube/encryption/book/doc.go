// Package book keeps signed reports, each naming the digest of the one before: in a folder
// of files, signed by a key of the machine or, better, by a vault's evidence engine, whose
// chain nobody on the machine can begin anew.
//
//	report-000001.json    an envelope of package attest and a line feed, never changed
//
// A file is there whole or not at all, and its number is taken by making it: who is killed
// amid a run leaves nothing, and of two runs at once the second one is behind the first.
//
// Start reading at Book.Add.
package book
