package stores

// call is a request: one of those that make a store, or one that reads it again.
// ${NAME} in any of its texts is what an earlier one has kept.
type call struct {
	name   string // of a step; steps that a version refuses are left out
	needs  string // of a check: the step without which it makes no sense
	method string
	path   string
	ns     string
	token  string // "" = root
	body   map[string]any
	keep   map[string]string // of a step: what to remember, by dotted path in the answer
	want   map[string]string // of a check: what stands at a dotted path of the answer
}

type object = map[string]any

// steps make a vault with a bit of everything.
var steps = []call{
	{name: "kv1", method: "POST", path: "sys/mounts/one", body: object{"type": "kv", "options": object{"version": "1"}}},
	{name: "kv1 write", method: "POST", path: "one/app/config", body: object{"user": "app", "port": 5432}},
	{name: "kv2", method: "POST", path: "sys/mounts/two", body: object{"type": "kv", "options": object{"version": "2"}}},
	{name: "kv2 write", method: "POST", path: "two/data/app/config", body: object{"data": object{"color": "red"}}},
	{name: "kv2 again", method: "POST", path: "two/data/app/config", body: object{"data": object{"color": "blue"}}},
	{name: "kv2 metadata", method: "POST", path: "two/metadata/app/config", body: object{"max_versions": 7, "custom_metadata": object{"owner": "team"}}},
	{name: "policy", method: "PUT", path: "sys/policies/acl/reader", body: object{"policy": `path "two/data/*" { capabilities = ["read"] }`}},
	{name: "token", method: "POST", path: "auth/token/create", body: object{"policies": []string{"reader"}, "display_name": "kept", "ttl": "700h"}, keep: map[string]string{"token": "auth.client_token"}},
	{name: "cubbyhole", method: "POST", path: "cubbyhole/mine", token: "${token}", body: object{"v": "private"}},
	{name: "approle", method: "POST", path: "sys/auth/approle", body: object{"type": "approle"}},
	{name: "approle role", method: "POST", path: "auth/approle/role/app", body: object{"token_policies": []string{"reader"}}},
	{name: "role id", method: "GET", path: "auth/approle/role/app/role-id", keep: map[string]string{"role": "data.role_id"}},
	{name: "secret id", method: "POST", path: "auth/approle/role/app/secret-id", body: object{}, keep: map[string]string{"secret": "data.secret_id"}},
	{name: "userpass", method: "POST", path: "sys/auth/userpass", body: object{"type": "userpass"}},
	{name: "user", method: "POST", path: "auth/userpass/users/ann", body: object{"password": "a password of a test", "token_policies": []string{"reader"}}},
	{name: "transit", method: "POST", path: "sys/mounts/transit", body: object{"type": "transit"}},
	{name: "transit key", method: "POST", path: "transit/keys/aes", body: object{}},
	{name: "transit sign key", method: "POST", path: "transit/keys/ed", body: object{"type": "ed25519"}},
	{name: "encrypt", method: "POST", path: "transit/encrypt/aes", body: object{"plaintext": "aGVsbG8="}, keep: map[string]string{"ciphertext": "data.ciphertext"}},
	{name: "turn", method: "POST", path: "transit/keys/aes/rotate", body: object{}},
	{name: "sign", method: "POST", path: "transit/sign/ed", body: object{"input": "aGVsbG8="}, keep: map[string]string{"signature": "data.signature"}},
	{name: "pki", method: "POST", path: "sys/mounts/pki", body: object{"type": "pki"}},
	{name: "pki root", method: "POST", path: "pki/root/generate/internal", body: object{"common_name": "a test's CA", "ttl": "700h", "key_type": "ec", "key_bits": 256}, keep: map[string]string{"ca": "data.serial_number"}},
	{name: "pki role", method: "POST", path: "pki/roles/web", body: object{"allowed_domains": []string{"example.com"}, "allow_subdomains": true, "key_type": "ec", "key_bits": 256}},
	{name: "pki issue", method: "POST", path: "pki/issue/web", body: object{"common_name": "a.example.com", "ttl": "24h"}, keep: map[string]string{"serial": "data.serial_number"}},
	{name: "database", method: "POST", path: "sys/mounts/database", body: object{"type": "database"}},
	{name: "database config", method: "POST", path: "database/config/pg", body: object{
		"plugin_name": "postgresql-database-plugin", "connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1:1/x", "username": "u", "password": "of a test",
		"allowed_roles": "app", "verify_connection": false,
	}},
	{name: "database role", method: "POST", path: "database/roles/app", body: object{"db_name": "pg", "creation_statements": []string{`CREATE ROLE "{{name}}"`}, "default_ttl": "1h"}},
	{name: "entity", method: "POST", path: "identity/entity", body: object{"name": "ann", "metadata": object{"team": "a"}}, keep: map[string]string{"entity": "data.id"}},
	{name: "group", method: "POST", path: "identity/group", body: object{"name": "all", "member_entity_ids": []string{"${entity}"}, "policies": []string{"reader"}}},
	{name: "namespace", method: "POST", path: "sys/namespaces/tenant", body: object{}},
	{name: "namespace kv", method: "POST", path: "sys/mounts/kv", ns: "tenant", body: object{"type": "kv", "options": object{"version": "2"}}},
	{name: "namespace write", method: "POST", path: "kv/data/x", ns: "tenant", body: object{"data": object{"who": "tenant"}}},
	{name: "quota", method: "POST", path: "sys/quotas/rate-limit/all", body: object{"rate": 5000, "path": "one/"}},
	{name: "rotate", method: "PUT", path: "sys/rotate", body: object{}},
	{name: "under the new key", method: "POST", path: "one/late", body: object{"v": "late"}},
	{name: "evidence", method: "POST", path: "sys/mounts/evidence", body: object{"type": "evidence"}},
}

