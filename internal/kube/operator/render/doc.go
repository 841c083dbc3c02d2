// Package render makes the Secret of an ExternalSecret from the values read and
// its templates.
//
// Start reading at Secret.
package render
