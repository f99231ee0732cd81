// Package queue holds what is to be run, durably, and has it run: in order, one
// run of an app at a time, each in a process of its own. Start with Open.
//
// # Exactly once
//
// A request is a file in the state directory, on disk before Add returns. Its ID
// is also the name of its run, so that the run's journal says whether it has
// begun: a journal is opened once.
//
// The process that runs a request is given the request's file, locked. The
// kernel drops that lock with the process, however it ends. So the next to open the
// queue after a crash knows of each request whether a process is still at it
// (it is waited for), whether it has begun and was cut off (it is resumed), or
// whether nobody has touched it (it is started). A server that dies takes no run
// with it.
//
// When a run has ended, its request moves to the directory done, where the
// deliveries are known by which it was asked for.
package queue
