// Package authtest holds the suite that every auth method passes, besides that
// of all engines in enginetest: who shows wrong credentials gets a refusal and
// never a token, and what was shown appears nowhere.
//
// Only tests import it. Start reading at Run.
package authtest
