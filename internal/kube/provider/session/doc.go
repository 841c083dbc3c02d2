// Package session keeps one open provider.Store per store object and shares it
// among everything that reads through it: one login, one limit on concurrent
// calls, and one backend read for all who want the same secret at the same time.
//
// A session ends when its store object changes (by UID and generation) or when
// a Secret, ConfigMap or ServiceAccount it read is reported changed; the next
// read opens a new one.
//
// Start reading at Pool.
package session
