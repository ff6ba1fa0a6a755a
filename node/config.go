package node

import (
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
)

// Config says how a node runs. A field with a toml key is one key of
// config.toml, one flag and one SHOAL_* variable; Load reads them and Options
// documents them. The others are for programs that embed a node. The zero value
// of every field but Dir works.
type Config struct {
	Dir       string   `toml:"-"`                    // identity, index, kept pieces and api.sock; required
	Listen    []string `toml:"listen,omitempty"`     // multiaddrs; TCP and QUIC on 7461 if empty, with a fall-back to a remembered free port
	Address   []string `toml:"address,omitempty"`    // multiaddrs by which others dial this node too, such as a reverse proxy's
	TLSCert   string   `toml:"tls-cert,omitempty"`   // file with the certificate, and those between it and the root, as PEM, for listening on /tls/ws
	TLSKey    string   `toml:"tls-key,omitempty"`    // file with its key
	Bootstrap []string `toml:"bootstrap,omitempty"`  // multiaddrs with /p2p/ID of nodes to join through
	MDNS      Switch   `toml:"mdns,omitempty"`       // find nodes on the LAN; on if empty
	PortMap   Switch   `toml:"portmap,omitempty"`    // ask the router for a port by UPnP or NAT-PMP; on if empty
	Origins   []string `toml:"origin,omitempty"`     // URLs that hold what is fetched
	CA        string   `toml:"ca,omitempty"`         // file of root certificates to trust beside the system's; none if empty
	Upload    string   `toml:"upload,omitempty"`     // rate as typed, see ParseRate; 10Mbit/s on WAN with the LAN exempt if empty
	Download  string   `toml:"download,omitempty"`   // rate as typed; unlimited if empty
	LAN       []string `toml:"lan,omitempty"`        // CIDRs that count as LAN beside the interfaces' own subnets
	StoreMax  string   `toml:"store-max,omitempty"`  // bytes kept for readers, as typed, see ParseSize; a tenth of the free disk and at most 50 GB if empty
	Announce  string   `toml:"announce,omitempty"`   // "roots", "files" or "pieces"; roots if empty
	Relay     bool     `toml:"relay,omitempty"`      // public and willing to relay
	RelayData string   `toml:"relay-data,omitempty"` // as typed, see ParseSize: what two peers may send each other over this relay in an hour; 256MiB if empty
	RelayDay  string   `toml:"relay-day,omitempty"`  // the same of all peers in a day; 10GiB if empty
	PunchHard Switch   `toml:"punch-hard,omitempty"` // search for the port of a router that changes it; off if empty
	Cache     bool     `toml:"cache,omitempty"`      // fetch what peers look for and is not here, in a private swarm or within From
	From      []string `toml:"from,omitempty"`       // publishers whose manifests a cache fetches by; any member's wish if empty, in a private swarm
	Prefetch  []string `toml:"prefetch,omitempty"`   // manifests, files or URLs, whose newest version a cache fetches
	Create    string   `toml:"create,omitempty"`     // name of a private swarm to make, unless the directory is in it already
	Join      string   `toml:"join,omitempty"`       // invite to a private swarm, a secret
	Authority string   `toml:"authority,omitempty"`  // file of a private swarm's own key; authority.key in Dir if empty
	LogLevel  string   `toml:"log-level,omitempty"`  // debug, info, warn, error; warn if empty

	more []libp2p.Option `toml:"-"` // of the host, for what else of the node needs it

	Offline bool         `toml:"-"` // no network at all: index, hash and verify only
	Version string       `toml:"-"` // shown in status and to peers
	Log     *slog.Logger `toml:"-"` // discarded if nil
	// Announced, if not nil, is told what it took to announce files or pieces. It is
	// called from one goroutine and must not block.
	Announced   func(AnnounceStatus) `toml:"-"`
	DialTimeout time.Duration        `toml:"-"` // of one connection attempt to a provider; 5s if zero
}

// Switch is "on" or "off"; empty means the default of its field.
type Switch string

// Off reports whether s is switched off.
func (s Switch) Off() bool { return s == "off" }

// FetchOptions tell how a root is fetched.
type FetchOptions struct {
	Output       string   // absolute target path; "" keeps the pieces in the node's directory
	Name         string   // of the content, if known; shown and remembered
	Using        []string // files and directories where pieces are looked for before any is fetched
	Update       bool     // an older version may stand at Output; it is replaced when the new one is whole
	Origins      []string // beside Config.Origins and those of the target
	Headers      []string // "Key: Value" for the named origins
	CA           string   // root certificates as PEM, for origins beside those of the system and Config.CA
	Peers        []string // multiaddrs with /p2p/ID to ask directly
	Bootstrap    []string // joined before looking
	Class        policy.Class
	OriginAfter  time.Duration // how long peers get before the origin; class default if zero
	OriginBelow  float64       // bytes/s: while peers deliver less, the origin helps; class default if zero
	OriginCopies float64       // of the content, at most so many from origins in any hour; no cap if zero
	Timeout      time.Duration // no useful byte for so long: give up; 2m if zero
	Deadline     time.Duration // in total; none if zero

	From       []string // publishers: of Resolve, who must have signed the manifest
	Unverified bool     // take what nobody vouches for
	Signed     *Signed  // of Resolve: who vouches for the target
	URL        string   // of Resolve: read this whole, for the target has no root

	pin    bool   // keep what is fetched; of Node.Pin
	whole  string // a file of the content, nobody else's, that may become the output
	cached bool   // fetch it for others, as long as there is room; of a cache

	// Progress, if not nil, is called from one goroutine, at most every 100 ms
	// and on each change of Progress.Waiting; it must not block. With Terse it is
	// called on these changes alone: each call wakes a process.
	Progress func(Progress) `json:"-"`
	Terse    bool
}
