package certificate

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Files serve a key pair given by files, read again when they change.
type Files struct {
	mu                sync.Mutex
	certFile, keyFile string
	stamp             time.Time // of the certificate that is loaded
	loaded            *tls.Certificate
}

// NewFiles names the files, PEM, and reads nothing yet.
func NewFiles(cert, key string) *Files { return &Files{certFile: cert, keyFile: key} }

// Certificate is a tls.Config.GetCertificate. Kind Invalid if the files never fitted.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.certFile)
	if f.loaded != nil && (err != nil || info.ModTime().Equal(f.stamp)) {
		return f.loaded, nil
	}
	pair, loadErr := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if loadErr != nil {
		if f.loaded != nil {
			return f.loaded, nil // half-replaced files: keep what works until both fit
		}
		return nil, errs.Newf(errs.Invalid, "loading the TLS certificate and key: %w", loadErr)
	}
	f.loaded = &pair
	if err == nil {
		f.stamp = info.ModTime()
	}
	return f.loaded, nil
}

// Move has other files be read, from the next reading on.
func (f *Files) Move(cert, key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.certFile, f.keyFile = cert, key
}

// Again reads the files whether or not they have changed, and says until when the certificate
// lasts. Kind Invalid: the one that was loaded stays.
func (f *Files) Again() (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.certFile)
	if err != nil {
		return time.Time{}, errs.Newf(errs.Invalid, "loading the TLS certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return time.Time{}, errs.Newf(errs.Invalid, "loading the TLS certificate and key: %w", err)
	}
	f.loaded, f.stamp = &pair, info.ModTime()
	return pair.Leaf.NotAfter, nil
}
