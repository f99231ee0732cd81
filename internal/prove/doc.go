// Package prove tries a recipe against a failure at each of its steps, in
// simulated worlds. Start with Scenario (what is tried) and Explore (how much of
// it); a Report has the results.
//
// # What is tried
//
// A Plan is a few Faults, each at a Place: a call that the recipe makes to a
// server. A trial plays a plan: the recipe runs, the faults strike, and then the
// user does what users do: a minute later they run it again. A fault may strike
// that run, too. The last run has none, and must end well; after it the world
// must be in order; one more run must have no effects.
//
// Faults are put on the wire, between the clients and the world (rehearsal.Wire),
// so what modules do about a lost reply is tried as well as what recipes do.
//
// # What is checked
//
// An observer looks at the world itself after every call that changed it. It
// knows routing lists, containers and a router, and nothing of recipes, modules
// or guards; see observer.
//
// # Why it ends
//
// The same plan always gives the same trial: time is virtual and the order of
// calls is fixed. What a user's last run does depends on nothing but the world it
// finds, so worlds that differ in times and IDs only are recovered from once; see
// canon. And a fault of the world just before a read that is answered the same
// might as well happen after it: such plans are one trial; see commutes. A run
// follows from its inputs, so what a fault leads to is known where it has
// struck in the same world and a run that was told the same; see moment.
package prove
