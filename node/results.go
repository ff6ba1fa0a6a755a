package node

import (
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// Amount is what one kind of source gave.
type Amount struct {
	Bytes int64 `json:"bytes"`
	Peers int   `json:"peers"` // distinct peers, or origins
}

// From splits bytes by where they came from.
type From struct {
	LAN    Amount `json:"lan"`
	WAN    Amount `json:"wan"`
	Relay  Amount `json:"relay"`
	Origin Amount `json:"origin"`
	Disk   Amount `json:"disk"` // was here already, under any root
}

// Progress is the state of a fetch in flight.
type Progress struct {
	CID     string  `json:"cid"`
	Name    string  `json:"name"`
	Size    int64   `json:"size"`  // 0 until the tree is known
	Have    int64   `json:"have"`  // payload bytes verified and written
	Rate    float64 `json:"rate"`  // bytes/s, smoothed
	Peers   int     `json:"peers"` // connected peers of the root
	From    From    `json:"from"`
	Waiting string  `json:"waiting,omitempty"` // why nothing moves, in words; "" while it does
}

// Result is a finished fetch; its JSON is that of `shoal get --json`.
type Result struct {
	CID           string           `json:"cid"`
	Path          string           `json:"path"`
	Size          int64            `json:"size"`
	Seconds       float64          `json:"seconds"`
	Verified      bool             `json:"verified"`
	From          From             `json:"from"`
	OriginReasons map[string]int64 `json:"origin_reasons"`
	Spared        float64          `json:"spared_copies"` // that peers gave, and the origin did not
	Rejected      int64            `json:"rejected_bytes"`
	Duplicate     int64            `json:"duplicate_bytes"`
	Sent          int64            `json:"sent_bytes"`
	Origins       []string         `json:"origins,omitempty"` // hosts that gave bytes
	Liars         []string         `json:"liars,omitempty"`   // sources that gave wrong bytes
	Update        *Update          `json:"update,omitempty"`  // what became of what stood there
	*Signed                        // who vouches for it; nil if the CID was given, or nobody does
}

// Signed is what a publisher's manifest says of a content.
type Signed struct {
	Publisher string `json:"publisher"` // the peer ID of the key
	Name      string `json:"name"`
	Version   string `json:"version"`
	Sequence  uint64 `json:"sequence"`
}

// Resolved is what a manifest, or the URL of a content, names.
type Resolved struct {
	Target  merkle.Target `json:"target,omitzero"`   // to be fetched; without a root when URL is set
	Signed  *Signed       `json:"signed,omitempty"`  // nil: nobody vouches for the root
	Origins []string      `json:"origins,omitempty"` // that the user has named by it, for FetchOptions
	URL     string        `json:"url,omitempty"`     // to be read whole, without knowing what is right
	Trust   *Trust        `json:"trust,omitempty"`   // of who signed
}

// Trust is why a manifest is believed.
type Trust struct {
	Host   string    `json:"host"`             // for which the key is trusted
	Since  time.Time `json:"since"`            // that the key is trusted
	First  bool      `json:"first"`            // it is the first one there
	Before string    `json:"before,omitempty"` // what was trusted instead until now, in words
}

// PublishOptions tell how a path becomes a signed manifest.
type PublishOptions struct {
	KeyFile   string   // absolute; made by CreateKey
	Out       string   // absolute; the manifest, where the version before may stand
	Name      string   // the path's base if empty
	Version   string   // for people
	Origins   []string // URLs of the content
	Bootstrap []string // multiaddrs with /p2p/ID of nodes to join through
	Hidden    bool     // publish names that begin with a dot
	NoHidden  bool     // leave them out; with neither such a name is ErrUsage

	Progress func(bytes int64)      `json:"-"`
	Skip     func(path, why string) `json:"-"`
}

// Published is a manifest that was written.
type Published struct {
	Signed
	CID     string `json:"cid"`
	Size    int64  `json:"size"`
	Pieces  int    `json:"pieces"`
	Skipped int    `json:"skipped,omitempty"` // entries left out
	Path    string `json:"path"`              // of the manifest
}

// Update counts the entries of a target that was brought to a new version.
type Update struct {
	Added   int    `json:"added"`
	Changed int    `json:"changed"`
	Removed int    `json:"removed"`
	Same    int    `json:"same"`
	Left    string `json:"left,omitempty"` // what of the old version was not deleted, since it changed in the last moment
}

// Added is one path that became a root.
type Added struct {
	CID     string `json:"cid"`
	Size    int64  `json:"size"`
	Pieces  int    `json:"pieces"`
	Name    string `json:"name"`
	Skipped int    `json:"skipped,omitempty"` // dot entries and special files left out
	Link    string `json:"link,omitempty"`    // shoal: link with this node's addresses
}

// AddOptions tell how a path becomes a root.
type AddOptions struct {
	Profile  string // "unixfs-v1-2025" if empty, or "unixfs-v0-2015"
	Hidden   bool   // take dot entries too
	Modes    bool   // keep the executable bit; changes the CID
	Copy     bool   // keep a private copy in the node's directory
	OnlyHash bool   // compute, share nothing
	TreeFile string // write the tree as a .shoal file here, for a plain HTTP origin

	Progress func(bytes int64)      `json:"-"`
	Skip     func(path, why string) `json:"-"`
}

// Pinned is a root that is kept whatever comes.
type Pinned struct {
	CID     string `json:"cid"`
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	Fetched int64  `json:"fetched_bytes"` // by this pin, from anywhere but this disk
}

// Freed is what a collection deleted of one root.
type Freed struct {
	CID   string `json:"cid"`
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Collected is what a collection deleted, and what it left, in bytes.
type Collected struct {
	Freed    []Freed `json:"freed"`
	Bytes    int64   `json:"freed_bytes"`
	Leftover int64   `json:"leftover_bytes"` // deleted files that no root had
	Cached   int64   `json:"cached_bytes"`   // left because somebody reads them
	Pinned   int64   `json:"pinned_bytes"`   // left because their roots are pinned
}

// Entry is one line of `shoal ls`.
type Entry struct {
	Type string `json:"type"` // file, dir, symlink
	Size int64  `json:"size"`
	Name string `json:"name"`
	CID  string `json:"cid"`
}

// Provider is one line of `shoal find`.
type Provider struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
}

// Bad is a piece that no longer verifies.
type Bad struct {
	CID   string `json:"cid"`
	Path  string `json:"path"`
	Piece int    `json:"piece"`
	Error string `json:"error"`
}

// Status is `shoal status --json`.
type Status struct {
	PeerID       string         `json:"peer_id"`
	Addrs        []string       `json:"addrs"`
	Version      string         `json:"version"`
	Reachability string         `json:"reachability"` // public, private, unknown
	Swarm        SwarmStatus    `json:"swarm"`
	DHT          DHTStatus      `json:"dht"`
	Announce     AnnounceStatus `json:"announce"`
	Relayed      int64          `json:"relayed_bytes"` // for others, as a relay
	Peers        []PeerStatus   `json:"peers"`
	Roots        []RootStatus   `json:"roots"`
	Uptime       float64        `json:"uptime_s"`
	RSS          int64          `json:"rss_bytes"`
}

// SwarmStatus names the swarm a node is in; the fields after Private are those of
// a private one.
type SwarmStatus struct {
	Name    string `json:"name"`
	Private bool   `json:"private"`

	ID          string        `json:"id,omitempty"` // the peer ID of its authority
	Roles       string        `json:"roles,omitempty"`
	Expires     string        `json:"expires,omitempty"`     // of the membership, RFC 3339
	Provisional bool          `json:"provisional,omitempty"` // not countersigned yet
	Members     int           `json:"members,omitempty"`     // connected, without this node
	Pending     int           `json:"pending,omitempty"`     // connected and not admitted
	Revoked     int           `json:"revoked,omitempty"`     // members and invites
	Sequence    uint64        `json:"sequence,omitempty"`    // of the newest list of revocations
	Authority   string        `json:"authority,omitempty"`   // file of the swarm's key, where this node made it
	Warnings    []string      `json:"warnings,omitempty"`    // what somebody should act on
	Invites     []SwarmInvite `json:"invites,omitempty"`     // that were made or counted here and have not ended
}

// SwarmInvite is what a node knows of an invite.
type SwarmInvite struct {
	ID      string `json:"id"` // for revoke
	Roles   string `json:"roles"`
	Expires string `json:"expires"` // RFC 3339
	Uses    uint64 `json:"uses"`
	Used    int    `json:"used"` // as counted here
	Revoked bool   `json:"revoked,omitempty"`
}

// SwarmMember is one member of a private swarm that this node has met, or itself.
type SwarmMember struct {
	ID          string `json:"id"`
	Roles       string `json:"roles"`
	Expires     string `json:"expires"`        // RFC 3339
	Seen        string `json:"seen,omitempty"` // RFC 3339
	Self        bool   `json:"self,omitempty"`
	Connected   bool   `json:"connected"`
	Provisional bool   `json:"provisional,omitempty"`
	Revoked     bool   `json:"revoked,omitempty"`
	By          string `json:"by,omitempty"` // who countersigned, if not the authority
}

// InviteOptions tell what an invite is good for.
type InviteOptions struct {
	Expires time.Duration // 7 days if zero
	Uses    uint64        // 10 if zero
	Roles   string        // comma-separated; member if empty
}

// DHTStatus is the node's part in the DHT.
type DHTStatus struct {
	Mode         string `json:"mode"` // server, client
	RoutingTable int    `json:"routing_table"`
}

// AnnounceStatus is what is announced in the DHT and what it took the last time
// that files or pieces were announced: all of them, or those of one root. Roots
// are announced one by one, and not counted.
type AnnounceStatus struct {
	Mode    string  `json:"mode"`          // roots, files, pieces
	Keys    int     `json:"keys"`          // files and pieces, each once
	Records int     `json:"records"`       // that were sent for them
	Peers   int     `json:"peers"`         // that got them
	Bytes   int64   `json:"bytes"`         // of DHT messages sent and received meanwhile
	PerGiB  int64   `json:"bytes_per_gib"` // of content
	Every   float64 `json:"every_s"`       // how often all is announced
}

// PeerStatus is one connected peer that speaks the exchange protocol.
type PeerStatus struct {
	ID        string  `json:"id"`
	Addr      string  `json:"addr"`
	Transport string  `json:"transport"` // tcp, quic-v1, …
	Path      string  `json:"path"`      // lan, wan, relay
	Reached   string  `json:"reached"`   // dial, incoming, punch, lan (behind the same router), relay
	Took      float64 `json:"reached_s"` // from when a way was first looked for
	RTT       float64 `json:"rtt_ms"`
	Received  int64   `json:"received"`
	Sent      int64   `json:"sent"`
	Balance   int64   `json:"balance"`              // received less sent
	ServedFor string  `json:"served_for,omitempty"` // why it was served last: owed, free, member, idle
}

// RootStatus is one root of this node.
type RootStatus struct {
	CID   string `json:"cid"`
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	Have  int64  `json:"have"`
	State string `json:"state"` // complete, fetching, waiting
	Why   *Why   `json:"why,omitempty"`
	From  From   `json:"from"`
	Sent  int64  `json:"sent_bytes"`
	Path  string `json:"path,omitempty"`

	Reasons map[string]int64 `json:"origin_reasons,omitempty"` // the origin's bytes in From, by why they were spent
	Spared  float64          `json:"spared_copies"`            // that peers gave, and the origin did not
	History []Slice          `json:"history,omitempty"`        // of what came, the oldest first
	Liars   []string         `json:"liars,omitempty"`          // sources that gave wrong bytes

	Pinned bool `json:"pinned,omitempty"` // kept whatever comes
	Cached bool `json:"cached,omitempty"` // kept for readers until the room is needed
}

// Slice is what came of a root in a span of time: a minute, older ones longer.
type Slice struct {
	At      int64            `json:"at"` // its begin, seconds since 1970
	Seconds float64          `json:"seconds"`
	From    From             `json:"from"`
	Reasons map[string]int64 `json:"origin_reasons,omitempty"`
}

// Why tells why a root waits.
type Why struct {
	Code  string   `json:"code"` // nobody, looking, stalled, no-tree, …
	Since float64  `json:"since_s"`
	Tried []string `json:"tried"`
	Next  string   `json:"next"`
}

// Setting is one effective setting and where it came from.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // default, config.toml, environment, flag
}

// since is a duration in seconds, as JSON has it.
func since(t time.Time) float64 { return time.Since(t).Seconds() }
