// Package mysql makes users in MySQL and MariaDB.
//
// These databases commit every statement that makes or changes a user by itself:
// a creation that fails half way leaves a user, whom the revocation of the lease
// removes. A removed user's sessions would go on with all their rights, so they
// are ended.
//
// Start reading at Type, then database.Delete.
package mysql
