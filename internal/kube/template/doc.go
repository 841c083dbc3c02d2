// Package template runs the templates of ExternalSecrets: Go's text/template
// with the functions of sprig and of the External Secrets Operator's engine v2.
//
// A template is written by whoever may write an ExternalSecret and runs inside
// the operator, over secret values. So
//
//   - it cannot reach out: no environment, no name lookup, no network, no files;
//   - it cannot run away: its steps, its time, what its functions produce and
//     what it writes are bounded, see Limits. text/template cannot be stopped
//     from outside, so calls of functions that count are woven into the parse
//     tree, and every function is wrapped in one that counts and measures. What
//     a single call does is bounded before it begins: a cyclic value, a regular
//     expression, a YAML alias or a PKCS#12 archive can otherwise take all
//     memory, or minutes, or the process;
//   - it cannot talk: an error says where in the template and what kind of thing
//     went wrong, never what a function or value said, nor a literal of the
//     template. Words of the template are told only as the argument of fail, and
//     of a template that is itself a secret none are.
//
// It differs from the External Secrets Operator where that would write garbage
// into a Secret: nil values and what cannot be decoded are errors. The list is in
// docs/operator.md.
//
// Start reading at Run.Text, then weaver.
package template
