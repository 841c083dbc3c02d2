// Package checklist is the act of the demo in which the fourteen questions are asked
// of the cluster, remedies applied to what is found, and the questions asked again.
//
// Start reading at Act.
package checklist
