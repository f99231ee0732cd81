package bench

import (
	"os"
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
