// Package members is the command "operator members": the nodes that serve one vault, and the
// members of the cluster that they form.
//
// Start reading at Command.
package members
