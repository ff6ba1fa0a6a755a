// Package membership decides who is a member of a private swarm. It is pure: the
// caller brings the time, the randomness and the bytes.
//
// A swarm is an Ed25519 key, its authority; the swarm's name on the wire is the
// authority's peer ID. What anybody else may say is written in links, each a
// signed envelope of libp2p (core/record) with a domain and payload type of its
// kind:
//
//   - a Grant makes a peer a member with roles, until a time;
//   - an Invite lets the holder of a key bring in members for a while;
//   - a Provisional, signed by an invite's key, names the peer that was invited;
//   - a List names the members and invites that are revoked.
//
// A Chain of links begins at the authority and ends at a peer:
//
//	authority -> inviter -> ... -> peer                        countersigned
//	authority -> inviter -> ... -> invite key -> peer          provisional
//
// Check follows it with nothing but the chain, the clock and what is revoked, so
// that every node decides alone. A provisional chain counts while its invite
// lives, whatever date it bears; on first contact a member that may invite turns
// it into a countersigned one (Issuer.Grant), which counts without the invite.
//
// Read next: Check in chain.go. The format is in PROTOCOL.md; TestVectors holds
// testdata/vectors.txt to the code. No API promise.
package membership
