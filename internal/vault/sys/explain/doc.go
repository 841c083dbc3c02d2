// Package explain serves sys/policies/explain: why policy decides as it does, and
// what would change the decision.
//
// Start reading at Explainer.Routes.
package explain
