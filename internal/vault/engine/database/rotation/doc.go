// Package rotation changes passwords on time, and loses none: that of a
// connection's own user (a root) and those of static roles.
//
// # The four steps
//
// A password changes in four steps, each of which may be the last one before a
// crash:
//
//	1 Start     the new password is stored beside the old one, as State.Pending
//	2 set       the database gets it
//	3 prove     a login with it succeeds
//	4 finish    it is stored as the one in force, State.Password
//
// Until step 4 both are stored, so neither is ever lost, and Current finds out by
// a login which of them works. Work takes up what was broken off: with the same
// pending password, never with another one, for the database may have it.
//
// Step 1 is part of the transaction of whoever asks, a request or Work; steps 2
// to 4 are CarryOut, behind the commit. Within a process one at a time carries out a change of a
// subject (turns).
//
// # Claims
//
// Between processes there is no such turn: one may be paused for minutes between any two
// steps, and set a password when another counts already. What holds instead:
//
//	1 Nobody sets a password but under a claim in State.Claims, committed with that password
//	  while it was the one that counts (Pending, or else Password). So the password in force
//	  is always stored: it is Password, Pending or that of a claim. Others lists them, and the vault
//	  logs in with each where the first is refused.
//	2 Who has set a password commits what came of it and takes the claim back, in one commit, only
//	  if that password still counts then. If another one does, that is claimed, set and proved
//	  first, again until it is so. Who dies instead leaves the claim.
//	3 A claim that nobody takes back, because its node died or its database did not answer, is kept
//	  for an hour. As long as its password is not the one that counts, Work proves by a login that
//	  that one still is in force, after a minute and then with growing pauses of up to ten, and
//	  sets it again if not.
//	4 No password is drawn while a claim is younger than a minute, and none is set when its own
//	  claim is older than 40 seconds: late acts are the exception, which 2 and 3 repair.
//
// So in the end the password that is stored is the one that works. What is left: a process that
// is paused for more than an hour behind its last look at the clock, sets its password, and dies before
// it commits. Clocks of nodes that differ weaken 3 and 4 by their difference, and nothing else.
//
// What is begun by Work is claimed by engine.Config's Duty, what was begun is brought to its end by
// Update: a node that does the background work no more still has to tell, and repair, what it did.
//
// # What is due
//
// State says when a password is to change, and what came of it so far. Subjects
// are found by an index ordered in time (index.go), in the same transaction that
// changes their State. Work reads what is due, and nothing else.
//
// # What this package does not know
//
// Where subjects are stored, and what else is stored of them: the engine's Load
// makes a Target of a Subject, and Target.Save writes its State back. Another
// kind of subject is another Load, and a field of Subject. Nor does it know how a
// server is reached: that is a Server.
//
// Start reading at Target, then Rotator.Start, Rotator.CarryOut and Rotator.finish.
package rotation
