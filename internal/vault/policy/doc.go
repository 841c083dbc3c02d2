// Package policy decides who may do what: it reads policies as Vault writes
// them (HCL or JSON), merges those of a token into an ACL, and answers for a
// path and an operation whether it is allowed, and by which rule.
//
// An ACL is compiled once per set of policies and their revisions and then only
// read; deciding takes no lock and allocates nothing unless a rule looks at
// parameters. What a policy relies on and this package cannot enforce (MFA,
// control groups) is refused when the policy is written: a
// restriction that is silently dropped grants too much.
//
// Where Vault's behaviour is a trap, the difference is stated at the type or
// function concerned: see value, Query and (*ACL).AnyUnder.
//
// Start reading at Parse, then Compile, then (*ACL).Decide.
package policy
