// Package check answers the questions of a checklist about a snapshot, with
// evidence. A check is a folder below this one and a line in the registry of
// package app; it is a function of a snapshot, a clock and settings, and does
// no I/O. Run asks all of them, and sees to it that what was not read is not
// judged: a check that says yes without having what it needs says "cannot tell".
//
// Start reading at Check and Run.
package check
