package session

import "testing"

// A warning that comes with every write is one that nobody reads.
func TestSecretKeyKnowsSecretsFromSettings(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"password": true, "secret_id": true, "jwt": true, "token": true, "client_secret": true, "private_key": true,
		"oidc_client_secret": true, "plaintext": true, "key": true, "data": true, "PASSWORD": true, "passphrase": true,
		"token_reviewer_jwt": true, "bindpass": true, "backup_key": true, "value": true,
		"username": false, "common_name": false, "key_type": false, "key_bits": false, "secret_id_ttl": false, "secret_id_num_uses": false,
		"token_policies": false, "token_ttl": false, "token_type": false, "metadata": false, "password_policy": false,
		"oidc_discovery_url": false, "min_decryption_version": false, "auto_rotate_period": false, "key_name": false,
		"password_authentication": false, "token_bound_cidrs": false, "token_no_default_policy": false,
	} {
		if got := SecretKey(key); got != want {
			t.Errorf("SecretKey(%q) = %v, want %v", key, got, want)
		}
	}
}
