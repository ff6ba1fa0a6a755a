// Command stranger connects to a node as fast as it can, without being a member
// of anything. scripts/netlab.sh measures with it what that costs the members of
// a private swarm.
package main
