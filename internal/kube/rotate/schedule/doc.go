// Package schedule says when a turn is due and when consumers may be touched. It
// is pure: what is due is computed from when the last turn ended, so that a time
// that passed while nobody looked counts once, and a clock that leaps neither
// skips nor repeats one.
//
// Start reading at Calendar.
package schedule
