// Package queue reads a queue of SQS into which rules of EventBridge put what happens
// to secrets and parameters.
//
// Start reading at New, and at Topics for what messages look like.
package queue
