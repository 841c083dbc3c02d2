// Package namespaces serves sys/namespaces/: namespaces are made, described, locked
// and deleted.
//
// Start reading at Routes.
package namespaces
