// Package dhttest is what every dht.Router must do, as a test suite: Run it over
// a way to make a swarm of routers.
package dhttest
