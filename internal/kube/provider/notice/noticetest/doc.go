// Package noticetest is the suite of whatever reads a queue of a cloud: what is
// reported, when a message is acknowledged, and what happens in an outage.
//
// Start reading at Run.
package noticetest
