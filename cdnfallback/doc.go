// Package cdnfallback reads pieces and trees from the publisher's HTTP origin:
// a plain file or directory tree over range requests, or a trustless IPFS
// gateway. What it returns is unverified; the caller checks it like a peer's
// bytes. When to ask is decided by policy.
package cdnfallback
