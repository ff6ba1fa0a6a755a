package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/internal/sim"
)

const mbit = 1e6 / 8

// options are the flags.
type options struct {
	cfg          sim.Config
	n, seeds     int
	us, up, down float64
	origin       bool
	class        string
	riders       int
	ride         string
	stay, arrive time.Duration
	leave, gives float64
	busy         bool
	profile      string
}

func flags() *options {
	o := &options{}
	flag.IntVar(&o.n, "n", 16, "downloaders")
	flag.IntVar(&o.seeds, "seeds", 5, "runs")
	flag.Float64Var(&o.us, "us", 50, "upload rate of the holder, Mbit/s")
	flag.Float64Var(&o.up, "up", 25, "upload rate of a downloader, Mbit/s")
	flag.Float64Var(&o.down, "down", 100, "download rate of everybody, Mbit/s")
	flag.IntVar(&o.cfg.Pieces, "pieces", 64, "pieces of the content")
	flag.IntVar(&o.cfg.Piece, "piece", 1<<20, "bytes of a piece")
	flag.IntVar(&o.cfg.View, "view", 0, "connections of a peer; 0: all")
	flag.IntVar(&o.cfg.Block, "block", 0, "bytes of a block; 0: 64 KiB")
	flag.DurationVar(&o.cfg.RTT, "rtt", time.Millisecond, "round trip")
	flag.IntVar(&o.cfg.Unit, "unit", 1, "blocks that a line sends at once")
	flag.IntVar(&o.cfg.Slots, "slots", 4, "upload slots of a peer")
	flag.IntVar(&o.cfg.Buffer, "buffer", 0, "send buffer of a connection, bytes; 0: 4 MiB")
	flag.DurationVar(&o.cfg.Standing, "standing", 0, "that control messages wait behind data")
	flag.Float64Var(&o.cfg.Overhead, "overhead", 1, "bytes on the wire for a payload byte")
	flag.IntVar(&o.cfg.Cores, "cores", 0, "that a run uses; 0: one")
	flag.DurationVar(&o.cfg.Tick, "tick", time.Millisecond, "the cores of a peer are asked at most this often")
	flag.BoolVar(&o.cfg.Whole, "whole", false, "pieces are passed on when they are whole, not as they come")
	flag.BoolVar(&o.cfg.Private, "private", false, "all are members of one private swarm")
	flag.BoolVar(&o.origin, "origin", false, "an HTTP server has the content, at the holder's rate, and no peer")
	flag.StringVar(&o.class, "class", "economy", "of a fetch with an origin: economy, background or interactive")
	flag.IntVar(&o.riders, "riders", 0, "downloaders that take and give nothing, besides")
	flag.StringVar(&o.ride, "ride", "passive", "what they do: passive (what everybody does, but they reject what they are asked), quiet (and tell nothing), names (at one address); or, by a client made for it that asks everybody, dialler, turncoat (another name every 4 s), liar (says it has half), silent (says it has nothing)")
	flag.DurationVar(&o.stay, "stay", -1, "of a peer as a seed; negative: for good")
	flag.DurationVar(&o.arrive, "arrive", 0, "downloaders arrive at random times within so long")
	flag.Float64Var(&o.leave, "leave", 0, "share of the downloaders that leave, at random between a quarter and three quarters of the bound")
	flag.Float64Var(&o.gives, "gives", 0, "copies that the holder sends before it leaves; 0: it stays")
	flag.BoolVar(&o.busy, "busy", false, "print how much of the lines was used, by second")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a profile there")
	flag.Parse()
	o.cfg.Path = pick.WAN
	return o
}

// crowd makes the peers of one run.
func (o *options) crowd(seed uint64) sim.Config {
	cfg, rng := o.cfg, rand.New(rand.NewPCG(seed, 1))
	cfg.Seed = seed
	if o.origin {
		class := map[string]policy.Class{"economy": policy.Economy, "background": policy.Background}[o.class]
		cfg.Origin = &sim.Origin{Up: o.us * mbit, Config: policy.Config{Class: class}}
	} else {
		cfg.Peers = []sim.Peer{{Up: o.us * mbit, Down: o.down * mbit, Holder: true, Stay: -1, Gives: o.gives}}
	}
	for i := range o.n + o.riders {
		p := sim.Peer{Up: o.up * mbit, Down: o.down * mbit, Stay: o.stay}
		if i >= o.n {
			o.rides(&p)
			p.Arrives = time.Duration(i-o.n) * 300 * time.Millisecond
		} else {
			p.Arrives = time.Duration(rng.Float64() * float64(o.arrive))
		}
		cfg.Peers = append(cfg.Peers, p)
	}
	o.leaves(cfg, rng)
	return cfg
}

// leaves says when those leave that do.
func (o *options) leaves(cfg sim.Config, rng *rand.Rand) {
	bound := float64(o.n*cfg.Pieces*cfg.Piece) / (o.us + float64(o.n)*o.up) / mbit
	for _, i := range rng.Perm(o.n)[:int(o.leave*float64(o.n))] {
		after := bound * (0.25 + rng.Float64()/2)
		cfg.Peers[len(cfg.Peers)-o.n-o.riders+i].Leaves = time.Duration(after * float64(time.Second))
	}
}

// rides makes a free-rider of a peer.
func (o *options) rides(p *sim.Peer) {
	p.Rides = true
	switch o.ride {
	case "passive":
		p.Claims = true
	case "names":
		p.Claims, p.Prefix = true, "one"
	case "dialler", "turncoat", "liar", "silent":
		p.Grabs, p.Dials = true, true
		p.Claims, p.Lies = o.ride != "silent", o.ride == "liar"
		if o.ride == "turncoat" {
			p.Renames = 4 * time.Second
		}
	}
}

func main() {
	o := flags()
	largePages(512 << 20)
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	fmt.Println(" seed   bound chunked  median     p99    last | ratio: median   p99  last | copies spread origin  dup% lost | riders |  mean allowed | events  wall")
	for seed := range o.seeds {
		began := time.Now()
		r := sim.New(o.crowd(uint64(seed + 1))).Run()
		fmt.Printf("%5d %7.2f %7.2f %7.2f %7.2f %7.2f |        %6.3f %5.3f %5.3f | %6.2f %6.2f %6.2f %5.2f %4d | %6.2f | %5.2f %7.2f | %6d %5.1fs\n",
			seed+1, r.Bound.Seconds(), r.Chunked.Seconds(), r.Median().Seconds(), r.P99().Seconds(), r.Last().Seconds(),
			r.Ratio(r.Median()), r.Ratio(r.P99()), r.Ratio(r.Last()), r.Copies, r.Spread, r.Origin, 100*r.Duplicate, r.Missing-r.Left,
			r.Ride(), r.Mean().Seconds(), r.Allowed.Seconds(), r.Steps/1000, time.Since(began).Seconds())
		if o.busy {
			for i, share := range r.Busy {
				fmt.Printf("%d:%.0f%% ", i, 100*share)
			}
			fmt.Println()
		}
	}
}
