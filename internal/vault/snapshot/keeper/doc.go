// Package keeper makes snapshots by schedules, tries each one out before it counts, and
// keeps as many as it is told to.
//
// A snapshot is made in a scratch directory, restored there into a store of its own,
// opened with the keys of the running vault, every entry, and only then put into its
// place and read back from there. So each that has its name in a place was proven, and
// nothing else has to be remembered: what is due follows from the names alone, also for
// the next leader.
//
// It runs on the node that leads. One that goes on for a moment after it was replaced
// makes a snapshot more, which does no harm.
//
// Start reading at Keeper.Tend.
package keeper
