// Package on is what starts a recipe, said by the recipe itself: on.webhook,
// on.image, on.engine, on.archive, on.redis, on.schedule. Start with New. In an ordinary run,
// a rehearsal or a spec they do nothing; runtime.Host.Inspect returns each as a
// *Trigger, for a server that keeps recipes loaded.
package on

import (
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// New returns the module.
func New() runtime.Module {
	return runtime.Module{
		Name: "on",
		Doc: "Says what starts the recipe, for a server that keeps it loaded: these stand before params{}, and do nothing in a run. " +
			"Each event has fields; `fields` says which of them become which parameters, and `params` adds fixed ones. " +
			"A parameter that the recipe does not declare, or a value that it would not take, is an error when the recipe is loaded.",
		Self: &module{},
		Funcs: []runtime.Func{
			{
				Name: "webhook", Early: true,
				Doc: "A request to the server's webhook of this recipe starts it. " +
					"The fields of its JSON object become the parameters of the same names; `fields` takes others, from below by dots: repository.name, commits.0.id.",
				From:    "HTTP POST",
				Raises:  []runtime.Kind{failure.Invalid, failure.Script},
				Example: `on.webhook{secret = "github", fields = {image = "package.tag"}}`,
				Call:    runtime.Inline((*module).webhook),
			},
			{
				Name: "image", Early: true,
				Doc: "A new tag on the engine starts it, once: one that was loaded, pulled, built or tagged. " +
					"The event has the fields image (mepc/app:1.4), repository (mepc/app) and tag (1.4); image becomes the parameter image.",
				From:    "GET /events, GET /images/json",
				Raises:  []runtime.Kind{failure.Invalid, failure.Script},
				Example: `on.image{name = "mepc/app:1.*", params = {replicas = 2}}`,
				Call:    runtime.Inline((*module).image),
			},
			{
				Name: "engine", Early: true,
				Doc: "The engine comes back after a restart, and containers of an app are not where they were: it starts the recipe once for each such app, by the label mepc.app. " +
					"The event has the field app, which becomes the parameter app.",
				From:    "GET /events, GET /containers/json",
				Raises:  []runtime.Kind{failure.Invalid, failure.Script},
				Example: `on.engine{params = {confirm_max = "30s"}}`,
				Call:    runtime.Inline((*module).engine),
			},
			{
				Name: "archive", Early: true,
				Doc: "An archive of images, as docker save writes it, that appears whole in a directory starts it. " +
					"The event has the fields archive (its path) and name (app.tar); archive becomes the parameter archive.",
				From:    "inotify(7)",
				Raises:  []runtime.Kind{failure.Invalid, failure.Script},
				Example: `on.archive{dir = "incoming", match = "app-*.tar"}`,
				Call:    runtime.Inline((*module).archive),
			},
			{
				Name: "redis", Early: true,
				Doc: "A message in Redis starts it: of a channel, where nobody keeps it while the server is away, or of a stream, " +
					"where a consumer group shares the entries among servers and each is acknowledged when its run is sure to happen, or with `ack` when it has ended. " +
					"A stream's entry has its own fields; a channel's message those of its JSON object, or else the field message. " +
					"They become the parameters of the same names.",
				From:    "SUBSCRIBE, XREADGROUP, XAUTOCLAIM, XACK",
				Raises:  []runtime.Kind{failure.Invalid, failure.Script},
				Example: `on.redis{stream = "deploys", group = "mepc"}`,
				Call:    runtime.Inline((*module).redis),
			},
			{
				Name: "schedule", Early: true,
				Doc: "The time starts it, by a line of cron: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @every 90m. " +
					"Where clocks are put forward, times in the hour that is left out do not come that day; where they are put back, times in the hour that comes twice come twice. " +
					"The event has the field time, when it was due.",
				From:    "crontab(5)",
				Raises:  []runtime.Kind{failure.Invalid, failure.Script},
				Example: `on.schedule{cron = "30 4 * * 1-5", zone = "Europe/Berlin", params = {keep = 3}}`,
				Call:    runtime.Inline((*module).schedule),
			},
		},
	}
}

type module struct{}

func (m *module) webhook(c *runtime.Call, w *Webhook) (runtime.None, error) { return declare(c, w) }

func (m *module) image(c *runtime.Call, i *Image) (runtime.None, error) { return declare(c, i) }

func (m *module) engine(c *runtime.Call, e *Engine) (runtime.None, error) { return declare(c, e) }

func (m *module) archive(c *runtime.Call, a *Archive) (runtime.None, error) { return declare(c, a) }

func (m *module) redis(c *runtime.Call, r *Redis) (runtime.None, error) { return declare(c, r) }

func (m *module) schedule(c *runtime.Call, s *Schedule) (runtime.None, error) { return declare(c, s) }

func declare(c *runtime.Call, s Source) (runtime.None, error) {
	return runtime.None{}, c.Declare(&Trigger{Source: s, Where: c.Where()})
}
