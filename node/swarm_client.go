package node

import "context"

// SwarmInvite implements API.
func (c *Client) SwarmInvite(ctx context.Context, opt InviteOptions) (string, error) {
	var invite string
	err := c.call(ctx, "swarm-invite", apiRequest{Invite: opt}, &invite, ignoreEvents)
	return invite, err
}

// SwarmMembers implements API.
func (c *Client) SwarmMembers(ctx context.Context) ([]SwarmMember, error) {
	var members []SwarmMember
	err := c.call(ctx, "swarm-members", apiRequest{}, &members, ignoreEvents)
	return members, err
}

// SwarmRevoke implements API.
func (c *Client) SwarmRevoke(ctx context.Context, which []string) error {
	return c.call(ctx, "swarm-revoke", apiRequest{IDs: which}, nil, ignoreEvents)
}
