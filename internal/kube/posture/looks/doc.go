// Package looks tells what a value looks like: a private key, a token by its
// issuer's prefix, a URL with a password, or one that its name calls a secret. It
// is told while the value is read, as nobody can tell later.
//
// Names are judged by how they end: DB_PASSWORD holds one, PASSWORD_FILE and
// secretName do not. What a value is comes before what it is called: a path, a
// boolean, a duration, ${A_REFERENCE} and <a placeholder> are no secrets, whatever
// their names say.
//
// Start reading at Of.
package looks
