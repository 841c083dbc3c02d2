// Package relocation makes the patches by which pods take values from Secrets that they took from
// elsewhere: variables keep their names, and files their places.
//
// Start reading at Relocation.
package relocation
