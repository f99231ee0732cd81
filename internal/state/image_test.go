package state

import "testing"

func TestSplitTag(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string][2]string{
		"app": {"app", ""}, "mepc/app:1.0": {"mepc/app", "1.0"}, "localhost:5000/app": {"localhost:5000/app", ""}, "localhost:5000/app:1": {"localhost:5000/app", "1"},
		"docker.io/library/app:1": {"app", "1"},
		"app:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef": {"app", "1"},
		"sha256:0123456789abcdef": {"sha256:0123456789abcdef", ""}, "0123456789ab": {"0123456789ab", ""}, "<none>:<none>": {"<none>:<none>", ""},
	} {
		if repository, tag := SplitTag(ref); [2]string{repository, tag} != want {
			t.Errorf("%s: %q, %q", ref, repository, tag)
		}
	}
}
