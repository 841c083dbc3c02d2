// Package diagnose is "operator diagnose": what stands in the way of a server, or soon will.
//
// Start reading at Command.
package diagnose
