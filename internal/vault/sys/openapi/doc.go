// Package openapi describes the API as it is: sys/internal/specs/openapi is made
// of the routes that the mounted engines declare, and holds what the caller can
// reach of them.
//
// Start reading at Describe.
package openapi
