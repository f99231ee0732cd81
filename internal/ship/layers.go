package ship

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Depth returns how many of the layers want, lowest first, are also the lowest of
// has: an engine knows a layer together with all below it.
func Depth(want, has []string) int {
	n := 0
	for n < min(len(want), len(has)) && want[n] == has[n] {
		n++
	}
	return n
}

// Chain names each layer together with all below it, as an engine's store does.
func Chain(diffIDs []string) []string {
	chain := slices.Clone(diffIDs)
	for i := 1; i < len(chain); i++ {
		chain[i] = "sha256:" + sum([]byte(chain[i-1]+" "+chain[i]))
	}
	return chain
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// emptyConfig is a container's configuration as an engine writes an empty one.
const emptyConfig = `{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,` +
	`"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"",` +
	`"Entrypoint":null,"OnBuild":null,"Labels":null}`

// LegacyDir names the directory in which an engine before version 25 saves a layer:
// it hangs on the layer's chain and the directory of the one below. That of an
// image's top layer hangs on the image's configuration as well; the others' is nil.
func LegacyDir(chain, parent string, config json.RawMessage) string {
	fields := map[string]json.RawMessage{
		"container_config": json.RawMessage(emptyConfig),
		"created":          json.RawMessage(`"1970-01-01T00:00:00Z"`),
		"layer_id":         json.RawMessage(`"` + chain + `"`),
	}
	if config != nil {
		fields["config"] = config
	}
	if parent != "" {
		fields["parent"] = json.RawMessage(`"sha256:` + parent + `"`)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		panic("ship: encode a layer's identity: " + err.Error()) // digests, and JSON that was encoded before
	}
	return sum(b)
}
