// Package evidence judges what is known of each pod against what a Rotation
// requires, and makes the statement of a turn that ends. It is pure; what asks
// nodes, applications and backends is below it.
//
// Start reading at Judge.
package evidence
