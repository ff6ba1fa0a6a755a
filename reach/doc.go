// Package reach talks to what stands between this node and others: routers that
// translate and filter, and relays that carry what cannot go direct.
//
// It learns from others how this node is seen and whether it can be dialled, has
// relays found for it when it cannot, meets peers directly that it was connected
// to over a relay, and serves as a relay within a budget. What it decides is
// decided in reach/plan.
//
// Begin with Reach in reach.go, then observe.go, punch.go and relay.go.
package reach
