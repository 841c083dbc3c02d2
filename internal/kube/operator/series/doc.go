// Package series is what the operator's metrics say of each ExternalSecret. It keeps
// some numbers for each, and makes series of them when somebody asks: vectors of
// Prometheus keep half a kilobyte for each series, and there are five to six for each
// object.
//
// Start reading at Objects.
package series
