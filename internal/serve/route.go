package serve

import (
	"net/http"

	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/queue"
)

// route is something that can be asked of the server.
type route struct {
	Method, Path string
	Doc          string
	Query        []query // what may stand behind the path's ?
	Body, Answer any     // a value of the type that is taken, or answered; nil: none
	Status       int     // of a successful answer
	Open         bool    // it needs no token
	Large        bool    // its body may be a plan
	handle       func(*Server, *call) (any, error)
}

// query is a parameter of a route.
type query struct{ Name, Doc string }

// routes is all that can be asked, and what OpenAPI tells of it.
var routes []route

func init() { routes = table() }

func table() []route {
	return []route{
		{
			Method: "GET", Path: "/api/v1/status", Doc: "The server, its queue, and problems with recipes.",
			Answer: status{}, Status: http.StatusOK, handle: (*Server).status,
		},
		{
			Method: "GET", Path: "/api/v1/recipes", Doc: "The recipes that are loaded.",
			Answer: []recipeAnswer{}, Status: http.StatusOK, handle: (*Server).listRecipes,
		},
		{
			Method: "GET", Path: "/api/v1/recipes/{name}", Doc: "A recipe, with its parameters.",
			Answer: recipeAnswer{}, Status: http.StatusOK, handle: (*Server).getRecipe,
		},
		{
			Method: "POST", Path: "/api/v1/recipes/{name}/runs", Doc: "Asks for a run. The answer comes when the request is on disk.",
			Body: trigger{}, Answer: queue.Entry{}, Status: http.StatusAccepted, handle: (*Server).trigger,
		},
		{
			Method: "POST", Path: "/api/v1/recipes/{name}/rehearsals", Doc: "Rehearses a recipe in a snapshot of the servers. Nothing is changed.",
			Body: rehearse{}, Answer: rehearsalAnswer{}, Status: http.StatusOK, handle: (*Server).rehearse,
		},
		{
			Method: "POST", Path: "/api/v1/recipes/{name}/plans", Doc: "Asks for the run of a plan that a rehearsal made, and of nothing else.",
			Body: apply{}, Answer: queue.Entry{}, Status: http.StatusAccepted, Large: true, handle: (*Server).apply,
		},
		{
			Method: "GET", Path: "/api/v1/runs", Doc: "Runs, newest first, and requests that never became one.",
			Query:  []query{{"app", "of this app"}, {"recipe", "of this recipe"}, {"status", "with this status: how they ended, or running"}, {"before", "older than this run"}, {"limit", "the maximum number; default 50, at most 500"}},
			Answer: []runAnswer{}, Status: http.StatusOK, handle: (*Server).listRuns,
		},
		{
			Method: "GET", Path: "/api/v1/runs/{id}", Doc: "A run, or a request that waits to become one.",
			Answer: runAnswer{}, Status: http.StatusOK, handle: (*Server).getRun,
		},
		{
			Method: "GET", Path: "/api/v1/runs/{id}/events", Doc: "The records of a run's journal as server-sent events, until it ends. Last-Event-ID goes on behind one.",
			Answer: stream[journal.Record]{}, Status: http.StatusOK, handle: (*Server).events,
		},
		{
			Method: "POST", Path: "/api/v1/runs/{id}/abort", Doc: "Interrupts a run, which then undoes what it did, or takes a request out of the queue.",
			Body: abort{}, Answer: queue.Entry{}, Status: http.StatusOK, handle: (*Server).abort,
		},
		{
			Method: "GET", Path: "/api/v1/queue", Doc: "Running and waiting requests, in order.",
			Answer: queueAnswer{}, Status: http.StatusOK, handle: (*Server).queue,
		},
		{
			Method: "POST", Path: "/api/v1/queue/pause", Doc: "Pauses the queue. Running recipes go on.",
			Status: http.StatusNoContent, handle: (*Server).pause,
		},
		{
			Method: "POST", Path: "/api/v1/queue/resume", Doc: "Resumes the queue.",
			Status: http.StatusNoContent, handle: (*Server).resume,
		},
		{
			Method: "GET", Path: "/api/v1/approvals", Doc: "Questions of runs that are not answered yet.",
			Answer: []approvalAnswer{}, Status: http.StatusOK, handle: (*Server).approvals,
		},
		{
			Method: "POST", Path: "/api/v1/runs/{id}/approval", Doc: "Answers a run's question.",
			Body: approval{}, Status: http.StatusNoContent, handle: (*Server).approve,
		},
		{
			Method: "GET", Path: "/api/v1/routing", Doc: "The routing lists in Redis, and the containers that they lead to.",
			Answer: routingAnswer{}, Status: http.StatusOK, handle: (*Server).routing,
		},
		{
			Method: "GET", Path: "/api/v1/containers/{name}/logs", Doc: "The last lines of the log of an app's container.",
			Answer: logLines{}, Status: http.StatusOK, handle: (*Server).containerLogs,
		},
		{
			Method: "GET", Path: "/api/v1/events", Doc: "Server-sent events: changed, whenever the queue, a run or a recipe changes. Then fetch what you need.",
			Answer: stream[struct{}]{}, Status: http.StatusOK, handle: (*Server).changes,
		},
		{
			Method: "GET", Path: "/api/v1/openapi.json", Doc: "This table, as OpenAPI 3.1.",
			Answer: map[string]any{}, Status: http.StatusOK, Open: true, handle: (*Server).openAPI,
		},
		{Method: "GET", Path: "/metrics", Doc: "Numbers for Prometheus.", Status: http.StatusOK, handle: (*Server).metrics},
		{
			Method: "POST", Path: "/webhooks/{name}", Doc: "Starts a recipe that has an on.webhook. The body is a JSON object, signed in X-Hub-Signature-256; a delivery of the same name is accepted once.",
			Body: map[string]any{}, Answer: queue.Entry{}, Status: http.StatusAccepted, Open: true, handle: (*Server).webhook,
		},
		{Method: "GET", Path: "/healthz", Doc: "Whether the server is alive.", Open: true, Status: http.StatusNoContent, handle: (*Server).healthz},
		{Method: "GET", Path: "/readyz", Doc: "Whether it accepts requests.", Open: true, Status: http.StatusNoContent, handle: (*Server).readyz},
	}
}

// stream is the answer of a route that sends one T after the other.
type stream[T any] struct{}
