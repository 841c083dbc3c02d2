// Package readers serves sys/readers/PATH: who has read a path since a time, by
// the audit log as far as it can be read again, and by leases that live. What it
// cannot know it says.
//
// Start reading at Readers.Routes, then log.
package readers
