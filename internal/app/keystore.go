package app

import "github.com/strongkeep/strongkeep/internal/app/unseal"

// unsealKeys are the keys that unseal without people, as far as c has them.
func unsealKeys(c *ServerConfig) unseal.Keys {
	return unseal.Keys{Kinds: KeyStores(), File: c.UnsealKeyFile, Store: c.UnsealKeyStore, List: c.Seals}
}

// keysNow are those of the configuration as it is now: what Reread says once the server has begun.
func (s *Server) keysNow() (unseal.Keys, error) {
	if s.gate == nil || s.cfg.Reread == nil {
		return unsealKeys(&s.cfg), nil
	}
	fresh, err := s.cfg.Reread()
	return unsealKeys(&fresh), err
}
