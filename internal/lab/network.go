package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxLabs is the number of engines that can have a network at one time on one machine.
const maxLabs = 64

// addresses is the address space of one lab's engine.
type addresses struct {
	bridge  string       // the interface in dockerd's --bridge
	gateway netip.Prefix // its own address, with the subnet's length
	pool    netip.Prefix // where user-defined networks get theirs, a /26 each
}

// hardware is the bridge's hardware address, made as Docker makes its own.
func (a addresses) hardware() string {
	ip := a.gateway.Addr().As4()
	return net.HardwareAddr{0x02, 0x42, ip[0], ip[1], ip[2], ip[3]}.String()
}

// addressesAt returns the n-th lab's share, by the second choice of addresses
// when alt is set: some company's routes take all of 10.0.0.0/8.
func addressesAt(n int, alt bool) addresses {
	subnet, pool := [2]byte{10, 213}, [2]byte{10, 214}
	if alt {
		subnet, pool = [2]byte{172, 29}, [2]byte{172, 28}
	}
	return addresses{
		bridge:  "mepc" + strconv.Itoa(n),
		gateway: netip.PrefixFrom(netip.AddrFrom4([4]byte{subnet[0], subnet[1], byte(n), 1}), 24),
		pool:    netip.PrefixFrom(netip.AddrFrom4([4]byte{pool[0], pool[1], byte(4 * n), 0}), 22),
	}
}

// candidates returns the shares that no route covers, first choices first.
func candidates(routes []netip.Prefix) []addresses {
	var free []addresses
	for n := range 2 * maxLabs {
		a := addressesAt(n%maxLabs, n >= maxLabs)
		if !overlapsAny(a.gateway, routes) && !overlapsAny(a.pool, routes) {
			free = append(free, a)
		}
	}
	return free
}

// claimNetwork makes a bridge with addresses that no route of this machine
// covers. Making the interface is the claim: only one lab can succeed with a
// name. The lab's own name goes on it as an alias.
//
// The engine itself runs with iptables off, because its chains (DOCKER,
// DOCKER-USER ...) are the machine's: starting a second dockerd empties those
// of the first, and takes the published ports of the machine's own engine with
// them. Without them the host still reaches containers over the bridge, and
// published ports work through docker-proxy. Two rules of the lab's own let
// containers talk to each other where bridged packets pass the firewall and
// its forward policy is DROP, as on any machine where Docker has run.
func claimNetwork(ctx context.Context, t tools, name string) (addresses, error) {
	routes, err := localRoutes()
	if err != nil {
		return addresses{}, fmt.Errorf("read the machine's routes: %w", err)
	}
	for _, nw := range candidates(routes) {
		// Without a hardware address of its own a bridge takes the lowest of its
		// ports', a new one whenever a container comes or goes; what the other
		// containers send to the host then goes astray for seconds.
		if err := t.run(ctx, "ip", "link", "add", "name", nw.bridge, "address", nw.hardware(), "type", "bridge"); err != nil {
			if _, statErr := os.Stat("/sys/class/net/" + nw.bridge); statErr == nil {
				continue // another lab's
			}
			return addresses{}, fmt.Errorf("make a bridge: %w", err)
		}
		err := errors.Join(
			t.run(ctx, "ip", "link", "set", "dev", nw.bridge, "alias", name),
			t.run(ctx, "ip", "address", "add", nw.gateway.String(), "dev", nw.bridge),
			t.run(ctx, "ip", "link", "set", "dev", nw.bridge, "up"),
		)
		if err != nil {
			return addresses{}, fmt.Errorf("set up bridge %s: %w", nw.bridge, errors.Join(err, releaseNetwork(ctx, t, name)))
		}
		for _, p := range []netip.Prefix{nw.gateway.Masked(), nw.pool} {
			// Where iptables does not work, there is no firewall to open.
			_ = t.run(ctx, "iptables", "-w", "5", "-I", "FORWARD", "-s", p.String(), "-d", p.String(),
				"-m", "comment", "--comment", name, "-j", "ACCEPT")
		}
		return nw, nil
	}
	return addresses{}, fmt.Errorf("all %d networks for labs are taken or routed elsewhere: `ip link` shows the bridges, mepc0 and on", maxLabs)
}

