// Package serve is mepc-run as a service: an HTTP API over the queue, the journals
// of runs and the recipes that are loaded, webhooks, and a page. Start with New.
//
// It decides who may ask for what, and asks the queue for it; nothing of a recipe
// is run in its process. route.go is the table of what can be asked: the handlers
// and their description in OpenAPI come from it.
package serve
