package rotation_test

import (
	"os"
	"testing"

	"github.com/strongkeep/strongkeep/test/rotation/world"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }
