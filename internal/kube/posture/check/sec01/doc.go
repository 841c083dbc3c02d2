// Package sec01 asks whether Secrets are encrypted where they are stored, those
// that were there before encryption too. That it is switched on is told by the
// EncryptionConfiguration, or by the API server's own counters. That what lies
// there is encrypted is told, best first, by a signed report of who read etcd, by a configuration that could not read
// clear text at all, by the counters of what was read from storage, by a
// StorageVersionMigration, or by when each Secret was last written.
//
// Start reading at Check.
package sec01
