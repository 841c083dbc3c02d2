// Package cached is a decorator that keeps entries, and the absence of
// entries, in memory, so that a read that hits costs a hash and no lock.
//
// What makes it safe to believe a kept entry:
//
//   - Changes made through this decorator: an entry leaves the cache before the
//     write goes to the store and comes back when the outcome is known. In
//     between, reads go through. So the decorator is as linearizable as the
//     store below it.
//   - Changes made by others (another node on a shared store): a watch over
//     everything drops what they change. Such a change is seen as soon as the
//     watch delivers it, at the latest after MaxSilence.
//   - A read that misses takes note of the time before it asks the store; if
//     anything in its part of the cache was dropped meanwhile, what it brings is
//     returned and not kept. A slow read can so never bring back an old entry.
//   - When the watch ends everything is forgotten, and reads go through until a
//     new watch runs. While its latest sign of life is older than MaxSilence reads
//     go through too. A sign of life is as old as the question that proves it
//     (store.Event.At), however long it was on its way: a watch that is always late
//     delivers changes all the time and is not to be believed.
//
// A store that only this process writes to needs no sign of life: its watch
// cannot be cut off without ending. Leave MaxSilence 0 for it.
//
// What is written is kept if the key, or its absence, was kept before: most
// tokens and leases are written, and read by nobody before they are forgotten.
//
// Start reading at Store.Get, then Store.Apply, then follower.
package cached
