// Package fault is what drills break: it stands between the operator and what it
// reads for ExternalSecrets, and fails, delays or spoils that while a Drill says
// so. It keeps nothing that would have to be undone: the Drills in the cache and
// the clock decide, each time anew.
//
// Start reading at Book.
package fault
