// Package events is the "events" command: it shows what changes in a vault as it
// changes.
//
// Start reading at Command.
package events
