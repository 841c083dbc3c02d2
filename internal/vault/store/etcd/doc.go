// Package etcd is a store on an external etcd cluster.
//
// # How the contract maps onto etcd
//
// A store.Revision is etcd's own: an entry's is its ModRevision, Apply's that of
// its transaction. Apply is one etcd transaction whose compares are the guards,
// so it is decided where it is ordered, and durable on a majority when it
// returns. Reads are linearizable. What others in the same etcd write lets
// revisions grow, which the contract allows.
//
// A write is sent once. When its answer is lost (a timeout, a change of leader)
// nobody knows whether it was made, and the caller hears errs.Unavailable.
//
// # Watches
//
// One etcd watch over all entries fills a feed (package feed), which serves
// every Watch of this process with bounded memory. After a lost connection the
// watch goes on where it ended; if etcd has compacted that away meanwhile, all
// watches end with errs.Exhausted.
//
// A sign of life costs a linearizable read: it says that the watch has delivered
// everything up to a revision that a majority confirmed less than PulseMost
// ago. A member that lags or is cut off can answer, but not give one.
//
// # Keys
//
// Below the prefix:
//
//	meta/format   "1": version of this layout
//	k/KEY         an entry; nothing but its value, the revision is etcd's
//
// Any number of processes may use one prefix.
//
// Start reading at Store.Apply, then follower.run.
package etcd
