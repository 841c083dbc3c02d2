// Package migrate plans how Strongkeep's operator takes over from the External
// Secrets Operator, and does it: namespace by namespace, by the class of stores
// (spec.controller), without a moment in which a Secret is missing or rewritten,
// and back again.
//
// Look gathers what a cluster has, with the rights of who asks. Plan is what comes
// of it; moves are pure. Apply and Back change nothing but spec.controller of stores
// and one annotation that says what was there.
//
// Start reading at Plan, then Mover.Apply. docs/migrate-external-secrets.md is for
// people.
package migrate
