// Package measure has the metrics of PushSecrets.
//
// Start reading at Metrics.
package measure
