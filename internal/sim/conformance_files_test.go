package sim_test

var filesCorpus = []conformanceCase{
	{name: "files in and out", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		PUTTAR /containers/<a>/archive?path=/ conf/a.conf=hello
		GETTAR /containers/<a>/archive?path=/conf/a.conf
		STAT /containers/<a>/archive?path=/conf/a.conf
		PUTTAR /containers/<a>/archive?path=/conf a.conf=other b.conf=\xff\x00\xfe
		GETTAR /containers/<a>/archive?path=/conf/a.conf
		GETTAR /containers/<a>/archive?path=/conf/b.conf
		POST /containers/<a>/start
		GETTAR /containers/<a>/archive?path=/conf/b.conf
		PUTTAR /containers/<a>/archive?path=/conf run.conf=1
		GETTAR /containers/<a>/archive?path=/conf/run.conf
		PUTTAR /containers/<no>/archive?path=/ x=1
		GETTAR /containers/<no>/archive?path=/x
		GETTAR /containers/<a>/archive?path=
		PUTTAR /containers/<a>/archive?path= x=1
		PUTTAR /containers/<a>/archive?path=/conf/a.conf x=1
		PUT /containers/<a>/archive?path=/conf garbage-that-is-no-tar | status
		POST /containers/<a>/stop?t=5
		GETTAR /containers/<a>/archive?path=/conf/run.conf
	`},
	{name: "files that are not there", steps: `
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL case=<t>\nCMD ["/f"] | status
		POST /containers/create?name=<a> {"Image":"<t>:1"} | status
		GETTAR /containers/<a>/archive?path=/nope
		STAT /containers/<a>/archive?path=/nope
		GETTAR /containers/<a>/archive?path=/etc/nope
		PUTTAR /containers/<a>/archive?path=/nope x=1
		PUTTAR /containers/<a>/archive?path=/f x=1
		PUTTAR /containers/<a>/archive?path=/etc x=1
		GETTAR /containers/<a>/archive?path=/etc/x
		DELETE /containers/<a>
		POST /containers/create?name=<b> {"Image":"<t>:1","HostConfig":{"ReadonlyRootfs":true}} | status
		PUTTAR /containers/<b>/archive?path=/ x=1
		DELETE /containers/<b>
		DELETE /images/<t>:1 | [].Untagged
	`},
	{name: "commit", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","Env":["A=1"],"Labels":{"l":"m"}} | status
		POST /commit?container=<a>&repo=<t>&tag=1&comment=why&author=me&changes=CMD~["/app","-check"]&changes=ENV~B=2&changes=LABEL~n=o&changes=EXPOSE~99/udp | status
		GET /images/<t>:1/json | RepoTags Config.Cmd Config.Env Config.Labels Config.ExposedPorts Config.Entrypoint Config.User Config.WorkingDir
		POST /commit?container=<a>&repo=<t> | status
		GET /images/<t>:latest/json | RepoTags Config.Cmd
		POST /commit?container=<no>&repo=<t>
		POST /commit?container=<a>&repo=BAD
		POST /commit?container=<a>&repo=<t>&tag=-bad
		POST /commit?container=<a>&repo=<t>&tag=2&changes=RUN~x
		POST /commit?container=<a>&repo=<t>&tag=2&changes=NOPE~x
		POST /containers/<a>/start
		POST /commit?container=<a>&repo=<t>&tag=3 | status
		GET /containers/<a>/json | State.Status
		POST /containers/create?name=<b> {"Image":"<t>:1"} | status
		GET /containers/<b>/json | Path Args Config.Labels
		DELETE /containers/<b>
		DELETE /containers/<a>?force=1
		DELETE /images/<t>:1 | [].Untagged
		DELETE /images/<t>:3 | [].Untagged
		DELETE /images/<t>:latest | [].Untagged
	`},
	{name: "volumes that come with a container", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"Binds":["<v>:/data"],"Mounts":[{"Type":"volume","Source":"<w>","Target":"/w"}]}} | status
		GET /volumes/<v> | Name Driver Labels Options Scope
		GET /volumes/<w> | Name
		POST /volumes/create {"Name":"<x>","Labels":{"prune":"<p>"},"DriverOpts":{"type":"tmpfs","device":"tmpfs","o":"size=1m"}} | Options Labels
		POST /volumes/create {"Name":"<x>"} | Options Labels
		POST /volumes/create {"Name":"<y>","Labels":{"prune":"<p>"}} | Options Labels
		POST /volumes/prune?filters={"label":["prune=<p>"]} | VolumesDeleted
		POST /volumes/prune?filters={"label":["prune=<p>"]}
		POST /volumes/prune?filters={"foo":["x"]}
		GET /volumes/<x> | Options
		GET /volumes/<y>
		DELETE /volumes/<x>
		GET /volumes?filters={"name":["<v>"],"dangling":["true"]} | Volumes
		DELETE /containers/<a>?v=1
		GET /volumes?filters={"name":["<v>"],"dangling":["true"]} | Volumes.#
		DELETE /volumes/<v>
		DELETE /volumes/<w>
	`},
	{name: "top", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		GET /containers/<a>/top
		POST /containers/<a>/start
		GET /containers/<a>/top | Titles Processes.#
		POST /containers/<a>/pause
		GET /containers/<a>/top | Titles
		POST /containers/<a>/unpause
	`},
	{name: "exec with settings", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		POST /containers/<a>/start
		LISTENS <a>
		POST /containers/<a>/exec {"Cmd":["/app","-check"],"AttachStdout":true,"AttachStderr":true,"Env":["A=b"],"WorkingDir":"/","User":"0"} | status
		POST /exec/<last>/start {}
		GET /exec/<last>/json | Running ExitCode
		POST /containers/<a>/exec {"Cmd":["/app","-check"],"AttachStdout":true,"Tty":true} | status
		POST /exec/<last>/start {"Tty":true}
		POST /containers/<a>/stop?t=5
		POST /exec/<last>/start {"Tty":true}
		POST /containers/<a>/exec {"Cmd":["/app","-check"]}
	`},
	{name: "pushes that fail", steps: `
		POST /images/<no>/push?tag=1
		POST /images/<no>/push
	`},
}
