// Package transit is the secrets engine that encrypts, signs and hashes for
// clients without giving them the keys.
//
// Its parts: transit/key is keys and their versions, transit/ciphertext
// encrypts, transit/signature signs, transit/wrapping brings keys in and out.
// Here are the routes and what they make of requests. Encrypting with a key
// that exists reads one cached entry and writes nothing.
//
// Start reading at Engine, then Engine.Routes, then Engine.encrypt.
package transit
