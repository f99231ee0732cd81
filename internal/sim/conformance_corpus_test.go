package sim_test

import "slices"

// conformanceCase is a sequence of calls; every answer is compared.
//
//	POST /containers/create?name=<a> {...}   a call of the Engine API; <a> is a name of this case alone
//	                                         ~ is a space in a path
//	... | State.Status [].Names keys:State   compares only these parts of the answer; status: only the status
//	UNTIL /containers/<a>/json State.Status="exited"
//	FETCH http://<a.ip>:8080/ [host]         an HTTP request to a container
//	BUILD query :: Dockerfile                the context has the files f, dir/one and dir/two
//	SAVE path / LOAD kind query              kind: whole, half, nothing, garbage, gzip, no-layers, no-manifest, no-config
//	PUTTAR path name=content ...             puts files in; \xff stands for a byte
//	GETTAR path / STAT path                  takes a file out, or asks what it is
//	EVENTS filters name ...                  the events of these containers since the case began
//	REDIS command
type conformanceCase struct {
	name    string
	steps   string
	differs map[string]string // step -> why it is known to differ
}

// corpus is the whole table.
var corpus = slices.Concat(containersCorpus, networksCorpus, imagesCorpus, filesCorpus, redisCorpus)
