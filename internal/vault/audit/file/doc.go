// Package file is the audit device that appends to a file, or to standard
// output where a container platform collects that.
//
// A file is only ever below one directory that the operator names in the
// server's configuration, is regular, reached through no symbolic link, and
// has no execute bit: whoever may enable audit devices can choose a file's
// name, and must not thereby be able to write elsewhere on the host (Vault's
// CVE-2025-6000 made a program of an audit log).
//
// Start reading at New, then File.Write.
package file
