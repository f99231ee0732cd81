package redis

// Slot is slot, for the test that asks a cluster.
var Slot = slot
