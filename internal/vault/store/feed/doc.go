// Package feed remembers the latest commits of a store and delivers them to
// watchers. Every base store has one Feed and publishes to it, in order, what
// has become durable and visible.
//
// Memory is bounded by the history alone: a watcher holds its position in the
// history and no queue of its own, and one that falls behind the oldest commit
// remembered ends with errs.Exhausted.
//
// Start reading at Feed.Publish, then watcher.run.
package feed
