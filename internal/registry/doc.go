// Package registry is a registry that takes the push of one image, and keeps only
// what it lacks: a handler of the distribution API that says of every blob but the
// wanted ones that it is there. So an engine that has pushed an image's layers
// before sends nothing of them, and nothing reads them either; what it sends is on
// disk, or is dropped.
//
// The API is https://distribution.github.io/distribution/spec/api/ as far as docker
// push goes; nothing can be pulled.
package registry
