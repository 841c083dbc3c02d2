// Package certificate holds the functions of templates for certificates and keys:
// PEM, PKCS#12 archives, JSON Web Keys.
//
// What they are given was written by others, and may be made to take long: keys
// are bounded in length, and an archive in how often its password is hashed,
// before it is read. Errors, of type Error, name no values.
//
// Start reading at Reader.Key.
package certificate
