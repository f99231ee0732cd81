package sim_test

var redisCorpus = []conformanceCase{
	{name: "the routing list", steps: `
		REDIS DEL <k>
		REDIS LINSERT <k> AFTER app http://1
		REDIS RPUSH <k> app http://1
		REDIS LINSERT <k> AFTER app http://2
		REDIS LINSERT <k> AFTER nope http://3
		REDIS LRANGE <k> 0 -1
		REDIS LTRIM <k> 0 1
		REDIS LRANGE <k> 0 -1
		REDIS LLEN <k>
		REDIS LINDEX <k> 1
		REDIS LREM <k> 0 http://2
		REDIS LPOS <k> app
		REDIS LSET <k> 0 other
		REDIS LSET <k> 9 other
		REDIS TYPE <k>
		REDIS EXISTS <k> <no>
		REDIS SADD <k> 1
		REDIS GET <k>
		REDIS LRANGE <no> 0 -1
		REDIS DEL <k> <no>
	`},
	{name: "the dead set", steps: `
		REDIS SADD <d> 0 2
		REDIS EXPIRE <d> 30
		REDIS TTL <d>
		REDIS SMEMBERS <d>
		REDIS SREM <d> 2
		REDIS SISMEMBER <d> 0
		REDIS PERSIST <d>
		REDIS TTL <d>
		REDIS PUBLISH <d> x
		REDIS DEL <d>
		REDIS TTL <d>
	`},
	{name: "keys that expire", steps: `
		REDIS SET <k> v PX 300
		REDIS SET <k> w NX
		REDIS GET <k>
		SLEEP 400ms
		REDIS GET <k>
		REDIS SET <k> v NX EX 100
		REDIS SET <k> w XX GET
		REDIS TTL <k>
		REDIS DEL <k>
	`},
	{name: "numbers, hashes and other types", steps: `
		REDIS INCR <n>
		REDIS INCRBY <n> 41
		REDIS SET <s> x
		REDIS INCR <s>
		REDIS APPEND <s> yz
		REDIS STRLEN <s>
		REDIS HSET <h> a 1 b 2
		REDIS HGETALL <h>
		REDIS HINCRBY <h> a 5
		REDIS HDEL <h> b
		REDIS ZADD <z> 2 b 1 a
		REDIS ZRANGE <z> 0 -1 WITHSCORES
		REDIS ZSCORE <z> a
		REDIS LPUSH <h> x
		REDIS MGET <n> <no> <s>
		REDIS RENAME <n> <m>
		REDIS RENAME <no> <m>
		REDIS SCAN 0 MATCH <h>
		REDIS DEL <n> <s> <h> <z> <m>
	`, differs: map[string]string{
		`REDIS ZRANGE <z> 0 -1 WITHSCORES`: "miniredis answers a flat list where RESP3 has a list of pairs",
	}},
	{name: "commands that are wrong", steps: `
		REDIS NOPE
		REDIS GET
		REDIS SET <k> v FOO
		REDIS LINSERT <k> BESIDE a b
		REDIS EXPIRE <k> x
		REDIS EVAL return(1) 0
		REDIS EVAL return(nope) 0
		REDIS EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
		REDIS EXEC
		REDIS DISCARD
	`, differs: map[string]string{
		`REDIS NOPE`:                "miniredis quotes the name in the way of Redis 6",
		`REDIS EVAL return(nope) 0`: "miniredis has an interpreter of its own, and words its errors",
	}},
	{name: "disk usage", steps: `
		GET /system/df | status
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		GET /containers/json?all=1&size=1&filters={"name":["<a>"]} | [].Names
		GET /containers/<a>/top
		POST /containers/<a>/start
		GET /containers/<a>/top | Titles
	`},
}
