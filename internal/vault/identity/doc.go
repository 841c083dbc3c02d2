// Package identity knows who stands behind a login: entities, the aliases that
// auth methods know them by, and groups of them. It is a state machine over
// transactions of the whole store and keeps no table in memory.
//
//	identity/<ns>/entity/<id>                      an Entity with its aliases
//	identity/<ns>/entity-name/<name>               reference to it
//	identity/<ns>/alias/<mount accessor>/<hash>    reference from the hash of an alias's name
//	identity/<ns>/alias-id/<id>                    reference from an alias's ID
//	identity/<ns>/origin/<mount accessor>/<hash>   reference to the alias that now stands for an origin
//	identity/<ns>/merged/<id>                      reference from an entity that was merged
//	identity/<ns>/group/<id>                       a Group
//	identity/<ns>/group-name/<name>                reference to it
//	identity/<ns>/group-alias/<accessor>/<hash>    reference from the name of an external group
//	identity/<ns>/group-alias-id/<id>              reference from its alias's ID
//	identity/<ns>/member/<group>/<entity>          a mark: the entity says that it is in the group
//	identity/<ns>/sweep/<group>                    the group is gone, its members are to be told
//	identity/<ns>/config                           a Config
//
// <ns> is the ID of a namespace; nothing in one refers to another. Names are
// sealed by the store. Each entity is a row of its own: a login reads two rows
// that are cached, and writes the second once a day.
//
// What the rows hold is in package record, where they lie in rows, and what a
// request sees of them in subject. Start reading at Manager.Login, then
// Manager.Subject, then Edit.
package identity
