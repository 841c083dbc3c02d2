// Package v1 is the plain key/value engine: kv version 1. A write replaces
// what was there; nothing of it stays.
//
// It keeps, by key below its mount, data/K: the secret K, see record.
//
// Start reading at Engine.Routes.
package v1
