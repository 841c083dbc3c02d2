// Package outbound is how a target reaches an address that a person wrote into a
// Rotation: only by TLS, to no address of the operator's own machine or of its
// cloud's metadata, to private networks only where whoever runs the operator allows
// them, without proxies and redirects, with bounded answers.
//
// Start reading at Client.
package outbound
