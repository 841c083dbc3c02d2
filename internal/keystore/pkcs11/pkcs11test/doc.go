// Package pkcs11test gives tests real tokens: those of SoftHSM (Debian's softhsm2), each
// in a directory of its own, with keys as they are asked for; the program that loads it,
// built from source; and a module that lies between the two and crashes, hangs, or
// makes its own IVs when it is told to (testdata/shim.c).
//
// Start reading at New.
package pkcs11test
