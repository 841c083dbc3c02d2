// Command strongkeep is the vault, the operator and the tools around them.
package main

import (
	"os"

	"github.com/strongkeep/strongkeep/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.System()))
}
