// Package timing is when ExternalSecrets are refreshed by time, and tried again.
//
// Start reading at Interval.
package timing
