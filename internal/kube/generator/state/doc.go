// Package state takes care that no generated credential is lost or taken back too
// early (docs/adr/0008-operator.md, "A generated credential's life").
//
// A GeneratorState is made before the credential; what is known of it is written
// there before it is used; a Secret that holds it names the state. Who collects
// states asks the live Secret, and claims the state before it takes anything back,
// so that nobody can begin to use it then.
//
// Start reading at Decide, then Keeper and Reconciler.
package state
