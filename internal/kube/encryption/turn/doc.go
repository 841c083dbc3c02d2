// Package turn takes a cluster from one version of its KMS key to the next: until every
// API server writes under it, everything in etcd is rewritten, and etcd shows that no
// value needs an older version. Only then it says how one is taken away.
//
// Nothing is noted: where it stands is read off the key store, the metrics of all API
// servers, and etcd. A run that was killed is followed by one that reads the same world.
//
// Start reading at Judge and Run.
package turn
