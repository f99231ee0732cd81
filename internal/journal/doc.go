// Package journal keeps what runs do, in a state directory: one file a run,
// one JSON object a line, written ahead. Start with Dir.Begin, which opens a
// run's Journal, and with Read, the one reader of such files.
//
// # The file
//
// A Journal is a guard and a sink of a run's gate. As a guard it writes what is
// about to be done and waits until that is on disk: an effect that has no
// durable intent does not happen, so a full disk stops a run before its next
// effect. As a sink it writes how each call ended, steps, log lines and
// compensations; these need not wait for the disk, since the next intent does.
//
// Each line begins with a checksum of the rest of it:
//
//	{"crc":"5f1a0e93","n":7,"time":"...","type":"intent","op":{...}}
//
// The file ends where its lines stop being whole: a tail that was torn by a
// crash is dropped. An intent without an outcome is a call of which nobody
// knows whether it was done.
//
// # Whose it is
//
// While a run goes on, its file ends in .open and is locked; the kernel drops
// the lock with the process, however it ends. An .open file without a lock is
// therefore a run that was cut off. One that came to its end is renamed.
//
// Everything passes the run's scrubber, so that no secret is on disk.
package journal
