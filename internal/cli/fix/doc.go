// Package fix has the command fix: it proposes what mends a finding, and applies it
// if told to.
//
// Start reading at Command.
package fix
