// Package journal has etcd log to a server's own log.
//
// Start reading at New.
package journal
