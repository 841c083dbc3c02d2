// Package controller turns Rotations: it observes, asks rotate.Decide what is
// next, writes that into the status with the resourceVersion that was observed,
// and only then acts, once. What came of the act is in the next status. So it may
// be killed between any two instructions, and one that was paused while another
// took over is refused at its next write.
//
// A Rotation is read from the API server and not from a cache. What is remembered
// between two looks (memory.go) saves work and is never needed to be right.
//
// Start reading at Reconciler.Reconcile.
package controller
