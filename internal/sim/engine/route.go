package engine

import (
	"net/http"
	"slices"
	"strings"
)

// route is one call of the Engine API.
type route struct {
	method string
	path   string // {} is a name, which for images may have slashes
	handle handler
	// free calls take the lock themselves: they sleep, or read or write a stream.
	free bool
}

// routes is the list of all that is modelled.
var routes = slices.Concat(swarmRoutes, []route{
	{"GET", "/_ping", ping, false},
	{"HEAD", "/_ping", ping, false},
	{"GET", "/version", version, false},
	{"GET", "/info", info, false},
	{"GET", "/system/df", diskUsage, false},
	{"GET", "/events", events, true},

	{"GET", "/images/json", imageList, false},
	{"GET", "/images/{}/json", imageInspect, false},
	{"GET", "/images/{}/history", imageHistory, false},
	{"POST", "/images/{}/tag", imageTag, false},
	{"DELETE", "/images/{}", imageRemove, false},
	{"POST", "/images/prune", imagePrune, false},
	{"POST", "/images/create", imagePull, false},
	{"POST", "/images/{}/push", imagePush, false},
	{"POST", "/auth", auth, false},
	{"POST", "/commit", commit, false},
	{"GET", "/images/get", imageSave, false},
	{"GET", "/images/{}/get", imageSave, false},
	{"POST", "/images/load", imageLoad, true},
	{"POST", "/build", imageBuild, true},

	{"GET", "/containers/json", containerList, false},
	{"POST", "/containers/create", containerCreate, false},
	{"GET", "/containers/{}/json", containerInspect, false},
	{"POST", "/containers/{}/start", containerStart, false},
	{"POST", "/containers/{}/stop", containerStop, true},
	{"POST", "/containers/{}/restart", containerRestart, true},
	{"POST", "/containers/{}/kill", containerKill, false},
	{"POST", "/containers/{}/pause", containerPause, false},
	{"POST", "/containers/{}/unpause", containerUnpause, false},
	{"POST", "/containers/{}/rename", containerRename, false},
	{"POST", "/containers/{}/update", containerUpdate, false},
	{"POST", "/containers/{}/wait", containerWait, true},
	{"GET", "/containers/{}/logs", containerLogs, true},
	{"GET", "/containers/{}/top", containerTop, false},
	{"DELETE", "/containers/{}", containerRemove, false},
	{"POST", "/containers/prune", containerPrune, false},
	{"POST", "/containers/{}/exec", execCreate, false},
	{"HEAD", "/containers/{}/archive", archiveGet, false},
	{"GET", "/containers/{}/archive", archiveGet, false},
	{"PUT", "/containers/{}/archive", archivePut, true},
	{"POST", "/exec/{}/start", execStart, true},
	{"GET", "/exec/{}/json", execInspect, false},

	{"GET", "/networks", networkList, false},
	{"POST", "/networks/create", networkCreate, false},
	{"GET", "/networks/{}", networkInspect, false},
	{"DELETE", "/networks/{}", networkRemove, false},
	{"POST", "/networks/{}/connect", networkConnect, false},
	{"POST", "/networks/{}/disconnect", networkDisconnect, false},
	{"POST", "/networks/prune", networkPrune, false},

	{"GET", "/volumes", volumeList, false},
	{"POST", "/volumes/create", volumeCreate, false},
	{"GET", "/volumes/{}", volumeInspect, false},
	{"DELETE", "/volumes/{}", volumeRemove, false},
	{"POST", "/volumes/prune", volumePrune, false},
})

// routeKey identifies a route: "/images/{}/json" is noun images, verb
// json, named.
type routeKey struct {
	method, noun, verb string
	named              bool
}

var routeIndex = indexRoutes()

func indexRoutes() map[routeKey]*route {
	index := make(map[routeKey]*route, len(routes))
	for i := range routes {
		r := &routes[i]
		noun, rest, _ := strings.Cut(r.path[1:], "/")
		verb, named := strings.CutPrefix(rest, "{}")
		index[routeKey{r.method, noun, strings.TrimPrefix(verb, "/"), named}] = r
	}
	return index
}

// findRoute returns the route of a path without its version, and the name in it.
func findRoute(method, path string) (*route, string) {
	noun, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if r := routeIndex[routeKey{method, noun, rest, false}]; r != nil {
		return r, ""
	}
	if rest == "" {
		return nil, ""
	}
	if i := strings.LastIndexByte(rest, '/'); i > 0 {
		if r := routeIndex[routeKey{method, noun, rest[i+1:], true}]; r != nil {
			return r, rest[:i]
		}
		if noun != "images" {
			return nil, ""
		}
	}
	return routeIndex[routeKey{method, noun, "", true}], rest
}

// known says whether the real engine may have such a call: for one that it has
// not the answer is its own 404, for one that it has it is 501. A path that is
// modelled for another method is complete.
func known(path string) bool {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if r, _ := findRoute(method, path); r != nil {
			return false
		}
	}
	noun, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch noun {
	case "containers", "images", "networks", "volumes", "exec", "build", "commit", "auth", "session", "grpc",
		"swarm", "nodes", "services", "tasks", "secrets", "configs", "plugins", "distribution",
		"events", "info", "version", "system", "_ping":
		return true
	}
	return false
}

// splitVersion takes "/v1.41" off a path.
func splitVersion(path string) (version, rest string) {
	if len(path) < 3 || path[1] != 'v' || path[2] < '0' || path[2] > '9' {
		return "", path
	}
	version, rest, _ = strings.Cut(path[2:], "/")
	return version, "/" + rest
}

var _ http.RoundTripper = (*Engine)(nil)
