// Package invault gives tests of targets a vault to turn credentials in, reached
// as the operator reaches it. Only tests import it.
//
// Start reading at Open.
package invault
