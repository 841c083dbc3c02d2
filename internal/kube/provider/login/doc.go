// Package login keeps an access token that many share: it is had when first needed,
// replaced after two thirds of its life, kept to its end while there is no new one,
// and replaced at most every ten seconds when it is refused.
//
// Start reading at Keeper.
package login
