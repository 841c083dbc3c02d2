// Package migrate is the "migrate" command: taking over from other operators.
//
// Start reading at Command; internal/kube/migrate plans and acts.
package migrate
