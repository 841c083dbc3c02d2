// Package identity knows by which annotations and variables the token of a ServiceAccount is shown to
// somebody else than the API server: a cloud, or a vault. No binding says so.
//
// Start reading at Account and Injector.
package identity
