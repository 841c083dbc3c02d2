// Package rescue is for when it is too late: it finds what lies in etcd and no longer
// decrypts, one value after the other, and what can be done for each. It opens values
// with the keys of an EncryptionConfiguration and by the plugins that it names; looks
// for older ones in snapshots, and makes manifests of those that open; finds names by
// an API server whose LIST fails; and has an API server delete what is lost, which it
// does for nothing that might be readable again.
//
// What was opened is in memory only, but for what Manifest makes.
//
// Start reading at Find; deletion is Remove.
package rescue
