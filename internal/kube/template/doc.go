// Package template runs the templates of ExternalSecrets: Go's text/template
// with the functions of sprig and of the External Secrets Operator's engine v2.
//
// A template is written by whoever may write an ExternalSecret and runs inside
// the operator, over secret values. So
//
//   - it cannot reach out: no environment, no name lookup, no network, no files;
//   - it cannot run away: its steps, its time, what its functions produce and
//     what it writes are bounded, see Limits. text/template cannot be stopped
//     from outside, so the parse tree is given a call to a counting function at
//     the head of every loop body and every template, and every function is
//     wrapped in one that counts and measures;
//   - it cannot talk: an error says where in the template and what kind of thing
//     went wrong, never what a function or value said, unless those words stand
//     in the template itself or come from a function of ours that is known to
//     name no values.
//
// Start reading at Run.Text.
package template
