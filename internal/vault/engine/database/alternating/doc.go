// Package alternating changes a credential of a database with overlap: while a
// turn goes on, the old one and the new one both work, and which of them readers
// are given is said apart from which of them works.
//
// # Turns
//
// A turn has a number, which grows, and a holder, whoever moves it. Of a Role with
// two users that alternate, turn N makes the user that turn N-1 has retired; of a
// Role with one user that can have two passwords, turn N adds the second.
//
//	stage          the new one is stored, then made in the database, then proved by a login
//	publish new    readers are given the new one; publish old: the old one again
//	close          the old one does not log in any more; its sessions go on
//	reopen         it does again
//	retire old     the old one is removed and does not log in; the turn is done
//	retire new     the new one is; the turn has gone back
//
// Every act may be asked for again, and then does nothing but what is left of it.
//
// # Crashes
//
// What is about to be done in the database is stored first, as a Step that ends in
// -ing, with the password that it is done with: Role.Ask decides, in the
// transaction of who asks. Behind the commit Actor.CarryOut does it, and stores
// that it is done. A crash in between leaves the Step, and the same act, asked for
// again, goes on with the same password; nothing here draws another one for a
// turn. What CarryOut does it can do twice.
//
// Nothing is carried out by itself: who asks for an act asks until it is done.
//
// # Several nodes
//
// A node may be paused for minutes between any two things it does, and do the next one when the
// role is at another step or turn: set the password of a user who is in use by then, lock or
// drop it, or let in one that was retired. So who carries out a Step stores a Claim first, in the same
// commit, begins within 40 seconds, and takes it back in the commit that stores what came of it. If
// the role is elsewhere by then, it first has the database be as the role says (Actor.mend):
// credentials that are to work do, the one that is closed does not, and one that it made late
// does not either. Claims of whom nothing is heard for two minutes are mended by Work, for an hour.
//
// # What is never lost
//
// The old password is forgotten when the database has been seen to refuse it, and
// the new one when the database has been seen to refuse that. What readers are
// given is always stored.
//
// Start reading at Role, then Role.Ask, then Actor.CarryOut.
package alternating
