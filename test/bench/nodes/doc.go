// Package nodes measures servers that form a cluster of their own: what three of them
// read and write beside what one does, how long clients go without when the first among
// them is killed, and how soon a node of a full cluster answers again.
//
// Start reading at Measure and cluster.
package nodes
