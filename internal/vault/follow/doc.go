// Package follow keeps what a process has built from a store in step with what other processes
// write to it, and knows how far it is: by revision, for clients that want what they were shown
// elsewhere, and by time, so that nothing old is taken for what is.
//
// Start reading at Follower.
package follow
