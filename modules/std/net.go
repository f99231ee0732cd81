package std

import (
	"github.com/mepc/mepc-run/internal/address"
	"github.com/mepc/mepc-run/runtime"
)

// net is the module of addresses.
func (s *Std) net() runtime.Module {
	return runtime.Module{
		Name: "net", Doc: "Addresses of servers, read and written as the guards of mepc-run do. Nothing here asks a server.", Self: s,
		Funcs: []runtime.Func{
			{
				Name: "parse",
				Doc: "Reads an address: HOST, HOST:PORT or SCHEME://HOST:PORT/PATH. HOST is a name, an IPv4 address, or an IPv6 address with or without brackets. " +
					"Equal hosts have one form: no brackets, lower case, IPv6 as short as it can be.",
				Returns: "its parts, or nil when it is not an address",
				Example: `local a = net.parse("http://[0:0::1]:8080/health")
assert(a.host == "::1" and a.port == 8080 and a.kind == "ip6" and net.parse("http://") == nil)`,
				Call: runtime.Inline((*Std).parseAddress),
			},
			{
				Name: "join", Doc: "Writes a host and a port as they stand in a URL: an IPv6 address gets brackets.", Returns: "host:port",
				Example: `assert(net.join("::1", 8080) == "[::1]:8080")`,
				Call:    runtime.Inline((*Std).joinAddress),
			},
		},
	}
}

type parseAddressArgs struct {
	Text string `lua:"text,pos,required" doc:"the address"`
}

// parts are what an address is made of.
type parts struct {
	Scheme string `lua:"scheme" doc:"such as http; empty when there is none"`
	Host   string `lua:"host" doc:"the name or the address"`
	Kind   string `lua:"kind" doc:"what the host is: ip4, ip6 or name"`
	Port   int    `lua:"port" doc:"the port, or that of the scheme; 0 when there is neither"`
	Path   string `lua:"path" doc:"the path of a URL"`
}

func (s *Std) parseAddress(_ *runtime.Call, a *parseAddressArgs) (*parts, error) {
	got, ok := address.Parse(a.Text)
	if !ok {
		return nil, nil
	}
	return &parts{Scheme: got.Scheme, Host: got.Host, Kind: got.Kind, Port: got.Port, Path: got.Path}, nil
}

type joinAddressArgs struct {
	Host string `lua:"host,pos,required" doc:"a name or an address"`
	Port int    `lua:"port,pos,required" min:"1" max:"65535" doc:"the port"`
}

func (s *Std) joinAddress(_ *runtime.Call, a *joinAddressArgs) (string, error) {
	return address.Join(a.Host, a.Port), nil
}
