// Command strongkeep is the vault, the operator and the tools around them.
package main

import (
	"os"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], session.System()))
}
