// Package copies finds Secrets and ConfigMaps that hold a value of others, by what
// they hold. Everything is read page by page, and of each value only a digest is
// kept, for a minute, under a key that only this process has.
//
// Who may write a Secret, or a value in the vault, may write guesses: what other
// namespaces hold must not be learnt from what is found. So a copy in another
// namespace than the asker's is shown only where whoever may write it says so, or
// where the operator's flags do; of the others there is a count, and a Guard bounds
// how many values one namespace may have compared.
//
// Start reading at Share.Of and Census.Find.
package copies
