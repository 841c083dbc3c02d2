// Package remedy mends what a check has found: a Plan of patches and objects that
// can be committed, or applied step by step. A remedy is a function of what was
// read; it refuses what it cannot mend without guessing.
//
// Start reading at Plan and List.
package remedy
