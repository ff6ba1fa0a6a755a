// Command swarmsim prints what crowds of simulated peers make of the real
// cores: times over the bound, copies of the holder, duplicates.
//
//	go run ./internal/sim/swarmsim -n 16 -pieces 64 -us 50 -up 25 -down 100
//
// Read package sim next.
package main
