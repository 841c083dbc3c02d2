// Package tools serves sys/tools: random bytes and hashes, which need nothing
// that is stored.
//
// Start reading at Routes.
package tools
