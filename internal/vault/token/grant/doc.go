// Package grant decides which policies a new token gets: by what was asked for,
// what the token that asks has, and what a role allows.
//
// All of it is pure functions. Start reading at Request.Decide, then Login.
package grant
