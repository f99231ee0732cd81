// Package router is an HTTP reverse proxy that takes its routing table from the
// Hipache keys in Redis. Start with Config and New, then Router.Run; a request's
// way through the package is handler (proxy.go) -> reader (reader.go) -> table
// (table.go) -> backend (backend.go).
//
// # Keys
//
//	frontend:<host>   LIST  identifier, url, url, ...   a URL listed twice has weight 2
//	dead:<host>       SET   0-based indexes of backends that could not be reached, with a TTL
//	dead              channel "host;url;index;length", one message for each index marked
//	settings:<host>   HASH  what is wanted of the frontend of this name (settings.go)
//
// A host is lower-cased and loses its port. It is looked up as itself, then as a
// wildcard of each parent (at most five labels), then as "*": for a.b.example.com
// frontend:a.b.example.com, frontend:*.b.example.com, frontend:*.example.com,
// frontend:*.com, frontend:*. The first list that exists is used, also when it
// holds nothing but its identifier. Of a backend's URL, scheme, host and port
// count, as in Hipache; its path is ignored. As in Hipache, too, the dead set is
// that of the host asked for, not that of the wildcard which matched.
//
// # Every request is routed by a list read after the request arrived
//
// There is no cache with a lifetime. The reader sends one pipeline to Redis at a
// time; a request that comes while one is under way waits for the next, which
// carries the hosts of all who wait. So the load on Redis does not grow with the
// load on the router, reads are in order, and a switch is in force for whatever
// arrives after it: propagation takes no time that a deployer would have to guess.
//
// Listing, picking and the count of what is in flight change under one lock. An
// answer of GET /-/inflight, which reads Redis first, with "listed": false,
// "in_flight": 0 and "source": "redis" is therefore a proof: nothing is being
// sent to that backend, and nothing will be until someone lists it again. (With
// the retry rules below, a backend that is stopped after that loses nothing.)
//
// When Redis does not answer within Config.RedisTimeout the last known lists are
// served, and go on being served without asking Redis until a probe, twice a
// second and on nobody's request, succeeds. "source" then says last-known-good.
// A host that was never asked for before answers 503 meanwhile. A Redis that
// answers is believed: a key that is gone is a host that is gone.
//
// # Picking
//
// Smooth weighted round robin for each frontend: exact over every round of the
// list, so a canary of 1 in 100 gets 1 request in 100, not about 1 in 100.
//
// # Which index in a dead set is believed
//
// An index says nothing by itself: any edit of the list shifts it, and a stale one
// would take a new, healthy backend out for 30 seconds. Index i of dead:<host> is
// believed if someone vouches for it, and the list still is what they saw:
//
//   - i was announced on the channel while we listened, or we marked it ourselves,
//     within the last Config.DeadTTL, and
//   - the list has the announced length, and the announced URL at i.
//
// An unconfirmed index is not believed. Disbelief costs at most one failed
// dial, which is retried elsewhere and then vouches for itself; belief could cost
// an outage. A URL that is dead at one index is dead at all of them. When every
// backend is dead all of them are tried: a wrong mark must not become an outage.
//
// A backend that cannot be dialled is marked as Hipache does it (SADD, EXPIRE,
// PUBLISH), in one transaction that fails if the list is not the one we read.
// So is one that hangs: a request had no answer in its time, and since it was sent
// no other had one. Once the mark has ended, one request at a time tries it until it
// answers (backend.onTrial). And so is one that fails its health checks (health.go);
// only they lift marks before the TTL.
//
// When the mark cannot be written, as in a cluster that keeps the two keys in
// different slots, it holds in this router alone.
//
// # Retries
//
// A request goes to a backend again only when no backend can have seen it: the
// list is read once more, and each backend tried once. That is so when
//
//   - no connection came about, or
//   - the connection was closed before anything was written, or
//   - the backend had closed its side before its kernel acknowledged a single byte
//     of the request (TCP_INFO; known on Linux).
//
// Anything else may have been seen, a reset included, and is answered with 502.
// net/http's own rule is another: on a kept-alive connection that dies it repeats
// GET, HEAD, OPTIONS and TRACE, and what has an Idempotency-Key. So a connection
// that breaks before an answer cancels its attempt first (conn.go), and nothing is
// repeated behind this package's back.
//
// Connections are kept for requests without a body and with one of up to 64 KiB,
// which is read first. They are kept for half a second: a server keeps its side for
// longer, so it does not close one just when a request is on its way. A larger body
// gets a connection of its own and passes as it comes. Each backend has its own
// pool, emptied when it leaves the lists.
//
// # Where a request ends
//
// What follows a request on a client's connection is parsed as a request only if
// the first one's end is beyond doubt: its body was read to its end before the
// answer began, and was not chunked. In all other cases the answer closes the
// connection (exchange.mustClose).
package router
