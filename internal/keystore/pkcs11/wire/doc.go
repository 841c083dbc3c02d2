// Package wire is what the main program and strongkeep-pkcs11 say to each other over
// their socket pair.
//
// Start reading at Message.
package wire
