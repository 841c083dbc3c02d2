// Package rehearse tries what a turn would do, up to publishing, and says who
// would keep it from its end: the credential is made, proven and removed again;
// consumers are found live and judged as if they had to follow; restarts are sent
// as dry runs. What it finds is in the Rotation's status.
//
// A rehearsal is announced in the status before anything is made, with a number
// that no turn ever has, and no turn begins before it is over. An operator that
// finds one that is not its own removes what that one has made, and says so.
//
// docs/rotation/rehearsal.md says what it can and cannot show.
//
// Start reading at Rehearser.Next.
package rehearse
