package sim_test

var imagesCorpus = []conformanceCase{
	{name: "image inspect and history", steps: `
		GET /images/mepc/app:1.0/json | RepoTags RepoDigests Config.Cmd Config.Env Config.Labels Config.ExposedPorts Architecture Os RootFS.Type Author Comment
		GET /images/mepc/app:1.0/json | keys:Config keys:RootFS keys:Metadata
		GET /images/json?filters={"reference":["mepc/app:1.0"]} | [].RepoTags [].RepoDigests [].Containers [].SharedSize [].Labels
		GET /images/json?filters={"reference":["mepc/app:9"]}
		GET /images/json?filters={"reference":["app"]}
		GET /images/json?filters={"label":["org.opencontainers.image.version=1.1"],"reference":["mepc/app"]} | [].RepoTags
	`},
	{name: "tags", steps: `
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL case=<t> | status
		POST /images/<t>:1/tag?repo=<t>&tag=2
		POST /images/<t>:1/tag?repo=<t>
		POST /images/<t>:1/tag?repo=<u>&tag=1
		GET /images/<t>:2/json | RepoTags
		GET /images/json?filters={"label":["case=<t>"]} | [].RepoTags
		POST /images/<t>:1/tag?repo=BAD&tag=v1
		POST /images/<t>:1/tag?repo=<t>&tag=-bad
		DELETE /images/<t>:2
		DELETE /images/<t>:2
		DELETE /images/<t.image>
		DELETE /images/<t>
		DELETE /images/<u>:1
		DELETE /images/<t>:1 | [].Untagged
		GET /images/<t>:1/json
	`},
	{name: "images in use", steps: `
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL case=<t> | status
		POST /containers/create?name=<a> {"Image":"<t>:1","Cmd":["/f"]} | status
		DELETE /images/<t>:1
		DELETE /images/<t.image>
		POST /images/<t>:1/tag?repo=<u>&tag=1
		DELETE /images/<t>:1
		GET /containers/json?all=1&filters={"name":["<a>"]} | [].Image
		DELETE /images/<u>:1
		DELETE /images/<u>:1?force=1 | [].Untagged
		GET /containers/json?all=1&filters={"name":["<a>"]} | [].State
		GET /containers/<a>/json | Config.Image Path
		DELETE /containers/<a>
	`},
	{name: "an image of a running container", steps: `
		POST /images/mepc/app:1.1/tag?repo=<t>&tag=1
		POST /containers/create?name=<a> {"Image":"<t>:1"} | status
		POST /containers/<a>/start
		DELETE /images/<t>:1
		GET /containers/json?filters={"name":["<a>"]} | [].Names
		DELETE /containers/<a>?force=1
	`},
	{name: "a tag moves to another image", steps: `
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL case=<t> v=1 | status
		POST /containers/create?name=<a> {"Image":"<t>:1","Cmd":["/f"]} | status
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL case=<t> v=2 | status
		GET /containers/json?all=1&filters={"name":["<a>"]} | [].Image [].ImageID
		GET /containers/<a>/json | Image
		GET /images/<t>:1/json | Config.Labels
		GET /images/json?filters={"label":["case=<t>"],"dangling":["true"]} | [].RepoTags
		DELETE /containers/<a>
		DELETE /images/<t>:1 | [].Untagged
	`},
	{name: "build", steps: `
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL a=b case=<t>\nENV K=v\nCMD ["/f"]
		GET /images/<t>:1/json | Config.Cmd Config.Env Config.Labels Config.Entrypoint RepoTags
		BUILD t=<t>:2&q=1 :: FROM scratch\nCOPY f /f\nLABEL a=b case=<t>\nENV K=v\nCMD ["/f"]
		GET /images/<t>:2/json | RepoTags
		BUILD t=<t>:3 :: FROM scratch\nCOPY dir /dir\nCOPY f dir/* /x/\nLABEL case=<t> | status
		GET /images/<t>:3/json | RootFS.Type
		BUILD t=<t>:4 :: FROM mepc/app:1.0\nHEALTHCHECK --interval=1s --retries=2 CMD ["/app","-check"]\nSTOPSIGNAL SIGINT\nUSER 1000\nWORKDIR /w\nVOLUME /data\nEXPOSE 9090 9091/udp\nENTRYPOINT ["/app"]\nARG Q=1\nENV A=$Q B=2\nLABEL v=$Q "x y"="z w" | status
		GET /images/<t>:4/json | Config.Healthcheck Config.StopSignal Config.User Config.WorkingDir Config.Volumes Config.ExposedPorts Config.Entrypoint Config.Cmd Config.Env Config.Labels
		BUILD t=<t>:5&buildargs={"V":"9"}&labels={"l":"m"} :: FROM scratch\nARG V=1\nLABEL v=$V\nCOPY f /f | status
		GET /images/<t>:5/json | Config.Labels
		BUILD t=<t>:6 :: FROM scratch\n# a comment\nLABEL a=b \\n  c=d\nCMD run it | status
		GET /images/<t>:6/json | Config.Labels Config.Cmd
		BUILD t=<t>:7 :: FROM mepc/app:1.0 AS one\nLABEL s=1\nFROM scratch\nCOPY --from=one /app /app\nLABEL s=2 | status
		GET /images/<t>:7/json | Config.Labels Config.Cmd
	`},
	{name: "builds that fail", steps: `
		BUILD t=<t>:1 :: FRM x
		BUILD t=<t>:1 :: FROM scratch
		BUILD t=<t>:1 :: FROM scratch\nCOPY nofile /
		BUILD t=<t>:1&dockerfile=Nope :: FROM scratch
		BUILD t=BAD :: FROM scratch
		BUILD t=x:y:z :: FROM scratch
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nRUN ["/x"]
		GET /images/<t>:1/json
	`},
	{name: "save and load", steps: `
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nCOPY dir/one /one\nLABEL case=<t>\nCMD ["/f"] | status
		SAVE /images/<t>:1/get
		DELETE /images/<t>:1 | [].Untagged
		GET /images/<t>:1/json
		LOAD whole ?quiet=1
		GET /images/<t>:1/json | RepoTags Config.Cmd Config.Labels
		LOAD whole ?quiet=1
		LOAD gzip ?quiet=1
		LOAD whole | lines:last
		LOAD no-layers ?quiet=1
		POST /containers/create?name=<a> {"Image":"<t>:1"} | status
		DELETE /containers/<a>
		DELETE /images/<t>:1 | [].Untagged
		LOAD whole ?quiet=1
		SAVE /images/<t.image>/get
		LOAD whole ?quiet=1
		SAVE /images/get?names=<t>:1
		SAVE /images/<no>:1/get
		SAVE /images/get?names=<t>:1&names=<no>:1
	`},
	{name: "tars that are broken", steps: `
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL case=<t>\nCMD ["/f"] | status
		SAVE /images/<t>:1/get
		DELETE /images/<t>:1 | [].Untagged
		LOAD half ?quiet=1
		LOAD nothing ?quiet=1
		LOAD garbage ?quiet=1
		LOAD no-manifest ?quiet=1
		LOAD no-config ?quiet=1 | status
		GET /images/<t>:1/json
	`},
	{name: "exec", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		POST /containers/<a>/exec {"Cmd":["/app","-check"],"AttachStdout":true}
		POST /containers/<a>/start
		LISTENS <a>
		POST /containers/<a>/exec {"AttachStdout":true}
		POST /containers/<a>/exec {"Cmd":["/app","-check"],"AttachStdout":true,"AttachStderr":true} | status
		GET /exec/<last>/json | Running ExitCode ProcessConfig OpenStdin OpenStdout OpenStderr
		POST /exec/<last>/start {"Detach":false,"Tty":false}
		GET /exec/<last>/json | Running ExitCode
		POST /exec/<last>/start {"Detach":false,"Tty":false}
		POST /containers/<a>/exec {"Cmd":["/nope"],"AttachStdout":true,"AttachStderr":true} | status
		POST /exec/<last>/start {}
		GET /exec/<last>/json | Running ExitCode
		POST /containers/<a>/exec {"Cmd":["/nope"]} | status
		POST /exec/<last>/start {"Detach":true}
		POST /containers/<a>/pause
		POST /containers/<a>/exec {"Cmd":["/app","-check"]}
		POST /containers/<a>/unpause
	`},
	{name: "events of a container", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		POST /containers/<a>/start
		LISTENS <a>
		POST /containers/<a>/pause
		SLEEP 400ms
		POST /containers/<a>/unpause
		SLEEP 400ms
		POST /containers/<a>/rename?name=<b>
		POST /containers/<b>/stop?t=5
		POST /containers/<b>/start
		POST /containers/<b>/kill
		DELETE /containers/<b>
		EVENTS {"type":["container"]} <a> <b>
	`},
	{name: "volumes", steps: `
		POST /volumes/create {"Name":"<v>","Labels":{"a":"b"}} | Name Driver Labels Scope
		GET /volumes/<v> | Name Driver Labels Scope
		GET /volumes?filters={"name":["<v>"]} | Volumes.#
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"Binds":["<v>:/data","/srv:/t:ro"]}} | status
		GET /containers/<a>/json | Mounts HostConfig.Binds
		DELETE /volumes/<v>
		GET /containers/json?all=1&filters={"volume":["<v>"]} | [].Names
		DELETE /containers/<a>
		DELETE /volumes/<v>
		GET /volumes/<v>
		DELETE /volumes/<v>
		POST /volumes/create {"Name":"-bad"}
	`},
	{name: "prune", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","Labels":{"prune":"<p>"}} | status
		POST /containers/create?name=<b> {"Image":"mepc/app:1.0","Labels":{"prune":"<p>"}} | status
		POST /containers/<b>/start
		POST /containers/prune?filters={"label":["prune=<p>"]}
		GET /containers/<a>/json
		GET /containers/<b>/json | State.Status
		POST /containers/prune?filters={"label":["prune=<p>"]}
		POST /networks/create {"Name":"<n>","Labels":{"prune":"<p>"}} | status
		POST /networks/prune?filters={"label":["prune=<p>"]}
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL prune=<p> v=1 | status
		BUILD t=<t>:1 :: FROM scratch\nCOPY f /f\nLABEL prune=<p> v=2 | status
		POST /images/prune?filters={"label":["prune=<p>"]} | status
		GET /images/json?filters={"label":["prune=<p>"]} | [].RepoTags
		DELETE /images/<t>:1 | [].Untagged
	`},
}
