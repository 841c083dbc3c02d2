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
// everything up to a revision that a majority confirmed, and when it was
// asked. A member that lags or is cut off can answer, but not give one.
//
// # Keys
//
// Below the prefix:
//
//	meta/format   version of this layout: "1" for one owner, "2" for several processes
//	meta/owner    Holder as JSON, who writes here: on a lease (Config.Exclusive), or
//	              without one, for all of several
//	meta/term     rewritten whenever somebody becomes the owner
//	k/KEY         an entry; nothing but its value, the revision is etcd's
//
// # Owners
//
// With Config.Exclusive one process at a time writes below the prefix. Each of
// its transactions is fenced by the revision at which it became the owner, so
// that a process that was cut off or stopped for longer than its lease cannot
// write after another took over. It becomes the owner again by itself if nobody
// was in between (term is unchanged); otherwise what it holds in memory may be
// old and every call fails until it is restarted.
//
// Without, the prefix is taken from owners for good: versions that know of owners only
// refuse its format, and one that was cut off finds that it was taken over.
//
// Start reading at Store.Apply, then follower.run and owner.
package etcd
