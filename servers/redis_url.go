package servers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
)

// RedisForms is how a Redis is named, for the documentation and for errors.
//
// Special characters in a password are percent-encoded ("@" is %40, "/" is
// %2F). The rediss forms speak TLS; their query takes ca, cert and key (files),
// server_name, and insecure=true, which takes any certificate. Sentinels get
// sentinel_user and sentinel_password of their own.
const RedisForms = `redis://[user:password@]host[:6379][/db]                      one server
rediss://[user:password@]host[:6379][/db][?ca=ca.pem]         the same over TLS
unix://[user:password@]/path/to/redis.sock[?db=1]             one server on this machine
redis-sentinel://[user:password@]host[:26379],.../master[?db=1]  the master that sentinels name
redis-cluster://[user:password@]host[:6379],...               a cluster
rediss-sentinel://, rediss-cluster://                         these over TLS`

// redisKind is what stands behind a Redis URL.
type redisKind int

const (
	redisServer redisKind = iota
	redisSentinel
	redisCluster
)

var redisSchemes = map[string]struct {
	kind redisKind
	tls  bool
	port string
}{
	"redis": {redisServer, false, "6379"}, "rediss": {redisServer, true, "6379"},
	"unix":           {redisServer, false, ""},
	"redis-sentinel": {redisSentinel, false, "26379"}, "rediss-sentinel": {redisSentinel, true, "26379"},
	"redis-cluster": {redisCluster, false, "6379"}, "rediss-cluster": {redisCluster, true, "6379"},
}

// redisTarget is a Redis URL taken apart.
type redisTarget struct {
	buffer             int // bytes that a connection reads and writes at once; 0: what go-redis takes
	kind               redisKind
	scheme             string
	addrs              []string // host:port, or one path
	master             string   // of sentinels
	db                 int
	user, password     string
	sentinelUser       string
	sentinelPassword   string
	tls                bool
	ca, cert, key      string
	serverName         string
	insecureSkipVerify bool
}

// parseRedisURL takes text apart. No error repeats the URL: it may hold a
// password, and a mistyped one may hold it anywhere.
func parseRedisURL(text string) (*redisTarget, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	form, known := redisSchemes[scheme]
	if !ok || !known {
		return nil, badRedisURL("it begins with none of redis://, rediss://, unix://, redis-sentinel://, redis-cluster://")
	}
	// Several hosts are more than url.Parse takes: it gets the first one.
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	login, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		login, hosts = authority[:i+1], authority[i+1:]
	}
	first, more, _ := strings.Cut(hosts, ",")
	u, err := url.Parse(scheme + "://" + login + first + tail)
	if err != nil || strings.ContainsRune(tail, '@') && login == "" {
		return nil, badRedisURL(`it is malformed; "@", "/", ":", "?" and "#" in a password are written %40, %2F, %3A, %3F and %23`)
	}
	if u.Fragment != "" {
		return nil, badRedisURL(`it has a "#"; in a password that is written %23`)
	}
	t := &redisTarget{kind: form.kind, scheme: scheme, tls: form.tls}
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
	}
	if scheme == "unix" {
		err = t.socket(u)
	} else {
		err = t.network(first, more, form.port, u)
	}
	if err == nil {
		err = t.query(u.RawQuery)
	}
	if err != nil {
		return nil, badRedisURL(err.Error())
	}
	return t, nil
}

func badRedisURL(why string) error {
	return failure.New(failure.Invalid, "the Redis URL cannot be used: %s", why).
		WithHint("these are known:\n%s", RedisForms)
}

func (t *redisTarget) socket(u *url.URL) error {
	if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
		return errors.New("a socket is an absolute path, with three slashes: unix:///run/redis.sock")
	}
	if hasControl(u.Path) {
		return errors.New("the socket's path has control characters")
	}
	t.addrs = []string{u.Path}
	return nil
}

