// Package lock guards things that several processes of one machine share: the
// cache of built programs and the numbers of running clusters.
//
// A lock is an flock(2) on a file, so it ends with the process that holds it,
// however that process ends. Start reading at [Try].
package lock
