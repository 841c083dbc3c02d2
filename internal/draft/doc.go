// Package draft writes files that are whole or not there: under a name of their own
// first, beside the one that they get when they are on the disk.
//
// Start reading at Open, or Write.
package draft
