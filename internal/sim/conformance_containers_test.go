package sim_test

var containersCorpus = []conformanceCase{
	{name: "ping and version", steps: `
		GET /_ping
		HEAD /_ping
		GET /version | ApiVersion MinAPIVersion Os Arch
		GET /info | Driver OSType Swarm.LocalNodeState LiveRestoreEnabled
		GET /nothing
		POST /info
	`},
	{name: "create and inspect", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","Labels":{"x":"y"},"Env":["K=v"]}
		GET /containers/<a>/json | Name Path Args State Image Config.Env Config.Labels Config.Cmd Config.Entrypoint Config.ExposedPorts Config.Image RestartCount Driver Platform Mounts
		GET /containers/<a>/json | keys: keys:State keys:Config keys:NetworkSettings
		GET /containers/<a>/json | HostConfig.NetworkMode HostConfig.RestartPolicy HostConfig.PortBindings HostConfig.Links HostConfig.AutoRemove HostConfig.Privileged HostConfig.ShmSize HostConfig.LogConfig HostConfig.IpcMode
		GET /containers/<a>/json | NetworkSettings.Ports NetworkSettings.Networks.bridge.NetworkID NetworkSettings.IPAddress ResolvConfPath LogPath
		GET /containers/json?all=1&filters={"name":["<a>"]} | [].Names [].Image [].Command [].Ports [].Labels [].State [].Status [].HostConfig [].Mounts
		GET /containers/<a.id>/json | Name
		DELETE /containers/<a>
	`},
	{name: "a name is taken", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"}
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"}
		POST /containers/create?name=/<a> {"Image":"mepc/app:1.0"}
		DELETE /containers/<a>
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | Warnings
	`},
	{name: "bad names", steps: `
		POST /containers/create?name=x {"Image":"mepc/app:1.0"}
		POST /containers/create?name=-bad {"Image":"mepc/app:1.0"}
		POST /containers/create?name=a/b {"Image":"mepc/app:1.0"}
		POST /containers/create?name=<a>*b {"Image":"mepc/app:1.0"}
	`},
	{name: "images that are not there", steps: `
		POST /containers/create {"Image":"nope:1"}
		POST /containers/create {"Image":"nope"}
		POST /containers/create {"Image":"UPPER:1"}
		POST /containers/create {"Image":""}
		POST /containers/create {"Image":"sha256:1234567890123456789012345678901234567890123456789012345678901234"}
		POST /containers/create {"Image":"docker.io/library/nope:2"}
		POST /containers/create?platform=linux/arm64 {"Image":"mepc/app:1.0"}
		GET /images/nope:1/json
		GET /images/nope/json
		GET /images/sha256:1234/json
		GET /images/deadbeef/json
		GET /images/BAD:::1/json
		POST /images/nope:1/tag?repo=<t>&tag=1
		DELETE /images/nope:1
		GET /images/nope:1/history
	`},
	{name: "bad bodies", steps: `
		POST /containers/create {}
		POST /containers/create {bad
		POST /containers/create []
		POST /containers/create {"Image":5}
	`, differs: map[string]string{
		`POST /containers/create []`:          "the message names a Go type of the engine's source",
		`POST /containers/create {"Image":5}`: "the message names a Go type of the engine's source",
	}},
	{name: "bad settings", steps: `
		POST /containers/create {"Image":"mepc/app:1.0","WorkingDir":"rel"}
		POST /containers/create {"Image":"mepc/app:1.0","StopSignal":"SIGNOPE"}
		POST /containers/create {"Image":"mepc/app:1.0","Env":["=x"]}
		POST /containers/create {"Image":"mepc/app:1.0","Healthcheck":{"Test":["CMD","/app"],"Interval":1000}}
		POST /containers/create {"Image":"mepc/app:1.0","Healthcheck":{"Test":["FOO"]}}
		POST /containers/create {"Image":"mepc/app:1.0","Healthcheck":{"Test":["CMD","/app"],"Retries":-1}}
		POST /containers/create {"Image":"mepc/app:1.0","HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}
		POST /containers/create {"Image":"mepc/app:1.0","HostConfig":{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}}
		POST /containers/create {"Image":"mepc/app:1.0","HostConfig":{"RestartPolicy":{"Name":"always"},"AutoRemove":true}}
		POST /containers/create {"Image":"mepc/app:1.0","HostConfig":{"PortBindings":{"8080/tcp":[{"HostPort":"99999"}]}}}
		POST /containers/create {"Image":"mepc/app:1.0","HostConfig":{"PortBindings":{"x/tcp":[{"HostPort":"80"}]}}}
		POST /containers/create {"Image":"mepc/app:1.0","HostConfig":{"Memory":100}}
		POST /containers/create {"Image":"mepc/app:1.0","HostConfig":{"Links":["nope-<x>:db"]}}
		POST /containers/create {"Image":"mepc/app:1.0","NetworkingConfig":{"EndpointsConfig":{"n1":{},"bridge":{}}}} | status
	`},
	{name: "a container's life", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		POST /containers/<a>/start
		GET /containers/<a>/json | State.Status State.Running State.ExitCode State.Error State.FinishedAt NetworkSettings.Ports
		LISTENS <a>
		POST /containers/<a>/start
		GET /containers/json?filters={"name":["<a>"]} | [].State [].Status [].Ports
		DELETE /containers/<a>
		POST /containers/<a>/pause
		POST /containers/<a>/pause
		GET /containers/json?filters={"name":["<a>"]} | [].State [].Status
		POST /containers/<a>/start
		DELETE /containers/<a>
		POST /containers/<a>/unpause
		POST /containers/<a>/unpause
		POST /containers/<a>/stop?t=5
		POST /containers/<a>/stop?t=5
		GET /containers/<a>/json | State.Status State.Running State.Pid State.ExitCode NetworkSettings.IPAddress NetworkSettings.Ports NetworkSettings.Networks.bridge.EndpointID
		GET /containers/json?filters={"name":["<a>"]}
		GET /containers/json?all=1&filters={"name":["<a>"]} | [].State [].Status [].Ports
		POST /containers/<a>/pause
		POST /containers/<a>/unpause
		POST /containers/<a>/kill
		POST /containers/<a>/wait
		POST /containers/<a>/restart?t=5
		GET /containers/<a>/json | State.Status RestartCount
		POST /containers/<a>/kill
		POST /containers/<a>/wait
		GET /containers/<a>/json | State.Status State.ExitCode
		POST /containers/<a>/start
		DELETE /containers/<a>?force=1
		GET /containers/<a>/json
	`},
	{name: "containers that are not there", steps: `
		GET /containers/<no>/json
		POST /containers/<no>/start
		POST /containers/<no>/stop
		POST /containers/<no>/restart
		POST /containers/<no>/kill
		POST /containers/<no>/pause
		POST /containers/<no>/unpause
		POST /containers/<no>/wait
		POST /containers/<no>/rename?name=<x>
		POST /containers/<no>/update {"RestartPolicy":{"Name":"always"}}
		POST /containers/<no>/exec {"Cmd":["/app"]}
		GET /containers/<no>/logs?stdout=1
		GET /containers/<no>/top
		DELETE /containers/<no>
		DELETE /containers/<no>?force=1
		POST /exec/<no>/start {}
		GET /exec/<no>/json
	`},
	{name: "rename", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		POST /containers/create?name=<b> {"Image":"mepc/app:1.0"}
		POST /containers/<a>/rename?name=<b>
		POST /containers/<a>/rename?name=<a>
		POST /containers/<a>/rename?name=
		POST /containers/<a>/rename?name=x
		POST /containers/<a>/rename?name=<c>
		GET /containers/<a>/json
		GET /containers/<c>/json | Name
		POST /containers/<b>/rename?name=<a>
	`},
	{name: "kill with signals", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		POST /containers/<a>/kill
		POST /containers/<a>/start
		LISTENS <a>
		POST /containers/<a>/kill?signal=FOO
		POST /containers/<a>/kill?signal=SIGTERM
		UNTIL /containers/<a>/json State.Status="exited"
		GET /containers/<a>/json | State.ExitCode
		POST /containers/<a>/start
		POST /containers/<a>/kill?signal=9
		UNTIL /containers/<a>/json State.Status="exited"
		GET /containers/<a>/json | State.ExitCode State.Status
	`},
	{name: "a process that ignores SIGTERM is killed", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/stubborn:1.0"} | status
		POST /containers/<a>/start
		LISTENS <a>
		POST /containers/<a>/kill?signal=TERM
		SLEEP 100ms
		GET /containers/<a>/json | State.Status
		POST /containers/<a>/stop?t=1
		GET /containers/<a>/json | State.Status State.ExitCode
	`},
	{name: "a process that exits at once", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/exits:1.0"} | status
		POST /containers/<a>/start
		POST /containers/<a>/wait
		GET /containers/<a>/json | State.Status State.ExitCode State.Running RestartCount
		GET /containers/<a>/logs?stdout=1&stderr=1
		GET /containers/<a>/logs?stdout=1
		GET /containers/<a>/logs
		GET /containers/<a>/logs?stderr=1&tail=0
	`},
	{name: "restart on failure gives up", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/exits:1.0","HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}} | status
		POST /containers/<a>/start
		UNTIL /containers/<a>/json State.Status="exited"
		UNTIL /containers/<a>/json RestartCount=2
		UNTIL /containers/<a>/json State.Status="exited"
		GET /containers/<a>/json | State.ExitCode State.Restarting RestartCount
		GET /containers/<a>/logs?stderr=1
	`},
	{name: "restart always goes on", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/exits:1.0","HostConfig":{"RestartPolicy":{"Name":"always"}}} | status
		POST /containers/<a>/start
		UNTIL /containers/<a>/json RestartCount=3
		UNTIL /containers/<a>/json State.Status="restarting"
		GET /containers/<a>/json | State.Status State.Running State.Restarting State.Pid State.ExitCode
		GET /containers/json?filters={"name":["<a>"]} | [].State
		POST /containers/<a>/start
		POST /containers/<a>/pause
		DELETE /containers/<a>
		POST /containers/<a>/stop
		GET /containers/<a>/json | State.Status State.Running State.Restarting
		DELETE /containers/<a>
	`},
	{name: "auto-remove", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"AutoRemove":true}} | status
		POST /containers/<a>/start
		POST /containers/<a>/stop?t=5
		SLEEP 500ms
		GET /containers/<a>/json
	`},
	{name: "programs that are missing", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","Cmd":["/nope"]} | status
		POST /containers/<a>/start
		GET /containers/<a>/json | State.Status State.ExitCode State.Error State.StartedAt State.Running
		GET /containers/json?all=1&filters={"name":["<a>"]} | [].State [].Status
		DELETE /containers/<a>
		POST /containers/create?name=<b> {"Image":"mepc/app:1.0","Cmd":["nope","-x"]} | status
		POST /containers/<b>/start
		GET /containers/<b>/json | State.ExitCode Path Args
	`},
	{name: "update", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		POST /containers/<a>/update {"RestartPolicy":{"Name":"unless-stopped"}}
		GET /containers/<a>/json | HostConfig.RestartPolicy
		POST /containers/<a>/update {"RestartPolicy":{"Name":"xx"}}
		POST /containers/<a>/update {"Memory":50000000}
		POST /containers/<a>/update {"Memory":50000000,"MemorySwap":100000000}
		GET /containers/<a>/json | HostConfig.Memory HostConfig.MemorySwap
	`},
	{name: "becomes healthy", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/checked:1.0"} | status
		GET /containers/<a>/json | State.Health Config.Healthcheck
		POST /containers/<a>/start
		GET /containers/<a>/json | State.Health.Status State.Health.FailingStreak
		GET /containers/json?filters={"name":["<a>"],"health":["starting"]} | [].Status
		UNTIL /containers/<a>/json State.Health.Status="healthy"
		GET /containers/json?filters={"name":["<a>"],"health":["healthy"]} | [].Status [].State
		GET /containers/json?filters={"name":["<a>"],"health":["unhealthy"]}
		POST /containers/<a>/stop?t=5
		GET /containers/<a>/json | State.Health.Status
	`},
	{name: "never healthy", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/sick:1.0"} | status
		POST /containers/<a>/start
		UNTIL /containers/<a>/json State.Health.Status="unhealthy"
		GET /containers/json?filters={"name":["<a>"]} | [].Status [].State
		FETCH http://<a.ip>:8080/health | status
	`},
	{name: "a health check of the container's own", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","Healthcheck":{"Test":["CMD","/app","-check"],"Interval":150000000,"Retries":1}} | status
		POST /containers/<a>/start
		UNTIL /containers/<a>/json State.Health.Status="healthy"
		POST /containers/create?name=<b> {"Image":"mepc/checked:1.0","Healthcheck":{"Test":["NONE"]}} | status
		POST /containers/<b>/start
		GET /containers/<b>/json | State.Health
		POST /containers/create?name=<c> {"Image":"mepc/checked:1.0","Healthcheck":{"Interval":500000000}} | status
		GET /containers/<c>/json | Config.Healthcheck
	`},
	{name: "filters of containers", steps: `
		POST /containers/create?name=<one> {"Image":"mepc/app:1.0","Labels":{"set":"<s>","n":"1"}} | status
		POST /containers/create?name=<two> {"Image":"mepc/app:1.1","Labels":{"set":"<s>","n":"2"}} | status
		POST /containers/create?name=<twob> {"Image":"mepc/exits:1.0","Labels":{"set":"<s>"}} | status
		POST /containers/<one>/start
		POST /containers/<twob>/start
		POST /containers/<twob>/wait
		GET /containers/json?filters={"label":["set=<s>"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"]} | [].Names [].State
		GET /containers/json?all=1&filters={"label":["set=<s>","n"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>","n=2"]} | [].Names
		GET /containers/json?all=1&filters={"label":{"set=<s>":true}} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"name":["<two>"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"name":["^/<two>$"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"name":["^<two>$"]} | [].Names
		GET /containers/json?filters={"label":["set=<s>"],"status":["exited"]} | [].Names
		GET /containers/json?filters={"label":["set=<s>"],"status":["created","running"]} | [].Names
		GET /containers/json?filters={"label":["set=<s>"],"exited":["1"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"ancestor":["mepc/app:1.1"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"ancestor":["mepc/app:1.0"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"ancestor":["nope"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"before":["<two>"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"since":["<two>"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"expose":["8080"]} | [].Names
		GET /containers/json?limit=1&filters={"label":["set=<s>"]} | [].Names
		GET /containers/json?all=1&filters={"id":["<one.id>"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"health":["none"]} | [].Names
		GET /containers/json?all=1&filters={"label":["set=<s>"],"volume":["x"]}
	`},
	{name: "bad filters", steps: `
		GET /containers/json?filters=bad
		GET /containers/json?filters={"foo":["x"]}
		GET /containers/json?filters={"status":["xx"]}
		GET /containers/json?filters={"health":["xx"]}
		GET /containers/json?filters={"exited":["x"]}
		GET /containers/json?filters={"is-task":["x"]}
		GET /containers/json?filters={"before":["<no>"]}
		GET /containers/json?filters={"publish":["x/y"]}
		GET /containers/json?filters={"name":"x"}
		GET /containers/json?limit=x
		GET /images/json?filters={"foo":["x"]}
		GET /images/json?filters={"dangling":["xx"]}
		GET /images/json?filters={"reference":["["]}
		GET /images/json?filters={"before":["zz"]}
		GET /networks?filters={"foo":["x"]}
		GET /networks?filters={"type":["x"]}
		GET /volumes?filters={"foo":["x"]}
	`},
}
