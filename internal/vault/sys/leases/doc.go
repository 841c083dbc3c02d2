// Package leases serves sys/leases/: leases are looked up, listed, renewed, ended,
// counted and held.
//
// Start reading at Routes.
package leases
