// Package window says when syncWindows let an ExternalSecret follow its store.
// It is pure.
//
// Start reading at Parse.
package window
