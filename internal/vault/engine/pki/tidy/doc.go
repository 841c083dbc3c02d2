// Package tidy removes certificates that have expired, their revocations, and
// expired issuers, in batches, by the index of days.
//
//	config/auto-tidy   JSON of Config
//	tidy/run           JSON of the run that is due or going on; none = there is none
//	tidy/status        JSON of Status: the last run
//
// A run is stored before it is answered, and goes on after a crash: what a batch
// removes it removes in one transaction, together with what it counts.
//
// Start reading at Tidier.Work.
package tidy
