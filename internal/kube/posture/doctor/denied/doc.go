// Package denied says why the API server refuses somebody something, as RBAC
// decides it, which right is missing, and as whom an application really runs.
//
// Start reading at Parse and Explain.
package denied
