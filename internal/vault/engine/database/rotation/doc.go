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
// to 4 are CarryOut, behind the commit. One at a time carries out a change of a
// subject (turns), and who comes late finds it done or overtaken: of two who set
// the same password the slower could otherwise set it again after a third change.
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
// Start reading at Target, then Rotator.Start and Rotator.CarryOut.
package rotation
