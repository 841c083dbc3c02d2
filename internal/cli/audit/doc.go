// Package audit is what the audit command does with the log itself: verify,
// search, key and checkpoint. The first two work on files, without a server.
//
// Start reading at Commands.
package audit
