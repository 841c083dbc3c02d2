// Package errs is the closed list of ways in which an operation can go wrong,
// and the one table that says what each means to an HTTP client, a gRPC
// client, a shell and a Kubernetes condition.
//
// Every error that crosses a package boundary carries a Kind; code asks for it
// with KindOf or Is and never looks at the text. The text is for a person: what
// was wrong, where, and what to do next. It never holds a secret value, a
// token, a key or a request body.
//
// Start reading at Kind.
package errs
