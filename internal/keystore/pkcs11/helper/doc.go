// Package helper runs strongkeep-pkcs11, the program that loads a vendor's PKCS#11 module,
// as a child of this process, and asks it: a module that crashes or hangs takes a child
// with it and no vault.
//
// The child has one file of ours, its end of a socket pair, and of the environment what the
// settings name. It ends when that socket closes, and the kernel kills it when the
// thread that started it ends. It is started when it is first needed, and again, later
// each time, when it has ended.
//
// Start reading at Supervisor.
package helper
