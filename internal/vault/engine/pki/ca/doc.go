// Package ca makes, imports, configures and removes a mount's CAs: roots,
// intermediates, their keys and settings.
//
// Start reading at Routes and handlers.generateRoot.
package ca
