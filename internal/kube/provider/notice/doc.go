// Package notice reads the queues in which clouds tell of changes of secrets: the loop,
// which is the same for all. What a queue is and what its messages mean is in the
// folder of each provider; noticetest is their suite.
//
// A message only says which secret to read anew. It is untrusted: whoever may write
// into the queue makes us read what we may read anyway, and nothing else.
//
// Start reading at Reader.
package notice
