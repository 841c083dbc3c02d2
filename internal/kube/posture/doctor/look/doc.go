// Package look reads a doctor.Case of a live cluster, with rights to read only:
// of Secrets and ConfigMaps it asks for metadata, whose managedFields have the
// names of keys. What may not be read is a gap in the Case, and no error.
//
// Start reading at Live.
package look