func (t *redisTarget) network(first, more, port string, u *url.URL) error {
	hosts := []string{first}
	if more != "" {
		hosts = append(hosts, strings.Split(more, ",")...)
	}
	if len(hosts) > 1 && t.kind == redisServer {
		return fmt.Errorf("%s:// takes one host; several are redis-sentinel:// or redis-cluster://", t.scheme)
	}
	for _, h := range hosts {
		addr, err := withPort(h, port)
		if err != nil {
			return err
		}
		t.addrs = append(t.addrs, addr)
	}
	path := strings.Trim(u.Path, "/")
	switch {
	case t.kind == redisSentinel:
		if path == "" || strings.Contains(path, "/") || hasControl(path) {
			return errors.New("the master's name is missing: redis-sentinel://host:26379/mymaster")
		}
		t.master = path
	case path != "" && t.kind == redisCluster:
		return errors.New("a cluster has only database 0")
	case path != "":
		return t.database(path)
	}
	return nil
}

// withPort returns host as host:port.
func withPort(host, port string) (string, error) {
	name, p := host, port
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, p = host[:i], host[i+1:]
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	colons := strings.Contains(bare, ":") && (bare == name || net.ParseIP(bare) == nil)
	if name = bare; name == "" {
		return "", errors.New("a host is missing")
	}
	if strings.ContainsAny(name, " %[]@") || hasControl(name) || colons {
		return "", errors.New("a host is malformed (an IPv6 address is written in brackets)")
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
		return "", errors.New("a port is not a number from 1 to 65535")
	}
	return net.JoinHostPort(name, p), nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func (t *redisTarget) database(text string) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return errors.New("the database is not a number")
	}
	t.db = int(n)
	return nil
}

// query reads the options after the question mark.
func (t *redisTarget) query(raw string) error {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return errors.New("its options, after the question mark, are malformed")
	}
	if q.Has("db") {
		if t.kind == redisCluster {
			return errors.New("a cluster has only database 0")
		}
		if err := t.database(q.Get("db")); err != nil {
			return err
		}
	}
	known := []string{"db"}
	if t.tls {
		known = append(known, "ca", "cert", "key", "server_name", "insecure")
		t.ca, t.cert, t.key, t.serverName = q.Get("ca"), q.Get("cert"), q.Get("key"), q.Get("server_name")
		if t.insecureSkipVerify, err = truth(q.Get("insecure")); err != nil {
			return err
		}
		if (t.cert == "") != (t.key == "") {
			return errors.New("cert and key belong together")
		}
	}
	if t.kind == redisSentinel {
		known = append(known, "sentinel_user", "sentinel_password")
		t.sentinelUser, t.sentinelPassword = q.Get("sentinel_user"), q.Get("sentinel_password")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			// The name is not repeated: half of a password with a "?" looks like one.
			return fmt.Errorf("it has an option that %s:// does not take; known are %s", t.scheme, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return fmt.Errorf("%s is given twice", name)
		}
	}
	return nil
}

func truth(s string) (bool, error) {
	switch s {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, errors.New("insecure is true or false")
}

// endpoint names the Redis for people: no password, no options.
func (t *redisTarget) endpoint() string {
	s := t.scheme + "://" + strings.Join(t.addrs, ",")
	switch {
	case t.scheme == "unix" && t.db != 0:
		return s + "?db=" + strconv.Itoa(t.db)
	case t.kind == redisSentinel:
		s += "/" + t.master
		if t.db != 0 {
			s += "?db=" + strconv.Itoa(t.db)
		}
	case t.db != 0:
		s += "/" + strconv.Itoa(t.db)
	}
	return s
}

// tlsConfig reads the certificate files. The server's name is set when a
// connection is made: it depends on the address.
func (t *redisTarget) tlsConfig() (*tls.Config, error) {
	if !t.tls {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.serverName, InsecureSkipVerify: t.insecureSkipVerify}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, failure.Wrap(failure.Invalid, err, "read the CA of the Redis URL")
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, failure.New(failure.Invalid, "%s holds no certificate", t.ca)
		}
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, failure.Wrap(failure.Invalid, err, "read the certificate of the Redis URL")
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}
