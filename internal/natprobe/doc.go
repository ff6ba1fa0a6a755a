// Command natprobe is the measuring gear of scripts/netlab.sh nat, which uses
// nothing else to know what its routers do:
//
//	natprobe serve IP IP      answers on the ports 3478 and 3479 of two addresses
//	natprobe ask IP IP        says how the NAT in front of this machine maps and filters
//	natprobe delay ...        a cable with a delay, for kernels without netem
//	natprobe files DIR ADDR   an origin of the lab
//	natprobe proxy ...        an HTTP proxy that knows the few hosts it may connect to
//	natprobe certificate ...  a certificate and its key
//	natprobe crowd N ADDR     N nodes behind one address that reserve at one relay
//
// A NAT is named by RFC 4787's words: its mapping is EIM (one outside port for
// all destinations) or EDM (one for each), its filter EIF (anybody may use a
// mapping), ADF (addresses that were spoken to) or APDF (addresses and ports).
//
// Read run_linux.go next.
package main
