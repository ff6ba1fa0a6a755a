package membership

import "errors"

// Why a chain, an invite or a list does not count. Errors of this package wrap
// exactly one of them.
var (
	ErrNone      = errors.New("no membership was shown")
	ErrMalformed = errors.New("malformed")
	ErrTooLarge  = errors.New("too large")
	ErrSwarm     = errors.New("of another swarm")
	ErrPeer      = errors.New("the membership of another peer")
	ErrChain     = errors.New("broken chain")
	ErrRole      = errors.New("the signer may not grant this")
	ErrExpired   = errors.New("expired")
	ErrNotYet    = errors.New("not yet valid")
	ErrRevoked   = errors.New("revoked")
	ErrStale     = errors.New("older than what is known")
)
