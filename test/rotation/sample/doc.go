// Command sample is the application of the tests of rotation and of the demo. It
// runs in a pod, logs in to PostgreSQL or MariaDB with a credential from its
// environment or from the files of a mounted Secret, and queries without pause. A
// connection lives for a fraction of a second, so that the credential is used to
// log in all the time. It counts what worked and what did not, tells that over
// HTTP and reports it, a last time before it ends: so that the queries of pods
// that are gone are counted too.
//
//	GET /ready        200 once a query worked, and as long as the last one did
//	GET /stats        Stats as JSON
//	GET /credential   which password is in use, by a keyed digest
//
// It is a well-behaved application by default. Flags make it misbehave.
//
// Start reading at run.
package main
