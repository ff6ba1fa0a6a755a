package node

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Option documents one field of Config that a user can set: Key in config.toml,
// --Key as a flag, Env as a variable.
type Option struct {
	Key     string
	Arg     string // what a value looks like; "" for a plain switch such as --relay
	List    bool   // may be given many times; comma-separated in Env
	Default string // in words, for people
	Usage   string
}

// Env is the environment variable of o, SHOAL_LOG_LEVEL for log-level.
func (o Option) Env() string {
	return "SHOAL_" + strings.ToUpper(strings.ReplaceAll(o.Key, "-", "_"))
}

// Options lists what a user can set, in the order of Config.
// TestOneFieldOneOption holds the two together.
func Options() []Option {
	return []Option{
		{"listen", "MULTIADDR", true, "TCP and QUIC on port 7461, or a free one", "listen here"},
		{"address", "MULTIADDR", true, "those of --listen", "others dial this too, such as /dns4/NAME/tcp/443/tls/ws"},
		{"tls-cert", "FILE", false, "none", "certificate (PEM) for listening on /tls/ws"},
		{"tls-key", "FILE", false, "none", "its key"},
		{"bootstrap", "MULTIADDR", true, "none", "join through this node, an address ending in /p2p/ID"},
		{"mdns", "on|off", false, "on", "find nodes on the LAN"},
		{"portmap", "on|off", false, "on", "ask the router for a port by UPnP or NAT-PMP"},
		{"origin", "URL", true, "none", "an HTTP server with the content, or a trustless IPFS gateway"},
		{"ca", "FILE", false, "none", "trust these root certificates (PEM) too"},
		{"upload", "RATE", false, "10Mbit/s on WAN, LAN exempt", "such as 20Mbit/s (every path), off or unlimited"},
		{"download", "RATE", false, "unlimited", "such as 20Mbit/s (every path), off or unlimited"},
		{"lan", "CIDR", true, "the interfaces' own subnets, VPNs left out", "counts as LAN too, such as a VPN"},
		{"store-max", "SIZE", false, "10% of the free disk, at most 50GB", "keep at most so much of what was only read, such as 20GB, off or unlimited"},
		{"announce", "roots|files|pieces", false, "roots", "what is announced in the DHT"},
		{"relay", "", false, "off", "run as a public node that relays for others"},
		{"relay-data", "SIZE", false, "256MiB", "relayed for two peers in an hour at most, or off"},
		{"relay-day", "SIZE", false, "10GiB", "relayed in a day at most"},
		{"punch-hard", "on|off", false, "off", "search for a changing router port"},
		{"cache", "", false, "off", "fetch what peers look for: needs a private swarm or --from"},
		{"from", "PUBKEY", true, "none", "by the manifests of this publisher"},
		{"prefetch", "X.shoal", true, "none", "file or URL whose newest version a cache keeps"},
		{"create", "NAME", false, "none", "make the private swarm NAME, this node its first member"},
		{"join", "INVITE", false, "none", "join a private swarm; - reads the invite from standard input"},
		{"authority", "FILE", false, "DIR/authority.key", "the private swarm's own key"},
		{"log-level", "LEVEL", false, "warn", "debug, info, warn or error: what is logged on stderr"},
	}
}

// configField is the field of c that option key sets.
func configField(c *Config, key string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ","); name == key && name != "-" {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// setField sets the field of key from values as typed.
func setField(c *Config, o Option, values []string) error {
	f := configField(c, o.Key)
	switch {
	case o.List:
		f.Set(reflect.ValueOf(append([]string(nil), values...)))
	case f.Kind() == reflect.Bool:
		on, err := parseBool(values[len(values)-1])
		if err != nil {
			return err
		}
		f.SetBool(on)
	default:
		f.SetString(values[len(values)-1])
	}
	return nil
}

// showField is the value of key as typed, lists comma-separated.
func showField(c *Config, o Option) string {
	f := configField(c, o.Key)
	if o.Key == "join" && len(f.String()) > 1 {
		return "(secret)"
	}
	switch f.Kind() {
	case reflect.Slice:
		list, _ := f.Interface().([]string)
		return strings.Join(list, ",")
	case reflect.Bool:
		if f.Bool() {
			return "on"
		}
		return "off"
	default:
		return f.String()
	}
}

func parseBool(s string) (bool, error) {
	switch s {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	on, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%q is neither on nor off", s)
	}
	return on, nil
}
