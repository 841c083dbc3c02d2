package app

import (
	"github.com/strongkeep/strongkeep/internal/app/reload"
)

// Reload takes up what can be taken up without a restart, for SIGHUP (reload.Reloader.Run).
func (s *Server) Reload() { s.reloader.Run() }

func (s *Server) makeReloader() *reload.Reloader {
	r := &reload.Reloader{Log: s.cfg.Log, Level: s.cfg.level, Started: s.cfg.started, Files: s.files, Keys: s.keys.Reload, Audit: s.gate.Audit().Reload}
	if s.cfg.Reread != nil {
		r.Read = s.reread
	}
	return r
}

// reread reads the configuration again and completes it as the first was.
func (s *Server) reread() (reload.Settings, error) {
	next, err := s.cfg.Reread()
	if err != nil {
		return reload.Settings{}, err
	}
	next.Dev = s.cfg.Dev
	if err := next.Complete(); err != nil {
		return reload.Settings{}, err
	}
	return reload.Settings{Level: next.level.Level(), Cert: next.TLSCert, Key: next.TLSKey, Was: &s.cfg, Is: &next}, nil
}
