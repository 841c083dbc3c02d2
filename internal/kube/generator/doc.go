// Package generator is the contract between the operator and what makes
// credentials: passwords and keys drawn here, and credentials that a vault, a
// cloud or an endpoint makes when asked.
//
// A Kind makes credentials by the spec of one generator object. What else it can
// do is a small interface that callers ask for with a type assertion: a Revoker
// makes credentials that live elsewhere until they are taken back, and a Renewer
// can make them live longer. Adding a kind is one folder beside this file that
// passes generatortest.Run, and one line in the registry.
//
// A generator reads Secrets of the namespace that uses it and of no other: its
// Config has a provider.Scope, which is the only way to a reference.
//
// Failures carry a kind of internal/errs, as those of a provider do, but never
// NotExist: there is no secret that could be missing.
//
// Start reading at Kind.
package generator
