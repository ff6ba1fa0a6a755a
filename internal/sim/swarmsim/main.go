package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/internal/sim"
)

const mbit = 1e6 / 8

func main() {
	n := flag.Int("n", 16, "downloaders")
	pieces := flag.Int("pieces", 64, "pieces of the content")
	piece := flag.Int("piece", 1<<20, "bytes of a piece")
	origin := flag.Float64("us", 50, "upload rate of the holder, Mbit/s")
	up := flag.Float64("up", 25, "upload rate of a downloader, Mbit/s")
	down := flag.Float64("down", 100, "download rate of everybody, Mbit/s")
	view := flag.Int("view", 0, "connections of a peer; 0: all")
	rtt := flag.Duration("rtt", time.Millisecond, "round trip")
	seeds := flag.Int("seeds", 5, "runs")
	unit := flag.Int("unit", 1, "blocks that a line sends at once")
	slots := flag.Int("slots", 4, "upload slots of a peer")
	buffer := flag.Int("buffer", 0, "send buffer of a connection, bytes")
	standing := flag.Duration("standing", 0, "that control messages wait behind data")
	busy := flag.Bool("busy", false, "print how much of the lines was used, by second")
	profile := flag.String("cpuprofile", "", "write a profile there")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}

	fmt.Println(" seed   bound chunked  median     p99    last | ratio: median   p99  last | copies spread  dup%  lost | events  wall")
	for seed := range *seeds {
		peers := []sim.Peer{{Up: *origin * mbit, Down: *down * mbit, Holder: true, Stay: -1}}
		for range *n {
			peers = append(peers, sim.Peer{Up: *up * mbit, Down: *down * mbit, Stay: -1})
		}
		began := time.Now()
		r := sim.New(sim.Config{
			Peers: peers, Pieces: *pieces, Piece: *piece, Seed: uint64(seed + 1), View: *view, RTT: *rtt, Path: pick.WAN,
			Slots: *slots, Unit: *unit, Buffer: *buffer, Standing: *standing,
		}).Run()
		fmt.Printf("%5d %7.2f %7.2f %7.2f %7.2f %7.2f |        %6.3f %5.3f %5.3f | %6.2f %6.2f %5.2f %5d | %6d %5.1fs\n",
			seed+1, r.Bound.Seconds(), r.Chunked.Seconds(), r.Median().Seconds(), r.P99().Seconds(), r.Last().Seconds(),
			r.Ratio(r.Median()), r.Ratio(r.P99()), r.Ratio(r.Last()), r.Copies, r.Spread, 100*r.Duplicate, r.Missing, r.Steps/1000, time.Since(began).Seconds())
		if *busy {
			for i, share := range r.Busy {
				fmt.Printf("%d:%.0f%% ", i, 100*share)
			}
			fmt.Println()
		}
	}
}
