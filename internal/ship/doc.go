// Package ship takes an image's tar apart on its way from one engine to others, so
// that each gets only the layers that it lacks. Nothing here asks a server: readers
// in, writers out.
//
//	Registry  takes the push of one image, and keeps only the layers that are lacking
//	Depth     how many layers of an image another image, and so its engine, has
//	Split     one saved tar in, a partial tar out for each target
//	Join      a partial tar of an image from its configuration and layer files;
//	          JoinLayout the same in the form that the containerd image store takes
//	Queue     a bounded pipe to one target, so that the slowest does not hold up the rest
//	NewZstd   compression with zstd
//	Gzip      compression that begins when the link turns out to be slow
//
// Why a tar without layer files loads: an engine with the classic image store looks
// for each layer by the chain of digests up to it, and opens the file only when it
// has none. Where a layer that was left out is missing after all, the load fails as
// a whole and changes nothing.
package ship
