// Package serve runs a KMS plugin: its socket, its health and metrics, and its end
// in good order.
//
// Start reading at Run.
package serve
