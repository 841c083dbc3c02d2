//go:build !race

package cli_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// TestMain has this test binary be strongkeep, too.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"strongkeep": func() { os.Exit(cli.Main(os.Args[1:], session.System())) },
	})
}