// checks read all of it.
var checks = []call{
	{needs: "kv1 write", method: "GET", path: "one/app/config", want: map[string]string{"data.user": "app", "data.port": "5432"}},
	{needs: "kv2 write", method: "GET", path: "two/data/app/config?version=1", want: map[string]string{"data.data.color": "red"}},
	{needs: "kv2 again", method: "GET", path: "two/data/app/config", want: map[string]string{"data.data.color": "blue", "data.metadata.version": "2"}},
	{needs: "kv2 metadata", method: "GET", path: "two/metadata/app/config", want: map[string]string{"data.max_versions": "7", "data.custom_metadata.owner": "team"}},
	{needs: "policy", method: "GET", path: "sys/policies/acl/reader", want: map[string]string{"data.name": "reader"}},
	{needs: "token", method: "GET", path: "auth/token/lookup-self", token: "${token}", want: map[string]string{"data.display_name": "token-kept"}},
	{needs: "token", method: "GET", path: "two/data/app/config", token: "${token}", want: map[string]string{"data.data.color": "blue"}},
	{needs: "cubbyhole", method: "GET", path: "cubbyhole/mine", token: "${token}", want: map[string]string{"data.v": "private"}},
	{needs: "secret id", method: "POST", path: "auth/approle/login", body: object{"role_id": "${role}", "secret_id": "${secret}"}, want: map[string]string{"auth.metadata.role_name": "app"}},
	{needs: "user", method: "POST", path: "auth/userpass/login/ann", body: object{"password": "a password of a test"}, want: map[string]string{"auth.metadata.username": "ann"}},
	{needs: "encrypt", method: "POST", path: "transit/decrypt/aes", body: object{"ciphertext": "${ciphertext}"}, want: map[string]string{"data.plaintext": "aGVsbG8="}},
	{needs: "turn", method: "GET", path: "transit/keys/aes", want: map[string]string{"data.latest_version": "2"}},
	{needs: "sign", method: "POST", path: "transit/verify/ed", body: object{"input": "aGVsbG8=", "signature": "${signature}"}, want: map[string]string{"data.valid": "true"}},
	{needs: "pki issue", method: "POST", path: "pki/revoke", body: object{"serial_number": "${serial}"}, want: map[string]string{"data.state": "revoked"}},
	{needs: "pki role", method: "POST", path: "pki/issue/web", body: object{"common_name": "b.example.com", "ttl": "1h"}, want: map[string]string{"data.private_key_type": "ec"}},
	{needs: "database role", method: "GET", path: "database/roles/app", want: map[string]string{"data.db_name": "pg", "data.default_ttl": "3600"}},
	{needs: "database config", method: "GET", path: "database/config/pg", want: map[string]string{"data.connection_details.username": "u"}},
	{needs: "entity", method: "GET", path: "identity/entity/name/ann", want: map[string]string{"data.id": "${entity}", "data.metadata.team": "a"}},
	{needs: "group", method: "GET", path: "identity/group/name/all", want: map[string]string{"data.member_entity_ids.0": "${entity}"}},
	{needs: "namespace write", method: "GET", path: "kv/data/x", ns: "tenant", want: map[string]string{"data.data.who": "tenant"}},
	{needs: "quota", method: "GET", path: "sys/quotas/rate-limit/all", want: map[string]string{"data.rate": "5000"}},
	{needs: "rotate", method: "GET", path: "sys/key-status", want: map[string]string{"data.term": "2"}},
	{needs: "under the new key", method: "GET", path: "one/late", want: map[string]string{"data.v": "late"}},
	{needs: "evidence", method: "GET", path: "sys/mounts/evidence", want: map[string]string{"data.type": "evidence"}},
	// And it goes on from there.
	{needs: "kv2 again", method: "POST", path: "two/data/app/config", body: object{"data": object{"color": "green"}}, want: map[string]string{"data.version": "3"}},
	{needs: "kv1 write", method: "POST", path: "one/new", body: object{"v": "1"}},
	{needs: "kv1 write", method: "GET", path: "one/new", want: map[string]string{"data.v": "1"}},
	{needs: "user", method: "POST", path: "auth/userpass/users/bob", body: object{"password": "another of a test"}},
	{needs: "transit key", method: "POST", path: "transit/keys/aes/rotate", body: object{}},
}
