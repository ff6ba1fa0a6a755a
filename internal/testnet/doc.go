// Package testnet runs real libp2p hosts in virtual time.
//
// The hosts speak QUIC over an in-process network (simnet) whose links have a
// rate and a latency. Inside a testing/synctest bubble the clock jumps whenever
// everybody waits, so a test of minutes takes the time that its packets cost and
// measures the same on a busy machine:
//
//	synctest.Test(t, func(t *testing.T) {
//		hosts := testnet.New(t, 3, testnet.Config{})
//		testnet.Connect(t, hosts[0], hosts[1])
//		...
//	})
//
// Lines is the same network for those who start hosts themselves: package node
// puts whole nodes on it.
//
// Everything that a test starts on the hosts must be closed before it returns.
// There is no TCP, no NAT and no loss.
package testnet
