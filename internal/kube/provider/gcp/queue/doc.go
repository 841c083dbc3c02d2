// Package queue reads a subscription of Pub/Sub to a topic into which Secret Manager
// puts what happens to secrets.
//
// Start reading at New, and at Topics for what messages look like.
package queue
