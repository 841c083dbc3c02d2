// Package drill runs drills: it decides whether one may begin, writes its
// deadline before anything is broken, watches what the workload makes of it, and
// sees that everything is as it was when it is over.
//
// Nothing is broken here. Package fault, below, does that, in what the operator
// reads, from the Drills in the cache and the clock alone; so a drill ends with
// its time, its object or its operator, whichever is first. What this package
// does at the end is to ask for ExternalSecrets to be read again, and to look.
//
// Start reading at Reconciler.Reconcile; decide says what comes next.
package drill