// releaseNetwork removes the lab's bridge, the bridges of user-defined networks
// in its pool, and its firewall rules.
func releaseNetwork(ctx context.Context, t tools, name string) error {
	var errs []error
	aliases, err := filepath.Glob("/sys/class/net/mepc*/ifalias")
	if err != nil {
		return err
	}
	for _, path := range aliases {
		alias, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(alias)) != name {
			continue
		}
		bridge := filepath.Base(filepath.Dir(path))
		for _, dev := range append(poolBridges(bridge), bridge) {
			if err := t.run(ctx, "ip", "link", "delete", "dev", dev); err != nil && linkExists(dev) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, deleteRules(ctx, t, name))...)
}

// poolBridges returns the interfaces named br-<id> that have an address in the
// pool of the lab with that bridge.
func poolBridges(bridge string) []string {
	n, err := strconv.Atoi(strings.TrimPrefix(bridge, "mepc"))
	if err != nil || n < 0 || n >= maxLabs {
		return nil
	}
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var devs []string
	for _, i := range ifaces {
		addrs, err := i.Addrs()
		if err != nil || !strings.HasPrefix(i.Name, "br-") {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && (addressesAt(n, false).pool.Overlaps(p) || addressesAt(n, true).pool.Overlaps(p)) {
				devs = append(devs, i.Name)
				break
			}
		}
	}
	return devs
}

func linkExists(dev string) bool {
	_, err := os.Stat("/sys/class/net/" + dev)
	return !errors.Is(err, fs.ErrNotExist)
}

// deleteRules deletes the firewall rules that carry the lab's comment.
func deleteRules(ctx context.Context, t tools, name string) error {
	rules, err := t.output(ctx, "iptables", "-w", "5", "-S", "FORWARD")
	if err != nil {
		return nil // no iptables, or no right to it: then there are none
	}
	var errs []error
	for line := range strings.Lines(rules) {
		args := strings.Fields(strings.ReplaceAll(line, `"`, ""))
		for i, a := range args {
			if a == "--comment" && i+1 < len(args) && args[i+1] == name && args[0] == "-A" {
				args[0] = "-D"
				errs = append(errs, t.run(ctx, "iptables", append([]string{"-w", "5"}, args...)...))
				break
			}
		}
	}
	return errors.Join(errs...)
}

func overlapsAny(p netip.Prefix, others []netip.Prefix) bool {
	for _, o := range others {
		if p.Overlaps(o) {
			return true
		}
	}
	return false
}

// localRoutes returns the machine's IPv4 routes, the default route left out.
func localRoutes() ([]netip.Prefix, error) {
	b, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, err
	}
	return parseRoutes(b)
}

// parseRoutes reads /proc/net/route: a header, then lines whose second and
// eighth fields are destination and mask, in hexadecimal and host byte order.
func parseRoutes(b []byte) ([]netip.Prefix, error) {
	var routes []netip.Prefix
	lines := bufio.NewScanner(bytes.NewReader(b))
	for first := true; lines.Scan(); first = false {
		fields := strings.Fields(lines.Text())
		if first || len(fields) == 0 {
			continue
		}
		if len(fields) < 8 {
			return nil, fmt.Errorf("route %q: too few fields", lines.Text())
		}
		addr, err1 := littleEndian(fields[1])
		mask, err2 := littleEndian(fields[7])
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("route %q: %w", lines.Text(), err)
		}
		ones, bits := net.IPMask(mask[:]).Size()
		if bits == 0 || ones == 0 {
			continue
		}
		routes = append(routes, netip.PrefixFrom(netip.AddrFrom4(addr), ones).Masked())
	}
	return routes, lines.Err()
}

func littleEndian(s string) (addr [4]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return addr, err
	}
	if len(b) != 4 {
		return addr, fmt.Errorf("%q is not an IPv4 address", s)
	}
	return [4]byte{b[3], b[2], b[1], b[0]}, nil
}
