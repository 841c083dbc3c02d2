// Package sec14 asks whether access to Secrets is reviewed, and rights to them that
// nobody uses are taken away. Use is told by an audit log, a review by an
// annotation on the namespace, which says when and by whom.
//
// Start reading at Check.
package sec14
