// Package backup keeps which backup of etcd needs which key. It reads the snapshots in a
// directory and counts their values by key id; the list lies beside them, so that it is
// there when the cluster is gone.
//
// What could not be read is not known, and never taken for what needs nothing. A backup
// that is not in the directory any more may have been moved, and one that another was
// written over copied: they stay in the list until somebody says that they were given up.
//
// Start reading at Look.
package backup
