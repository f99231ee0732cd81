package sim_test

var networksCorpus = []conformanceCase{
	{name: "a container answers", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0"} | status
		FETCH http://<a.ip>:8080/ | status
		POST /containers/<a>/start
		LISTENS <a>
		FETCH http://<a.ip>:8080/ | status
		FETCH http://<a.ip>:8081/ | status
		POST /containers/<a>/stop?t=5
		FETCH http://<a.ip>:8080/ | status
	`},
	{name: "a container that needs time refuses first", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/slow:1.0"} | status
		POST /containers/<a>/start
		FETCH http://<a.ip>:8080/ | status
		LISTENS <a>
		FETCH http://<a.ip>:8080/ | status
	`},
	{name: "published ports", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"PortBindings":{"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":""}]}}} | status
		GET /containers/<a>/json | HostConfig.PortBindings NetworkSettings.Ports
		POST /containers/<a>/start
		GET /containers/<a>/json | HostConfig.PortBindings NetworkSettings.Ports
		GET /containers/json?filters={"name":["<a>"]} | [].Ports
		LISTENS <a>
		FETCH http://127.0.0.1:<a.port>/version | status
		POST /containers/create?name=<b> {"Image":"mepc/app:1.0","HostConfig":{"PortBindings":{"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":"<a.port>"}]}}} | status
		POST /containers/<b>/start
		GET /containers/<b>/json | State.Status State.ExitCode NetworkSettings.IPAddress
		POST /containers/<a>/stop?t=5
		POST /containers/<b>/start
		GET /containers/<b>/json | State.Status State.ExitCode State.Error
	`},
	{name: "all ports published", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"PublishAllPorts":true}} | status
		POST /containers/<a>/start
		GET /containers/<a>/json | NetworkSettings.Ports HostConfig.PublishAllPorts HostConfig.PortBindings
		LISTENS <a>
		FETCH http://127.0.0.1:<a.port>/ | status
	`},
	{name: "links", steps: `
		POST /containers/create?name=<db> {"Image":"mepc/app:1.0"} | status
		POST /containers/create?name=<a> {"Image":"mepc/app:1.1","HostConfig":{"Links":["<db>:db"]}} | status
		POST /containers/<a>/start
		POST /containers/<db>/start
		POST /containers/<a>/start
		GET /containers/<a>/json | HostConfig.Links
		GET /containers/json?filters={"name":["<db>"]} | [].Names
		POST /containers/create?name=<b> {"Image":"mepc/app:1.1","HostConfig":{"Links":["<db>"]}} | status
		GET /containers/<b>/json | HostConfig.Links
		POST /containers/<db>/rename?name=<dbnew>
		GET /containers/<a>/json | HostConfig.Links
		POST /containers/<a>/stop?t=5
		POST /containers/<dbnew>/stop?t=5
		POST /containers/<a>/start
		DELETE /containers/<dbnew>
		GET /containers/<a>/json | HostConfig.Links
		POST /containers/<a>/start
	`},
	{name: "networks", steps: `
		POST /networks/create {"Name":"<n>","Labels":{"a":"b"},"CheckDuplicate":true} | Warning
		POST /networks/create {"Name":"<n>","CheckDuplicate":true}
		GET /networks/<n> | Name Scope Driver EnableIPv6 Internal Attachable Ingress Containers Options Labels IPAM.Driver keys:
		GET /networks?filters={"name":["<n>"]} | [].Name [].Driver [].Labels
		GET /networks?filters={"label":["a=b"],"name":["<n>"]} | [].Name
		GET /networks?filters={"type":["builtin"]} | #
		GET /networks/<no>
		DELETE /networks/<no>
		DELETE /networks/bridge
		DELETE /networks/<n>
		GET /networks/<n>
		POST /networks/create {"Name":"bridge"}
		POST /networks/create {"Name":"host"}
		POST /networks/create {"Name":""}
		POST /networks/create {"Name":"<m>","Driver":"nodrv"}
		POST /networks/create {"Name":"<m>","IPAM":{"Config":[{"Subnet":"bad"}]}}
		POST /networks/create {"Name":"<m>","IPAM":{"Config":[{"Subnet":"10.99.0.0/24","Gateway":"10.99.0.1"}]}} | Warning
		POST /networks/create {"Name":"<o>","IPAM":{"Config":[{"Subnet":"10.99.0.0/25"}]}}
		GET /networks/<m> | IPAM
		DELETE /networks/<m>
	`},
	{name: "a container in a network", steps: `
		POST /networks/create {"Name":"<n>"} | Warning
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"<n>"},"NetworkingConfig":{"EndpointsConfig":{"<n>":{"Aliases":["web","api"]}}}} | status
		GET /containers/<a>/json | NetworkSettings.Networks.*.Aliases NetworkSettings.Networks.*.NetworkID NetworkSettings.Networks.*.IPAddress
		POST /containers/<a>/start
		GET /containers/<a>/json | HostConfig.NetworkMode NetworkSettings.IPAddress NetworkSettings.Networks.*.Aliases
		GET /networks/<n> | Containers.*.Name
		DELETE /networks/<n>
		LISTENS <a>
		FETCH http://<a.ip>:8080/ | status
		GET /containers/json?filters={"network":["<n>"]} | [].Names [].NetworkSettings.Networks.*.Aliases
		POST /networks/<n>/connect {"Container":"<a>"}
		POST /networks/bridge/connect {"Container":"<a>","EndpointConfig":{"Aliases":["zed"]}}
		POST /networks/bridge/connect {"Container":"<a>"}
		GET /containers/<a>/json | keys:NetworkSettings.Networks.bridge NetworkSettings.Networks.bridge.Aliases
		POST /networks/bridge/disconnect {"Container":"<a>"}
		POST /networks/bridge/disconnect {"Container":"<a>"}
		POST /networks/none/connect {"Container":"<a>"}
		POST /networks/host/connect {"Container":"<a>"}
		POST /networks/<no>/connect {"Container":"<a>"}
		POST /networks/<n>/connect {"Container":"<no>"}
		POST /networks/<no>/disconnect {"Container":"<a>"}
		POST /networks/<n>/disconnect {"Container":"<no>","Force":true}
		POST /containers/<a>/stop?t=5
		DELETE /networks/<n>
		POST /containers/<a>/start
	`},
	{name: "a network that is not there", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"<no>"}} | status
		POST /containers/<a>/start
		GET /containers/<a>/json | State.Status State.ExitCode State.Error
	`},
	{name: "addresses that are asked for", steps: `
		POST /networks/create {"Name":"<n>"} | status
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"<n>"},"NetworkingConfig":{"EndpointsConfig":{"<n>":{"IPAMConfig":{"IPv4Address":"10.1.1.1"}}}}} | status
		POST /containers/<a>/start
		DELETE /containers/<a>
		DELETE /networks/<n>
		POST /networks/create {"Name":"<m>","IPAM":{"Config":[{"Subnet":"10.98.0.0/24"}]}} | status
		POST /containers/create?name=<b> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"<m>"},"NetworkingConfig":{"EndpointsConfig":{"<m>":{"IPAMConfig":{"IPv4Address":"10.98.0.9"}}}}} | status
		POST /containers/<b>/start
		GET /containers/<b>/json | NetworkSettings.Networks.*.IPAddress NetworkSettings.Networks.*.IPAMConfig NetworkSettings.Networks.*.Gateway
		DELETE /containers/<b>?force=1
		DELETE /networks/<m>
	`},
	{name: "other network modes", steps: `
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"none"}} | status
		POST /containers/<a>/start
		GET /containers/<a>/json | NetworkSettings.Ports NetworkSettings.IPAddress NetworkSettings.Networks.none.IPAddress
		POST /containers/create?name=<b> {"Image":"mepc/app:1.0"} | status
		POST /containers/create?name=<c> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"container:<b>"}} | status
		POST /containers/<c>/start
		GET /containers/<c>/json | State.Status NetworkSettings.Networks
	`},
	{name: "an address is free again after a stop", steps: `
		POST /networks/create {"Name":"<n>"} | status
		POST /containers/create?name=<a> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"<n>"}} | status
		POST /containers/create?name=<b> {"Image":"mepc/app:1.0","HostConfig":{"NetworkMode":"<n>"}} | status
		POST /containers/<a>/start
		GET /containers/<a>/json | NetworkSettings.Networks.*.IPAddress
		POST /containers/<a>/stop?t=5
		POST /containers/<b>/start
		GET /containers/<b>/json | NetworkSettings.Networks.*.IPAddress
		POST /containers/<a>/start
		GET /containers/<a>/json | NetworkSettings.Networks.*.IPAddress
		DELETE /containers/<a>?force=1
		DELETE /containers/<b>?force=1
		DELETE /networks/<n>
	`},
}
