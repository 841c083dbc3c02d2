// Package logtap lets people watch the log as it is written: sys/monitor.
//
// Start reading at Tap.
package logtap
