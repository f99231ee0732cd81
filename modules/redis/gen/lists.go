package main

import "strings"

func fields(s string) []string { return strings.Fields(s) }

// looks are commands without a readonly flag that change nothing.
var looks = fields(`
	acl|cat acl|dryrun acl|genpass acl|getuser acl|list acl|users acl|whoami
	client|getname client|getredir client|id client|info client|list client|trackinginfo
	cluster|count-failure-reports cluster|countkeysinslot cluster|getkeysinslot cluster|info
	cluster|keyslot cluster|links cluster|myid cluster|myshardid cluster|nodes cluster|replicas
	cluster|shards cluster|slaves cluster|slots
	command command|count command|docs command|getkeys command|getkeysandflags command|info command|list
	config|get echo function|dump function|list function|stats info lastsave
	latency|doctor latency|graph latency|histogram latency|history latency|latest
	memory|doctor memory|malloc-stats memory|stats module|list ping
	pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub
	role script|exists slowlog|get slowlog|len time`)

// removes are commands that remove or stop something and name no key.
var removes = fields(`
	acl|deluser client|kill cluster|delslots cluster|delslotsrange cluster|flushslots cluster|forget
	cluster|reset flushall flushdb function|delete function|flush function|kill module|unload
	script|flush script|kill shutdown swapdb`)

// administers are commands that act on the whole server, on other servers, or
// on memory as it is, but that Redis does not flag admin.
var administers = fields(`flushall flushdb swapdb migrate restore memory|purge`)

// sessionOnly are commands that change or use the state of a connection, which
// recipes share, and those between servers.
var sessionOnly = fields(`
	asking auth client|caching client|no-evict client|no-touch client|reply client|setinfo client|setname
	client|tracking client|getredir client|trackinginfo discard exec hello monitor multi
	pfdebug pfselftest psubscribe psync punsubscribe quit readonly readwrite replconf reset restore-asking
	script|debug select ssubscribe subscribe sunsubscribe sync unsubscribe unwatch wait waitaof watch`)
