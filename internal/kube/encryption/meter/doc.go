// Package meter reads what an API server tells of encryption in its metrics: which
// EncryptionConfiguration it has in force, which key each KMS v2 plugin has told it, and
// how many values it has read from etcd and written there, by what encrypted them.
//
// Metrics come from one API server, that which answers: behind an address shared by
// several each answer may be another's, which Reading.ID and Reading.Started tell.
//
// Start reading at Ask and Reading.
package meter
