package node

import (
	"context"
	"io"

	"github.com/shoal-p2p/shoal/merkle"
)

// API is what a node does for a command: *Node inside this process, *Client
// over the API socket of a running one.
type API interface {
	Add(ctx context.Context, path string, opt AddOptions) (Added, error)
	// Publish adds a path and writes a signed manifest of it.
	Publish(ctx context.Context, path string, opt PublishOptions) (Published, error)
	// Resolve reads what names a content by itself: a manifest, or the URL of a content with one beside it.
	Resolve(ctx context.Context, where string, opt FetchOptions) (Resolved, error)
	Fetch(ctx context.Context, target merkle.Target, opt FetchOptions) (*Result, error)
	// Cat writes bytes from to to of a file, both ends inclusive, to -1 for its end, as they are verified.
	Cat(ctx context.Context, target merkle.Target, from, to int64, w io.Writer, opt FetchOptions) error
	List(ctx context.Context, target merkle.Target, opt FetchOptions) ([]Entry, error)
	// Find calls found for each provider of the root until ctx ends or the lookup is exhausted.
	Find(ctx context.Context, target merkle.Target, opt FetchOptions, found func(Provider)) error
	Status(ctx context.Context) (Status, error)
	// Verify re-hashes what is held of root ("" for everything) and calls bad for each piece that does not match.
	Verify(ctx context.Context, root string, bad func(Bad)) error
	Unshare(ctx context.Context, root string) error
	// Pin keeps a root whatever comes; what is not here of it is fetched into the node's directory.
	Pin(ctx context.Context, target merkle.Target, opt FetchOptions) (Pinned, error)
	Unpin(ctx context.Context, root string) error
	// Collect deletes all that is kept for readers alone.
	Collect(ctx context.Context) (Collected, error)
	// Doctor says what works from here and what to do about the rest.
	Doctor(ctx context.Context, opt DoctorOptions) ([]Check, error)
	// SwarmInvite makes an invite to the node's private swarm and returns its string.
	SwarmInvite(ctx context.Context, opt InviteOptions) (string, error)
	SwarmMembers(ctx context.Context) ([]SwarmMember, error)
	// SwarmRevoke takes members and invites out of the swarm, by ID or an invite's string.
	SwarmRevoke(ctx context.Context, which []string) error
	ID() string
	Close() error
}
