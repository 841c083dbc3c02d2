// Package sec10 asks whether the audit log shows every access to Secrets, and
// none of their values. The policy is not read for words: Kubernetes' own evaluator
// is asked about requests of every kind by everybody whom the policy tells apart,
// as the first rule that matches decides.
//
// Start reading at Check; probe.go makes the requests.
package sec10
