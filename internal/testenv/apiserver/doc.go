// Package apiserver is the real Kubernetes API server of a package's tests, with
// our definitions installed and served: started once, ended with the tests.
//
// Start reading at Main.
package apiserver
