// Package headroom decides when a process collects its garbage.
//
// Start reading at Keep.
package headroom
